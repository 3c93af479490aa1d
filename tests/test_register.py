from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.core.holds import SenderState
from shared.register import Register
from tests.twins import NOON, MemorySenders

if TYPE_CHECKING:
    from collections.abc import Callable


class Watched(MemorySenders):
    """The twin, which counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.loads = 0
        self.saves = 0

    def load(self, sender: str) -> SenderState:
        self.loads += 1
        return super().load(sender)

    def save(self, state: SenderState) -> SenderState | None:
        self.saves += 1
        return super().save(state)


def register(store: MemorySenders, pause: Callable[[float], object] = lambda _: None) -> Register:
    return Register(store, pause=pause, jitter=lambda: 0.5)


def marked(state: SenderState) -> SenderState:
    return replace(state, line=True)


def test_a_change_is_written_and_says_what_was_and_what_is() -> None:
    store = Watched()
    before, after = register(store).change("noreply", marked)
    assert before == SenderState("noreply")
    assert after == store.load("noreply") == replace(marked(before), version=after.version)
    assert register(store).read("noreply") == after
    assert register(store).all() == [after]


def test_a_decision_that_changes_nothing_writes_nothing() -> None:
    store = Watched()
    before, after = register(store).change("noreply", lambda state: state)
    assert before is after
    assert (store.loads, store.saves) == (1, 0)


def test_what_was_read_before_saves_reading_it_again() -> None:
    store = Watched()
    _, known = register(store).change("noreply", marked)
    store.loads = 0
    _, after = register(store).change("noreply", lambda s: replace(s, last_mail_at=NOON), known=known)
    assert store.load("noreply") == after
    assert store.loads == 1  # the one of this test


def test_where_somebody_was_faster_it_is_decided_again_from_what_they_wrote() -> None:
    store = Watched()
    _, known = register(store).change("noreply", marked)
    register(store).change("noreply", lambda state: replace(state, serving={"a": NOON}))
    seen: list[SenderState] = []

    def decide(state: SenderState) -> SenderState:
        seen.append(state)
        return replace(state, serving={**state.serving, "b": NOON})

    before, after = register(store).change("noreply", decide, known=known)
    assert [set(state.serving) for state in seen] == [set(), {"a"}]
    assert before.serving == {"a": NOON}
    assert after.serving == {"a": NOON, "b": NOON}


def test_who_loses_race_after_race_steps_aside() -> None:
    store, pauses, left = MemorySenders(), list[float](), 6

    def faster(_: str) -> None:
        nonlocal left
        if left:
            left -= 1
            state = store.load("noreply")
            store.before = lambda _: None
            store.save(replace(state, serving={f"{left}": NOON}))
            store.before = faster

    store.before = faster
    _, after = register(store, pauses.append).change("noreply", marked)
    assert after.line
    assert set(after.serving) == {"0"}
    assert len(pauses) == 4  # the first races are run at once
    assert pauses == sorted(pauses)
    assert all(0 < pause < 1 for pause in pauses)


def test_no_change_of_many_at_once_is_lost() -> None:
    store = MemorySenders()

    def add(number: int) -> None:
        register(store).change(
            "noreply", lambda state: replace(state, serving={**state.serving, f"{number}": NOON})
        )

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(200)))
    assert len(store.load("noreply").serving) == 200
