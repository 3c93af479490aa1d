import random
from datetime import timedelta

from local.host.polling import PollingBackOff

LONGEST = timedelta(seconds=5)


def waits(back_off: PollingBackOff, count: int) -> list[float]:
    return [back_off.next_wait().total_seconds() for _ in range(count)]


def test_waits_grow_from_a_tenth_of_a_second_to_the_longest() -> None:
    measured = waits(PollingBackOff(LONGEST, random.Random(1)), 12)
    assert measured[0] == 0.1
    assert measured == sorted(measured)
    assert measured[-1] == 5.0


def test_each_wait_is_about_twice_the_last() -> None:
    for expected, measured in zip(
        [0.1, 0.2, 0.4, 0.8, 1.6], waits(PollingBackOff(LONGEST, random.Random(2)), 5), strict=True
    ):
        assert expected * 0.79 <= measured <= expected * 1.21


def test_a_message_starts_again_from_the_shortest() -> None:
    back_off = PollingBackOff(LONGEST, random.Random(3))
    waits(back_off, 10)
    back_off.found()
    assert back_off.next_wait() == timedelta(milliseconds=100)


def test_instances_do_not_wait_alike() -> None:
    assert waits(PollingBackOff(LONGEST, random.Random(4)), 4) != waits(
        PollingBackOff(LONGEST, random.Random(5)), 4
    )


def test_a_long_quiet_night_costs_nothing() -> None:
    back_off = PollingBackOff(LONGEST, random.Random(6))
    assert waits(back_off, 5000)[-1] == 5.0
