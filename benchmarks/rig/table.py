"""A run as a small table: what was seen, what is demanded, and whether the two agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``demanded`` is empty for what is only told."""

    name: str
    seen: str
    demanded: str = ""
    holds: bool = True


def show(title: str, rows: Sequence[Row]) -> bool:
    """Print the figures of a run and return whether everything holds that is demanded."""
    print(f"\n{title}")
    width = max(len(row.name) for row in rows)
    for row in rows:
        verdict = f"  demanded: {row.demanded}{'' if row.holds else '  FAILED'}" if row.demanded else ""
        print(f"  {row.name:<{width}}  {row.seen:>12}{verdict}", flush=True)
    return all(row.holds for row in rows)
