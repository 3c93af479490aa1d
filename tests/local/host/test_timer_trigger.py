import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import ContainerClient

from local.host.bindings.timer_trigger import TimerStatus
from tests.local.host.desk import Desk

EVERY_SECOND = """
    @app.timer_trigger(schedule="* * * * * *", arg_name="timer")
    def tick(timer: func.TimerRequest) -> None:
        say("tick", os.getpid())
"""

HOURLY = """
    @app.timer_trigger(schedule="%SCHEDULE%", arg_name="timer", run_on_startup=STARTUP)
    def hourly(timer: func.TimerRequest) -> None:
        say("hourly", timer.past_due, "Next" in timer.schedule_status)
"""

SETTINGS = {"SCHEDULE": "0 0 * * * *", "AzureFunctionsWebHost__hostid": ""}


@pytest.fixture
def container(desk: Desk) -> Iterator[ContainerClient]:
    with ContainerClient.from_connection_string(desk.connection, "azure-webjobs-hosts") as client:
        yield client


def settings(desk: Desk) -> dict[str, str]:
    return SETTINGS | {"AzureFunctionsWebHost__hostid": desk.queue_name}


def status_blob(desk: Desk, name: str) -> str:
    return f"timers/{desk.queue_name}/{name}/status"


def test_a_timer_runs_on_its_schedule(desk: Desk) -> None:
    desk.app(EVERY_SECOND)
    desk.host().wait_for("^SAYS tick", times=3)


def test_a_time_span_is_a_schedule_too(desk: Desk) -> None:
    desk.app(EVERY_SECOND.replace("* * * * * *", "00:00:01"))
    desk.host().wait_for("^SAYS tick", times=2)


def test_a_timer_that_asks_for_it_runs_at_start(desk: Desk) -> None:
    desk.app(HOURLY.replace("STARTUP", "True"))
    host = desk.host(settings=settings(desk))
    host.wait_for("^SAYS hourly False True$")


def test_an_occurrence_missed_while_no_host_ran_is_caught_up_once(
    desk: Desk, container: ContainerClient
) -> None:
    desk.app(HOURLY.replace("STARTUP", "False"))
    now = datetime.now(UTC)
    missed = TimerStatus(last=now - timedelta(hours=3), next=now - timedelta(hours=2), last_updated=now)
    if not container.exists():
        container.create_container()
    container.upload_blob(status_blob(desk, "hourly"), missed.to_json())
    first = desk.host(settings=settings(desk))
    first.wait_for("^SAYS hourly True True$")
    assert first.stop() == 0
    recorded = json.loads(container.download_blob(status_blob(desk, "hourly")).readall())
    assert datetime.fromisoformat(recorded["Next"]) > now
    second = desk.host("--verbose", settings=settings(desk))
    second.wait_for("the timer hourly is next due")
    assert second.stop() == 0
    assert second.said() == []


def test_only_one_of_two_hosts_keeps_a_timer_and_the_other_takes_over(desk: Desk) -> None:
    desk.app(EVERY_SECOND)
    first = desk.host("--verbose", settings=settings(desk))
    first.wait_for("^SAYS tick", times=1)
    second = desk.host("--verbose", settings=settings(desk))
    second.wait_for("another instance keeps the timer tick")
    first.wait_for("^SAYS tick", times=4)
    assert second.said() == []
    assert first.stop() == 0
    second.wait_for("^SAYS tick", times=2)


def test_instances_share_one_timer(desk: Desk) -> None:
    desk.app(EVERY_SECOND)
    host = desk.host("--instances", "2", settings=settings(desk))
    host.wait_for("^SAYS tick", times=4)
    assert len(set(host.said())) == 1
