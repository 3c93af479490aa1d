"""
Whatever the point at which an instance dies, every message is accepted once and told; found by trying all.

Each story is run once for each of its points. Only an instance that dies between the server's yes and the
record of it costs a second copy, and that is the same mail, octet by octet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from shared.core.smtp import Phase, Reply, Submission
from shared.errors import StorageError
from tests.twins import ACCEPTED, Crash
from tests.workflows.conftest import BILLING, message
from tests.workflows.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

TOO_FAST = Submission(Phase.MAIL, Reply(432, ("4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",)))
BUSY = Submission(Phase.MAIL, Reply(451, ("4.3.2 Please try again later",)))
FULL = Submission(Phase.DATA, Reply(552, ("5.2.2 Mailbox full",)))
NOT_AS = Submission(Phase.END_OF_DATA, Reply(554, ("5.2.252 SendAsDenied; not allowed to send as it",)))
QUOTA = Submission(Phase.END_OF_DATA, Reply(554, ("5.2.0 SubmissionQuotaExceeded",)))
SWITCHED_OFF = Submission(
    Phase.AUTH, Reply(535, ("5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled",))
)


@dataclass(frozen=True)
class Story:
    """
    Messages by the second in which they come, and what the server says to the first of them.

    ``doors`` is what it says to probes, ``of_billing`` to mail from there; ``billing`` names that mail.
    """

    comes: tuple[tuple[float, str], ...]
    script: tuple[Submission, ...] = ()
    doors: tuple[Submission, ...] = ()
    billing: str = ""
    of_billing: tuple[Submission, ...] = ()
    minutes: int = 75


FOUR = ((0, "a"), (1, "b"), (2, "c"), (40, "d"))
STORIES = {
    "nothing is wrong": Story(FOUR),
    "too fast": Story(FOUR, (TOO_FAST,)),
    "too fast twice": Story(FOUR, (TOO_FAST, TOO_FAST)),
    "the day is full": Story(FOUR, (QUOTA,), minutes=140),
    "the first goes again soon": Story(FOUR, (BUSY,)),
    "the first goes again late": Story(FOUR[:2], (BUSY, ACCEPTED, BUSY, BUSY), minutes=110),
    "a probe can see that it is mended": Story(FOUR, (SWITCHED_OFF,), (SWITCHED_OFF,)),
    "only a message can see that it is mended": Story(FOUR, (FULL, FULL)),
    "an address may not send": Story(FOUR, billing="a", of_billing=(NOT_AS, NOT_AS)),
    "an address with more mail may not send": Story(FOUR, billing="acd", of_billing=(NOT_AS, NOT_AS)),
}


def world(story: Story, at: Callable[[int, str], object]) -> World:
    made = World(story.script, at=at)
    made.server.doors = list(story.doors)
    made.server.of_address[BILLING] = list(story.of_billing)
    for second, name in story.comes:
        address = {"from": BILLING} if name in story.billing else {}
        made.put(message(id=name, subject=name, **address), after=second)
    return made


def points_of(story: Story) -> list[tuple[int, str]]:
    told = world(story, _nothing)
    told.run(story.minutes)
    return list(enumerate(told.points, start=1))


def faults(told: World, story: Story, *, twice: bool = False) -> list[str]:
    """Return what is not as it should be when the story is over."""
    names = {name for _, name in story.comes}
    found = [f"{name} is {state}" for name, state in told.states().items() if state != "accepted"]
    found += [f"{name} is lost" for name in sorted(names - set(told.states()))]
    copies = told.accepted.total() - len(names)
    if copies > twice:
        found.append(f"{copies} copies too many: {dict(told.accepted)}")
    if len({each.mime for each in told.server.submitted}) != len(names):
        found.append("a copy is another mail")
    heard = {entry.id for entry in told.instance.events.told if entry.state.value == "accepted"}
    found += [f"nobody was told of {name}" for name in sorted(names - heard)]
    found += [f"{left} is left" for left in told.left()]
    return found


@pytest.mark.parametrize("name", STORIES)
def test_without_a_crash_everything_is_accepted_once_and_nothing_is_left(name: str) -> None:
    told = world(STORIES[name], _nothing)
    told.run(STORIES[name].minutes)
    assert faults(told, STORIES[name]) == []


@pytest.mark.parametrize("name", STORIES)
def test_wherever_an_instance_dies_everything_is_accepted_and_nothing_is_left(name: str) -> None:
    story, wrong = STORIES[name], {}
    for point, said in points_of(story):
        told = world(story, _raising(Crash(), at=point))
        told.run(story.minutes)
        may_be_twice = said in {"after server.submit", "before ledger.update"}
        if found := faults(told, story, twice=may_be_twice):
            wrong[f"{point} {said}"] = found
    assert wrong == {}


@pytest.mark.parametrize("name", STORIES)
def test_wherever_storage_fails_once_everything_is_accepted_once_and_nothing_is_left(name: str) -> None:
    story, wrong = STORIES[name], {}
    for point, said in points_of(story):
        if "server." in said:
            continue
        told = world(story, _raising(StorageError("no answer"), at=point))
        told.run(story.minutes)
        if found := faults(told, story):
            wrong[f"{point} {said}"] = found
    assert wrong == {}


def _nothing(_number: int, _name: str) -> None:
    """Let it happen."""


def _raising(error: Exception, *, at: int) -> Callable[[int, str], None]:
    def reached(number: int, _name: str) -> None:
        if number == at:
            raise error

    return reached
