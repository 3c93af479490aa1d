import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.local.host.desk import Desk
from tests.local.host.host_process import ROOT
from tests.waiting import eventually

GATED = """
    import atexit
    atexit.register(lambda: say("atexit ran"))

    @app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
    def gated(msg: func.QueueMessage) -> None:
        say("begins", msg.get_body().decode())
        Path(os.environ["GATE"]).read_text()
        say("ends", msg.get_body().decode())

    @app.route(route="slow", auth_level=func.AuthLevel.ANONYMOUS)
    def slow(req: func.HttpRequest) -> str:
        say("serves")
        Path(os.environ["GATE"]).read_text()
        return "served"
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_an_idle_host(desk: Desk, number: signal.Signals) -> None:
    desk.app(GATED)
    host = desk.host()
    host.send_signal(number)
    assert host.exit_code() == 0
    assert host.said() == ["atexit ran"]


def test_what_runs_is_finished_and_what_waits_is_given_back(desk: Desk) -> None:
    desk.make_gate()
    desk.app(GATED, batchSize=8)
    queue = desk.make_queue()
    for number in range(5):
        queue.send_message(str(number))
    host = desk.host("--verbose", settings={"PYTHON_THREADPOOL_THREAD_COUNT": "2"})
    host.wait_for("^SAYS begins", times=2)
    eventually(lambda: desk.peek() == [])  # all five are taken, three of them wait for a thread
    host.send_signal(signal.SIGTERM)
    host.wait_for("stopping: waiting for gated")
    eventually(lambda: len(desk.peek()) == 3)
    desk.open_gate()
    assert host.exit_code() == 0
    assert len(desk.peek()) == desk.length() == 3
    assert sum(line.startswith("ends") for line in host.said()) == 2
    assert host.said()[-1] == "atexit ran"


def test_a_request_under_way_is_answered(desk: Desk) -> None:
    desk.make_gate()
    desk.app(GATED)
    host = desk.host()
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import urllib.request as r; print(r.urlopen('{host.base_url}/api/slow').read())",
        ],
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        host.wait_for("^SAYS serves")
        host.send_signal(signal.SIGTERM)
        host.wait_for("stopping: waiting for slow")
        desk.open_gate()
        answer, _ = client.communicate(timeout=60)
    assert answer.strip() == "b'served'"
    assert host.exit_code() == 0


def test_a_second_signal_ends_at_once_and_the_message_stays(desk: Desk) -> None:
    desk.make_gate()
    desk.app(GATED)
    desk.make_queue().send_message("kept")
    host = desk.host()
    host.wait_for("^SAYS begins kept")
    host.send_signal(signal.SIGTERM)
    host.wait_for("stopping: waiting for gated")
    host.send_signal(signal.SIGTERM)
    assert host.exit_code() == 1
    assert desk.length() == 1


def test_a_host_that_goes_with_its_parent_ends_when_the_parent_is_killed(desk: Desk, tmp_path: Path) -> None:
    desk.app(GATED)
    ready = tmp_path / "ready"
    starter = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-m', 'local.host', '--port', '0', '--stop-with-parent',"
        f" '--folder', {str(desk.folder)!r}, '--ready-file', {str(ready)!r}])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starter],
        cwd=ROOT,
        env=os.environ | desk.settings,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        eventually(ready.exists)
        parent.kill()
        parent.stdout.read()  # ends when the last process that could print is gone
    eventually(lambda: not Path(f"/proc/{pid}").exists() and parent.poll() is not None)
