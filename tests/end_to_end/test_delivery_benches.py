"""The benchmarks of delivery in their short forms, and the arithmetic that the long ones are judged by."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from benchmarks import kill, outage
from benchmarks.rig.rates import share_used

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize("on_doubt", ["resend", "hold"])
def test_instances_that_are_killed_lose_nothing(on_doubt: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--messages", "60", "--instances", "2", "--kills", "2", "--on-doubt", on_doubt]
    seed = str(random.SystemRandom().randrange(1_000_000))
    assert kill.main([*arguments, "--seed", seed]) == 0, capsys.readouterr().out


def test_storage_that_goes_away_costs_no_message_and_doubles_none(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--messages", "40", "--instances", "2", "--seconds", "3"]
    assert outage.main(arguments) == 0, capsys.readouterr().out


def bursts(at: Sequence[float], each: int) -> list[float]:
    return [moment + number / 1000 for moment in at for number in range(each)]


@pytest.mark.parametrize(
    ("times", "share"),
    [
        pytest.param(bursts([0, 60, 120, 180, 240], 30), 1.0, id="full bursts"),
        pytest.param([2.0 * number for number in range(121)], 1.0, id="one every two seconds"),
        pytest.param([4.0 * number for number in range(61)], 0.5, id="half as fast"),
        pytest.param(bursts([0, 90, 180], 30), 0.5, id="every other burst is late"),
        pytest.param(
            [*bursts([0], 30), *(60 + 4.0 * number for number in range(31))], 0.5, id="a good start only"
        ),
        pytest.param(bursts([0, 60], 30), None, id="nothing but the opening minute"),
        pytest.param([], None, id="nothing at all"),
    ],
)
def test_the_opening_burst_flatters_no_rate(times: list[float], share: float | None) -> None:
    assert share_used(times, 30) == share
