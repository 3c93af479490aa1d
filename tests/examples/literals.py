"""
Reads the message out of a program in C#, Java or PowerShell, by its literals alone.

Each of the three writes an object as an opening, pairs of a name and a value, and a closing; only the marks
differ. A value that is worked out when the program runs is given by whoever reads.
"""

from __future__ import annotations

import json
import re
from typing import Any

_STRING = r'"(?:[^"\\]|\\.)*"|' + r"'[^']*'"
_TOKEN = re.compile(
    rf"(?P<list>new\[\]\s*\{{|List\.of\(|@\()|(?P<object>new\s*\{{|Map\.of\(|@\{{)|(?P<close>[)}}])"
    rf"|(?P<string>{_STRING})|(?P<word>\w+)|(?P<between>[=,\s]+)"
)


def message_in(program: str, *, worked_out: dict[str, str]) -> Any:
    """Return the message that ``program`` assigns; ``worked_out`` has the value of each expression in it."""
    for expression, value in worked_out.items():
        assert expression in program
        program = program.replace(expression, json.dumps(value))
    assigned = re.search(r"message\s*=\s*", program)
    assert assigned
    value, _ = _value(program, assigned.end())
    return value


def _value(program: str, at: int) -> tuple[Any, int]:
    """Return the value that begins at an index, and the index behind it."""
    kind, text, at = _next(program, at)
    if kind in ("string", "word"):
        return (json.loads(text) if text.startswith('"') else text.strip("'")), at
    assert kind in ("list", "object"), text
    found = []
    while _next(program, at)[0] != "close":
        value, at = _value(program, at)
        found.append(value)
    _, _, at = _next(program, at)
    return (found if kind == "list" else dict(zip(found[::2], found[1::2], strict=True))), at


def _next(program: str, at: int) -> tuple[str, str, int]:
    """Return the kind and text of the next token but what only stands between, and the index behind it."""
    while True:
        token = _TOKEN.match(program, at)
        assert token, program[at : at + 40]
        at = token.end()
        if token.lastgroup != "between":
            return str(token.lastgroup), token[0], at
