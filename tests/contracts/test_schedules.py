from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.storage_account import Account
from shared.adapters.table_client import Table
from shared.adapters.table_schedules import TableSchedules
from shared.core.schedule import Schedule, ScheduleFields
from tests.twins import NOON, MemorySchedules

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.azurite import Azurite
    from shared.adapters.table_client import Entity

Schedules = MemorySchedules | TableSchedules

MINUTE = timedelta(minutes=1)
MICROSECOND = timedelta(microseconds=1)
MESSAGE = {"to": "ada@contoso.com", "from": "a@contoso.com", "subject": "Grüße 🦆", "data": {"a": [1, None]}}
PLAIN = ScheduleFields.model_validate({"cron": "0 9 * * mon", "message": MESSAGE})
FULL = ScheduleFields.model_validate(
    {
        "every": "PT6H",
        "time_zone": "Europe/Vienna",
        "start": "2026-11-24T12:00:00.123456+01:00",
        "end": "2030-01-01T00:00:00Z",
        "count": 1_000_000,
        "working_days": {"rule": "skip", "holidays": ["2026-12-25", "2026-12-08"]},
        "missed": "all",
        "expires_after": "PT15M",
        "paused": False,
        "message": MESSAGE,
    }
)
UNUSUAL_NAMES = ["a", "x" * 100, "0", "..", "-", "A.B", "monthly_report-2026.v2"]


def schedule(name: str = "report", *, at: datetime | None = NOON, **known: Any) -> Schedule:
    return Schedule(name, PLAIN, created_at=NOON - timedelta(days=1), next_at=at, **known)


def saved(schedules: Schedules, wanted: Schedule) -> Schedule:
    written = schedules.save(wanted)
    assert written is not None
    return written


def names(found: list[Schedule]) -> list[str]:
    return [each.name for each in found]


def due(schedules: Schedules, until: datetime) -> list[str]:
    """Return who is due, and let each of them end, as who fires it moves it on."""
    found = []
    for each in schedules.due(until):
        found.append(each.name)
        saved(schedules, replace(each, next_at=None))
    return found


# One by one.


def test_there_is_nothing_where_nothing_was_saved(schedules: Schedules) -> None:
    assert schedules.find("report") is None
    assert schedules.page(token="", limit=10) == ([], "")
    assert list(schedules.due(NOON + timedelta(days=9000))) == []
    schedules.remove("report")


@pytest.mark.parametrize("fields", [PLAIN, FULL])
@pytest.mark.parametrize("next_at", [None, NOON + MICROSECOND])
def test_what_was_saved_is_found_as_it_was(
    schedules: Schedules, fields: ScheduleFields, next_at: datetime | None
) -> None:
    wanted = Schedule(
        "report",
        fields,
        created_at=NOON - 3 * MICROSECOND,
        next_at=next_at,
        occurred=999_999,
        last_id="report@2026-11-23T08:00:00Z",
        last_at=next_at,
    )
    written = saved(schedules, wanted)
    assert schedules.find("report") == written
    assert written.version != ""
    assert replace(written, version="") == wanted
    found = schedules.find("report")
    assert found is not None
    assert found.fields.model_dump(exclude_unset=True) == fields.model_dump(exclude_unset=True)


@pytest.mark.parametrize("name", UNUSUAL_NAMES)
def test_every_name_that_an_app_may_give_can_be_kept(schedules: Schedules, name: str) -> None:
    written = saved(schedules, schedule(name))
    assert schedules.find(name) == written
    assert due(schedules, NOON + MINUTE) == [name]
    schedules.remove(name)
    assert schedules.find(name) is None


def test_names_that_differ_in_case_are_two_schedules(schedules: Schedules) -> None:
    saved(schedules, schedule("a"))
    assert schedules.find("A") is None
    saved(schedules, schedule("A"))


def test_the_largest_message_that_a_schedule_may_have_can_be_kept(schedules: Schedules) -> None:
    large = ScheduleFields.model_validate(
        {
            "every": "PT1H",
            "working_days": {"holidays": ["2026-12-25"] * 500},
            "message": {"text": "ü" * 23_900},
        }
    )
    saved(schedules, replace(schedule(), fields=large))
    found = schedules.find("report")
    assert found is not None
    assert found.fields == large


def test_a_name_is_taken_once_and_an_old_version_changes_nothing(schedules: Schedules) -> None:
    first = saved(schedules, schedule())
    assert schedules.save(schedule(occurred=7)) is None
    second = saved(schedules, replace(first, occurred=1))
    assert second.version != first.version
    assert schedules.save(replace(first, occurred=2)) is None
    assert schedules.find("report") == second


def test_what_was_removed_is_not_brought_back_by_who_had_read_it(schedules: Schedules) -> None:
    first = saved(schedules, schedule())
    schedules.remove("report")
    schedules.remove("report")
    assert schedules.save(replace(first, occurred=1)) is None
    assert schedules.find("report") is None
    assert due(schedules, NOON + MINUTE) == []
    saved(schedules, schedule())
    assert due(schedules, NOON + MINUTE) == ["report"]


def test_of_many_that_save_one_version_at_once_one_wins(schedules: Schedules) -> None:
    first = saved(schedules, schedule())
    with ThreadPoolExecutor(8) as threads:
        written = list(threads.map(lambda n: schedules.save(replace(first, occurred=n)), range(8)))
    (winner,) = [each for each in written if each]
    assert schedules.find("report") == winner
    assert due(schedules, NOON + MINUTE) == ["report"]


# Pages.


def test_schedules_come_by_name_in_pages(schedules: Schedules) -> None:
    wanted = [saved(schedules, schedule(f"report-{number:02}")) for number in range(7)]
    found, token, pages = list[Schedule](), "", 0
    while True:
        page, token = schedules.page(token=token, limit=3)
        assert len(page) <= 3
        found += page
        pages += 1
        if not token:
            break
    assert found == wanted
    assert pages >= 3
    assert schedules.page(token="", limit=100)[0] == wanted


def test_what_is_found_on_a_page_can_be_saved(schedules: Schedules) -> None:
    saved(schedules, schedule())
    (found,), _ = schedules.page(token="", limit=10)
    assert schedules.save(replace(found, occurred=1)) is not None


# Due.


def test_what_is_due_is_found_in_the_order_of_its_time_and_what_is_not_stays(schedules: Schedules) -> None:
    day = timedelta(days=1)
    at = [NOON + MINUTE, NOON - 400 * day, None, NOON, NOON + 9000 * day, NOON - MICROSECOND]
    for number, each in enumerate(at):
        saved(schedules, schedule(f"report-{number}", at=each))
    assert due(schedules, NOON + MICROSECOND) == ["report-1", "report-5", "report-3"]
    assert due(schedules, NOON + MICROSECOND) == []
    assert due(schedules, NOON + day) == ["report-0"]


def test_what_is_saved_and_due_again_is_given_again(schedules: Schedules) -> None:
    saved(schedules, schedule())
    given = []
    for each in schedules.due(NOON + 3 * MINUTE):
        assert each.next_at is not None
        given.append(each.next_at)
        saved(schedules, replace(each, next_at=each.next_at + MINUTE, occurred=each.occurred + 1))
    assert given == [NOON, NOON + MINUTE, NOON + 2 * MINUTE]
    found = schedules.find("report")
    assert found is not None
    assert (found.next_at, found.occurred) == (NOON + 3 * MINUTE, 3)


def test_what_is_given_can_be_saved_as_it_was_given(schedules: Schedules) -> None:
    written = saved(schedules, schedule())
    assert next(iter(schedules.due(NOON + MINUTE))) == written


def test_what_nobody_moved_on_is_due_again(schedules: Schedules) -> None:
    saved(schedules, schedule())
    assert names([next(iter(schedules.due(NOON + MINUTE)))]) == ["report"]
    assert due(schedules, NOON + MINUTE) == ["report"]


def test_what_was_given_another_time_is_due_at_that_time_alone(schedules: Schedules) -> None:
    first = saved(schedules, schedule())
    later = saved(schedules, replace(first, next_at=NOON + 5 * MINUTE))
    assert due(schedules, NOON + MINUTE) == []
    sooner = saved(schedules, replace(later, next_at=NOON - 5 * MINUTE))
    assert due(schedules, NOON) == ["report"]
    assert due(schedules, NOON + timedelta(days=1)) == []
    assert sooner.version


def test_many_are_due_at_once(schedules: Schedules) -> None:
    wanted = [f"report-{number:03}" for number in range(130)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: saved(schedules, schedule(name)), wanted))
    assert due(schedules, NOON + MINUTE) == wanted


class MeanwhileTable(Table):
    """A table before whose next replacement something else happens."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def replace(self, entity: Entity, *, etag: str) -> str | None:
        self.meanwhile()
        return super().replace(entity, etag=etag)


def test_what_is_saved_while_another_looks_for_what_is_due_stays_due(
    azurite: Azurite, unique_name: str
) -> None:
    account = Account(azurite.connection_string)
    table = MeanwhileTable(unique_name, account)
    ours, theirs = TableSchedules(table), TableSchedules(Table(unique_name, account))
    first = saved(theirs, schedule(at=NOON + timedelta(days=1)))
    # The row of its new time stands there, and the schedule does not say so yet.
    table.meanwhile = lambda: list(theirs.due(NOON + MINUTE))
    saved(ours, replace(first, next_at=NOON))
    assert due(theirs, NOON + MINUTE) == ["report"]
