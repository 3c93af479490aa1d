"""What is said of recurring mail is what the code does: fields, answers, clocks, working days."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core import recurrence, schedule
from shared.core.recurrence import Recurrence, WorkingDays, occurrence_id
from shared.core.timetable import zone
from shared.errors import MessageError
from shared.scribe import SOON
from shared.web import schedule_routes
from shared.workflows import schedules
from shared.workflows.schedules import SchedulesTools
from tests.pages import (
    APPS,
    ROOT,
    blocks,
    listed,
    section,
    senders_of_the_docs,
)
from tests.twins import Clock, MemoryOutbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.core.schedule import Schedule


# The moment at which the examples of the docs happen.
NOW = datetime(2026, 11, 24, 7, 41, 59, tzinfo=UTC)


class OneSchedule:
    """A store that holds one schedule."""

    def __init__(self) -> None:
        self.kept: Schedule | None = None

    def find(self, name: str) -> Schedule | None:
        return self.kept if self.kept and self.kept.name == name else None

    def save(self, schedule: Schedule) -> Schedule:
        self.kept = replace(schedule, version="1")
        return self.kept

    def page(self, *, token: str, limit: int) -> tuple[list[Schedule], str]:
        raise AssertionError(f"nobody asks for {limit} from {token!r} on")

    def remove(self, name: str) -> None:
        raise AssertionError(f"{name} is not to be removed")

    def due(self, until: datetime) -> Iterator[Schedule]:
        raise AssertionError(f"nobody asks what is due by {until}")


def test_the_schedule_in_the_docs_gets_the_answer_that_stands_there() -> None:
    asked, answer = blocks(section(APPS, "Recurring mail"), "json")
    tools = SchedulesTools(OneSchedule(), MemoryOutbox(), senders_of_the_docs(), Clock(NOW))
    response = schedule_routes.put(tools, "monthly-report", asked.encode())
    assert response.status == 201
    assert json.loads(response.body) == json.loads(answer)
    assert schedule_routes.put(tools, "monthly-report", asked.encode()).status == 200
    first = datetime.fromisoformat(json.loads(answer)["next"][0])
    assert f"`{occurrence_id('monthly-report', first)}`" in section(APPS, "The id of an occurrence")


def test_the_fields_of_a_schedule_in_the_docs_are_those_of_the_code() -> None:
    told = section(APPS, "Fields of a schedule")
    assert sorted(listed(told)) == sorted(schedule.ScheduleFields.model_fields)
    for only_shown in ("name", "state", "occurred", "last_message_id", "next"):
        assert f"`{only_shown}`" in told
    source = (ROOT / "shared" / "core" / "schedule.py").read_text("utf-8")
    largest = re.search(r"^_LARGEST_MESSAGE_BYTES = ([\d_]+)$", source, re.MULTILINE)
    assert largest
    assert f"At most {largest[1].replace('_', '')} octets" in told
    assert f"up to {SOON.seconds} seconds ahead" in told


@pytest.mark.parametrize(
    ("field", "example"),
    re.findall(r"^\| `(\w+)` \| `(.+?)` \|", section(APPS, "Fields of a schedule"), re.MULTILINE),
)
def test_the_example_of_each_field_of_a_schedule_is_taken(field: str, example: str) -> None:
    when = {} if field in ("cron", "every") else {"cron": "0 9 * * *"}
    schedules.read({**when, "message": {"to": "ada@example.com"}, field: json.loads(example)})


def as_told(at: datetime) -> str:
    """Return a moment as the table of clocks writes it."""
    return f"{at:%Y-%m-%d %H:%M} {at.isoformat()[-6:]}"


@pytest.mark.parametrize(
    ("name", "when", "shown"),
    re.findall(
        r"^\| `(\w+/\w+)` \| `(.+?)` \| (.+?) \| .+ \|$", section(APPS, "When clocks change"), re.MULTILINE
    ),
)
def test_what_the_table_of_clocks_shows_is_what_occurs(name: str, when: str, shown: str) -> None:
    told = re.findall(r"`(.+?)`", shown)
    first = datetime.strptime(told[0], "%Y-%m-%d %H:%M %z")
    every = recurrence.duration(when) if when.startswith("P") else None
    found = Recurrence(zone=zone(name), start=first, line="" if every else when, every=every)
    occurs = found.next_ones(first - timedelta(seconds=1), len(told))
    assert [as_told(at.astimezone(zone(name))) for at in occurs] == told


@pytest.mark.parametrize(
    ("rule", "line", "holidays", "shown"),
    re.findall(
        r"^\| `(\w+)` \| `(.+?)` \| `(\d.+?)` \| (.+?) \|$", section(APPS, "Working days"), re.MULTILINE
    ),
)
def test_what_the_table_of_working_days_shows_is_what_occurs(
    rule: str, line: str, holidays: str, shown: str
) -> None:
    told = [datetime.fromisoformat(f"{day}T09:00:00+00:00") for day in re.findall(r"`(.+?)`", shown)]
    off = WorkingDays(rule, frozenset({datetime.fromisoformat(holidays).date()}))
    found = Recurrence(zone=UTC, start=told[0] - timedelta(days=1), line=line, working_days=off)
    assert found.next_ones(told[0] - timedelta(seconds=1), len(told)) == told


def test_a_schedule_is_refused_in_the_words_of_the_docs() -> None:
    told = section(APPS, "What a schedule is refused for")
    (asked,) = blocks(told, "json")
    at_first, then = (text.splitlines() for text in blocks(told, "text"))
    value = json.loads(asked)
    with pytest.raises(MessageError) as refused:
        schedules.read(value)
    assert list(refused.value.problems) == at_first
    with pytest.raises(MessageError) as refused:
        schedules.read({**value, "cron": "0 9 * * mon", "time_zone": "Europe/Vienna"})
    assert list(refused.value.problems) == then
