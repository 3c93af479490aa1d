"""
A process that is asked in lines of JSON and answers each with one; it ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

from local.environment import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


class Child:
    """Our end of one. ``facts`` is what it said when it was ready."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.facts = self._answer()

    @classmethod
    @contextlib.contextmanager
    def start(cls, command: Sequence[str], *, folder: Path = ROOT) -> Iterator[Self]:
        """Start it in ``folder`` and end it."""
        pipe = subprocess.PIPE
        # Closing its standard input, as leaving does, ends it.
        with subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, encoding="utf-8") as process:
            yield cls(process)

    @classmethod
    def python(cls, module: str, *arguments: str) -> contextlib.AbstractContextManager[Self]:
        """Start a module of ours."""
        return cls.start([sys.executable, "-m", module, *arguments])

    def ask(self, **question: Any) -> dict[str, Any]:
        """Ask and return the answer."""
        if self._process.stdin is None:
            raise RuntimeError("a child without its pipes")
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended; what it said stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def answer_questions(facts: dict[str, Any], answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """In the child: say the facts, then answer until there are no more questions."""
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
