"""
Minds changed at the last moment: ``python3 -m local bench races [--messages N] [--over N] [--seed N]``.

Each message is cancelled, or given another time, around the very moment at which it falls due: over the
queue or over HTTP. It must either be sent once, at a time that was right, or be cancelled; and what the
caller was told over HTTP must be what happened.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rig import ledger, mails, outbox
from benchmarks.rig.stage import RAISED, plain, stage
from benchmarks.rig.table import Row, show
from benchmarks.scheduling import amending
from benchmarks.scheduling.amending import Answer, Race, Way
from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rig.mails import Copy
    from benchmarks.rig.stage import Stage

# Around the moment of a claim: over HTTP it is that moment; on the queue it is read up to 2 s later.
_HTTP_SECONDS = (-0.4, 0.4)
_QUEUE_SECONDS = (-2.5, 0.5)
# To where a message is moved: so late that a time which was not heeded shows.
_LATER_SECONDS = (4.0, 9.0)
_SECONDS = 90  # past the last time
_LATE_SECONDS = 5.0  # told, not demanded: the machine is busy with all of them at once
_SHOWN = 10
_OK, _CONFLICT = 200, 409


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What is known of one message at the end."""

    race: Race
    state: State | None
    states: Sequence[State]
    copies: Sequence[Copy]
    answer: Answer | None

    @property
    def moved(self) -> bool:
        """Whether it was given its other time: it was scheduled a second time."""
        return list(self.states).count(State.SCHEDULED) > 1

    @property
    def right_time(self) -> datetime:
        """When it was to be sent."""
        return self.race.then if self.moved else self.race.at

    def wrong(self) -> str:
        """Return what is wrong with it, "" where nothing is."""
        if self.state not in (State.ACCEPTED, State.CANCELLED):
            return f"is {self.state.value if self.state else 'unknown'}"
        sent = self.state is State.ACCEPTED
        if len(self.copies) != int(sent):
            return f"is {self.state.value}, and the mail server has it {len(self.copies)} times"
        if not sent and not self.race.way.is_cancel:
            return "is cancelled, and nobody asked for that"
        if sent and (seconds := (self.copies[0].received_at - self.right_time).total_seconds()) < 0:
            return f"was sent {-seconds:.3f} s early"
        return self._untrue()

    def _untrue(self) -> str:
        """Return where the caller was told something else than happened."""
        if self.answer is None:
            return ""
        done = self.state is State.CANCELLED if self.race.way.is_cancel else self.moved
        told = State.CANCELLED if self.race.way.is_cancel else State.SCHEDULED
        if self.answer.status == _OK and done and self.answer.state == told.value:
            return ""
        late = (State.SENDING.value, State.ACCEPTED.value)
        if self.answer.status == _CONFLICT and not done and self.answer.state in late:
            return ""
        so = "was done" if done else "was not done"
        return f"was answered {self.answer.status} {self.answer.state!r}, and it {so}"


def main(arguments: Sequence[str]) -> int:
    """Run it once and print what came of it; 0 when everything holds."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench races", description=__doc__)
    parser.add_argument("--messages", type=int, default=500)
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--over", type=float, default=60, help="seconds that the times are spread over")
    parser.add_argument("--ahead", type=float, default=45, help="seconds from now to the first of them")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the host's log there")
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    with stage(instances=options.instances, limits=RAISED, keep=options.keep) as made:
        return 0 if _run(made, options, random.Random(options.seed)) else 1


def _run(made: Stage, options: argparse.Namespace, chance: random.Random) -> bool:
    first = datetime.now(UTC) + timedelta(seconds=options.ahead)
    races = [_race(number, first, options.over, chance) for number in range(options.messages)]
    messages = [plain(race.message_id, made.senders[0], send_at=race.at.isoformat()) for race in races]
    outbox.drop(made.facts, messages)
    answers = amending.run(made.facts, races)
    ids = [race.message_id for race in races]
    states = ledger.until_settled(made, ids, seconds=_LATER_SECONDS[1] + _SECONDS)
    copies = mails.by_subject(mails.received(made.facts))
    histories = amending.histories(made.facts)
    outcomes = [
        _Outcome(
            race,
            states.get(race.message_id),
            histories.get(race.message_id, ()),
            copies.get(race.message_id, ()),
            answers.get(race.message_id),
        )
        for race in races
    ]
    return _told(outcomes, f"{options.messages} messages, {made.instances} instances")


def _race(number: int, first: datetime, over: float, chance: random.Random) -> Race:
    way = list(Way)[number % len(Way)]
    at = first + timedelta(seconds=chance.uniform(0, over))
    around = _HTTP_SECONDS if way.answers else _QUEUE_SECONDS
    return Race(
        message_id=f"race-{number:05}",
        way=way,
        at=at,
        moment=at + timedelta(seconds=chance.uniform(*around)),
        then=at + timedelta(seconds=chance.uniform(*_LATER_SECONDS)),
    )


def _told(outcomes: Sequence[_Outcome], title: str) -> bool:
    rows = []
    for way in Way:
        of_it = [each for each in outcomes if each.race.way is way]
        done = sum(each.state is State.CANCELLED if way.is_cancel else each.moved for each in of_it)
        rows.append(Row(f"{way.value}: in time, too late", f"{done}, {len(of_it) - done}"))
    answered = Counter(each.answer.status for each in outcomes if each.answer)
    rows.append(Row("answers", ", ".join(f"{status}: {times}" for status, times in sorted(answered.items()))))
    sent = [each for each in outcomes if each.copies]
    late = sum(
        each.copies[0].received_at - each.right_time > timedelta(seconds=_LATE_SECONDS) for each in sent
    )
    both = sum(each.state is State.CANCELLED and bool(each.copies) for each in outcomes)
    twice = sum(len(each.copies) > 1 for each in outcomes)
    wrong = [(each, said) for each in outcomes if (said := each.wrong())]
    rows += [
        Row("sent", f"{len(sent)}"),
        Row(f"of them more than {_LATE_SECONDS:g} s late", f"{late}"),
        Row("cancelled and sent", f"{both}", "0", holds=not both),
        Row("sent twice", f"{twice}", "0", holds=not twice),
        Row("wrong in any way, answers too", f"{len(wrong)}", "0", holds=not wrong),
    ]
    holds = show(title, rows)
    for each, said in wrong[:_SHOWN]:
        history = ", ".join(state.value for state in each.states)
        print(f"  {each.race.message_id} ({each.race.way.value}) {said}; its history: {history}", flush=True)
    return holds
