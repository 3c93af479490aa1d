import json

import pytest

from tests.local.host.desk import Desk
from tests.local.host.host_process import KEY, HostProcess

APP = """
    @app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer")
    def yearly(timer: func.TimerRequest) -> None:
        say("timer past due", timer.past_due)

    @app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
    def echo(msg: func.QueueMessage) -> None:
        say("message", msg.get_body().decode(), msg.dequeue_count, msg.insertion_time is not None)

    @app.route(route="page")
    def page(req: func.HttpRequest) -> str:
        return "page"
"""


@pytest.fixture
def host(desk: Desk) -> HostProcess:
    desk.app(APP)
    return desk.host()


def run(host: HostProcess, name: str, body: bytes = b"{}", **headers: str) -> int:
    fields = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    status: int = host.request(f"/admin/functions/{name}", method="POST", headers=fields, body=body).status
    return status


def test_a_timer_runs_now(host: HostProcess) -> None:
    assert run(host, "yearly") == 202
    host.wait_for("^SAYS timer past due False$")


def test_a_queue_function_gets_the_input_as_its_message(host: HostProcess) -> None:
    assert run(host, "ECHO", json.dumps({"input": "by hand"}).encode()) == 202
    host.wait_for("^SAYS message by hand 1 True$")


def test_what_cannot_be_run_is_said(host: HostProcess) -> None:
    assert run(host, "nobody") == 404
    assert run(host, "page") == 400
    assert run(host, "echo", b"not json") == 400
    assert host.request("/admin/functions/yearly").status == 404


def test_the_status_says_running(host: HostProcess) -> None:
    answer = host.request("/admin/host/status")
    assert answer.status == 200
    assert json.loads(answer.body)["state"] == "Running"


def test_a_page_of_another_site_needs_the_key(host: HostProcess) -> None:
    assert run(host, "yearly", Origin="https://elsewhere.example") == 401
    assert run(host, "yearly", Host="rebound.example") == 401
    assert run(host, "yearly", Origin="https://elsewhere.example", x_functions_key=KEY) == 202
    assert run(host, "yearly", Origin=host.base_url) == 202
