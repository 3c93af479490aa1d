import json
import socket
from pathlib import Path

import pytest

from tests.local.host.desk import Desk
from tests.local.host.host_process import KEY

GOOD = """
    @app.route(route="good/{id}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def good(req: func.HttpRequest) -> str:
        return os.environ.get("FROM_FILE", "") + " " + os.environ.get("BOTH", "")
"""


def test_the_start_lists_functions_triggers_and_the_address(desk: Desk, tmp_path: Path) -> None:
    desk.app(
        GOOD
        + """
    @app.timer_trigger(schedule="%WHEN%", arg_name="timer")
    def clock(timer: func.TimerRequest) -> None: ...

    @app.queue_trigger(arg_name="msg", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
    def reader(msg: func.QueueMessage) -> None: ...
"""
    )
    host = desk.host("--ready-file", str(tmp_path / "ready"), settings={"WHEN": "0 */5 * * * *"})
    assert f"  good    GET {host.base_url}/api/good/{{id}}" in host.lines
    assert "  clock   timer 0 */5 * * * *" in host.lines
    assert f"  reader  queue {desk.queue_name}" in host.lines
    assert (tmp_path / "ready").read_text() == host.base_url + "\n"
    assert KEY not in host.output


def test_a_key_is_made_and_printed_when_none_is_set(desk: Desk) -> None:
    desk.app(GOOD.replace("ANONYMOUS", "FUNCTION"))
    host = desk.host(settings={"LOCAL_FUNCTION_KEY": ""})
    key = host.wait_for(r"^Function key: (\S+)$")[1]
    assert len(key) >= 40
    assert host.request(f"/api/good/1?code={key}").status == 200
    assert host.request("/api/good/1").status == 401


def test_local_settings_lie_under_the_environment(desk: Desk) -> None:
    desk.app(GOOD)
    values = {"FROM_FILE": "file", "BOTH": "file"}
    (desk.folder / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    host = desk.host(settings={"BOTH": "environment"})
    assert host.request("/api/good/1").body == b"file environment"


def test_an_unresolved_setting_takes_out_its_function_alone(desk: Desk) -> None:
    desk.app(
        GOOD
        + """
    @app.queue_trigger(arg_name="msg", queue_name="%MISSING%", connection="AzureWebJobsStorage")
    def lost(msg: func.QueueMessage) -> None: ...
"""
    )
    host = desk.host()
    host.wait_for(
        "the function 'lost' is in error and does not run: "
        "%MISSING% does not resolve: set the app setting MISSING"
    )
    assert host.request("/api/good/1").status == 200


def test_a_bad_schedule_takes_out_its_function_alone(desk: Desk) -> None:
    desk.app(
        GOOD
        + """
    @app.timer_trigger(schedule="every now and then", arg_name="timer")
    def vague(timer: func.TimerRequest) -> None: ...
"""
    )
    desk.host().wait_for("the function 'vague' is in error and does not run: .*NCRONTAB")


def test_a_disabled_function_does_not_run(desk: Desk) -> None:
    desk.app(GOOD)
    host = desk.host(settings={"AzureWebJobs_good_Disabled": "true"})
    assert host.request("/api/good/1").status == 404
    assert "  good is disabled by a setting" in host.lines


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("del app", "exactly one FunctionApp at top level, found none"),
        ("other = func.FunctionApp()", "exactly one FunctionApp at top level, found 2"),
        (
            "@app.route(route='x')\ndef f(req: func.HttpRequest, more: str) -> str: ...",
            "cannot load the function 'f': parameters without a binding: more",
        ),
        (
            "@app.route(route='x')\ndef f(other: func.HttpRequest) -> str: ...",
            "cannot load the function 'f': parameters without a binding: other",
        ),
        (
            "@app.timer_trigger(schedule='* * * * *', arg_name='t')\ndef f(t: func.QueueMessage): ...",
            "cannot load the function 'f': the annotation of 't' does not fit its timerTrigger binding",
        ),
        (
            "@app.route()\ndef f(req: func.HttpRequest) -> str: ...\n" * 2,
            "function_app.py does not index",
        ),
    ],
)
def test_code_that_does_not_index_ends_the_start(desk: Desk, code: str, reason: str) -> None:
    desk.app(code)
    host = desk.host(wait=False)
    assert host.exit_code() == 1
    assert "The host cannot start" in host.output
    assert reason in host.output


def test_a_folder_without_an_app_is_said(desk: Desk) -> None:
    desk.app(GOOD)
    (desk.folder / "function_app.py").unlink()
    host = desk.host(wait=False)
    assert host.exit_code() == 1
    assert "there is no function_app.py in" in host.output


def test_a_port_in_use_is_said(desk: Desk) -> None:
    desk.app(GOOD)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        host = desk.host("--port", str(port), wait=False)
        assert host.exit_code() == 1
    assert f"cannot listen on 127.0.0.1:{port}" in host.output


def test_a_bad_command_line_is_said(desk: Desk) -> None:
    desk.app(GOOD)
    host = desk.host("--instances", "0", wait=False)
    assert host.exit_code() == 2
    assert "--instances 0: at least one is needed" in host.output


def test_log_records_are_lines_with_their_event(desk: Desk) -> None:
    desk.app("""
        @app.route(route="log", auth_level=func.AuthLevel.ANONYMOUS)
        def log(req: func.HttpRequest) -> str:
            logging.getLogger("app").info("something happened", extra={"event": "mail.sent"})
            logging.getLogger("app").debug("a detail")
            logging.getLogger("azure.core").info("chatter")
            return ""
    """)
    host = desk.host()
    host.request("/api/log")
    host.wait_for(r"^\d\d:\d\d:\d\d\.\d{3} INFO    app: something happened \[mail\.sent\]$")
    assert "a detail" not in host.output
    assert "chatter" not in host.output
    assert "Executed" not in host.output


def test_verbose_shows_every_run(desk: Desk) -> None:
    desk.app(GOOD)
    host = desk.host("--verbose")
    host.request("/api/good/1")
    host.wait_for(r"Executed 'good' \(Succeeded, Id=[0-9a-f-]{36}, Duration=\d+ms\)")
