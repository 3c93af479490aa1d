"""
What the commands print: calm lines, in colour where a person looks and plain where a file does.
"""

from __future__ import annotations

import os
import sys
import textwrap
import time

_WIDTH = 100


class Terminal:
    """Prints steps with the seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def title(self, text: str) -> None:
        """A headline."""
        self._print(f"\n{self._in('1', text)}\n")

    def step(self, text: str) -> None:
        """Something begins, or has been done."""
        seconds = f"{time.monotonic() - self._began:5.1f} s"
        self._print(f"{self._in('2', seconds)}  {text}")

    def detail(self, text: str) -> None:
        """More about the step above, as it is."""
        for line in text.splitlines():
            for piece in textwrap.wrap(line, _WIDTH, drop_whitespace=False) or [""]:
                self._print(f"         {self._in('2', '│')} {piece}")

    def good(self, text: str) -> None:
        """What went right."""
        self._print(f"\n{self._in('32', '✓')} {text}")

    def bad(self, text: str) -> None:
        """What went wrong, on standard error."""
        print(f"\n{self._in('31', '✗')} {text}", file=sys.stderr, flush=True)

    def facts(self, pairs: dict[str, str]) -> None:
        """Names and values in two columns."""
        width = max(map(len, pairs))
        for name, value in pairs.items():
            self._print(f"  {self._in('2', name.ljust(width))}  {value}")

    def paragraph(self, text: str) -> None:
        """Running text."""
        self._print(textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="  "))

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text

    @staticmethod
    def _print(text: str) -> None:
        print(text, flush=True)
