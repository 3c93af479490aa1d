"""
The mailboxes of an address list (RFC 5322 §3.4): names and comments left out, groups opened.

Written here because the standard library's reader raises what nobody declares (``IndexError``,
``AttributeError``, ``RecursionError``) on fields that an app may well send, and takes seconds for a long one.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^"\\()<>,:;]+|\\.|.', re.DOTALL)
_IN_COMMENT = re.compile(r"[()]|\\.", re.DOTALL)
_NO_ADDRESS = "is not an address"


def mailboxes(text: str) -> list[str]:
    """
    Return ``local@domain`` of each, unchecked, from a field's unfolded value.

    Raises ``ValueError`` where quotes, brackets or comments do not close or something follows a bracket; time
    grows with the text alone.
    """
    reader = _Reader()
    place = 0
    while place < len(text):
        piece = _TOKEN.match(text, place)
        assert piece is not None  # its last choice is any character
        place = piece.end()
        if piece[0] == "(":
            place = _after_comment(text, place)
        else:
            reader.take(piece[0])
    return reader.end()


def _after_comment(text: str, place: int) -> int:
    depth = 1
    for found in _IN_COMMENT.finditer(text, place):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if not depth:
            return found.end()
    raise ValueError("has a comment without an end")


class _Reader:
    """What was read of one mailbox, and those before it."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._words: list[str] = []
        #: What stands in angle brackets, once they were opened.
        self._route: list[str] | None = None
        self._inside = False

    def take(self, piece: str) -> None:
        """Take the next piece that is no comment."""
        if self._inside:
            self._take_inside(piece)
        elif piece == "<" and self._route is None:
            self._route, self._inside = [], True
        elif piece in (",", ";"):
            self._close()
        elif piece == ":" and self._route is None:
            self._words.clear()  # the name of a group
        elif piece in ("<", ">", ")", '"', ":") or (self._route is not None and piece.strip()):
            raise ValueError(_NO_ADDRESS)
        else:
            self._words.append(piece)

    def _take_inside(self, piece: str) -> None:
        if piece == ">":
            self._inside = False
        elif self._route is None or piece in ("<", ",", ";", ":", ")", '"'):
            raise ValueError(_NO_ADDRESS)
        else:
            self._route.append(piece)

    def _close(self) -> None:
        if self._route is not None:
            self._found.append("".join(self._route).strip())
        elif any(word.strip() for word in self._words):
            self._found.append("".join(self._words).strip())
        self._words, self._route = [], None

    def end(self) -> list[str]:
        """Return every mailbox; the text has ended."""
        if self._inside:
            raise ValueError(_NO_ADDRESS)
        self._close()
        return self._found
