import os
import signal

from tests.local.host.desk import Desk
from tests.local.host.host_process import HostProcess
from tests.waiting import eventually

SHARED_WORK = """
    met = threading.Event()

    @app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
    def work(msg: func.QueueMessage) -> None:
        say("works", os.getpid(), msg.get_body().decode())
        Path(os.environ["GATE"]).read_text()

    @app.route(route="who", auth_level=func.AuthLevel.ANONYMOUS)
    def who(req: func.HttpRequest) -> str:
        return str(os.getpid())
"""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def workers(host: HostProcess) -> set[int]:
    return {int(line.split()[1]) for line in host.said() if line.startswith("works")}


def send_until_both_work(desk: Desk, host: HostProcess) -> tuple[int, int]:
    """Give each of two instances, which take one message at a time, one message that it does not finish."""
    desk.make_gate()
    desk.queue().send_message("a")
    desk.queue().send_message("b")
    host.wait_for("^SAYS works", times=2)
    first, second = workers(host)
    return first, second


def test_instances_share_the_work_and_the_socket(desk: Desk) -> None:
    desk.app(SHARED_WORK, batchSize=1, newBatchThreshold=0)
    host = desk.host("--instances", "2")
    both = send_until_both_work(desk, host)
    seen: set[int] = set()

    def asked_everyone() -> bool:
        seen.add(int(host.request("/api/who").body))
        return seen == set(both)

    eventually(asked_everyone)
    assert host.output.count("Functions:") == 1


def test_an_instance_that_dies_is_replaced(desk: Desk) -> None:
    desk.app(SHARED_WORK, batchSize=1, newBatchThreshold=0)
    host = desk.host("--instances", "2", "--lock-seconds", "2")
    victim, survivor = send_until_both_work(desk, host)
    os.kill(victim, signal.SIGKILL)
    host.wait_for(r"^Instance \d ended \(signal 9\); another is started$")
    eventually(lambda: len(workers(host)) == 3)  # the victim's message, taken by its successor
    assert is_running(survivor)


def test_a_stop_ends_every_instance_after_its_work(desk: Desk) -> None:
    desk.app(SHARED_WORK, batchSize=1, newBatchThreshold=0)
    host = desk.host("--instances", "2")
    both = send_until_both_work(desk, host)
    host.send_signal(signal.SIGTERM)
    host.wait_for("stopping: waiting for work", times=2)
    desk.open_gate()
    assert host.exit_code() == 0
    assert not any(map(is_running, both))
    assert desk.length() == 0


def test_instances_end_when_their_parent_is_killed(desk: Desk) -> None:
    desk.app(SHARED_WORK, batchSize=1, newBatchThreshold=0)
    host = desk.host("--instances", "2")
    both = send_until_both_work(desk, host)
    host.send_signal(signal.SIGKILL)
    eventually(lambda: not any(map(is_running, both)))
    assert desk.length() == 2


def test_a_second_signal_ends_every_instance_at_once(desk: Desk) -> None:
    desk.app(SHARED_WORK, batchSize=1, newBatchThreshold=0)
    host = desk.host("--instances", "2")
    both = send_until_both_work(desk, host)
    host.send_signal(signal.SIGINT)
    host.wait_for("stopping: waiting for work", times=2)
    host.send_signal(signal.SIGINT)
    assert host.exit_code() == 1
    assert not any(map(is_running, both))
    assert desk.length() == 2


def test_an_app_that_cannot_start_ends_the_host(desk: Desk) -> None:
    desk.app("raise RuntimeError('broken on purpose')")
    host = desk.host("--instances", "2", wait=False)
    assert host.exit_code() == 1
    assert "broken on purpose" in host.output
