"""
What Bicep's expressions come to: as much of the language as this deployment is written in.

What only Azure knows when it deploys (a client id, a host name) is a ``Later``: a text that says where it
comes from.
Sources: Azure Resource Manager, "Bicep functions" and "Bicep operators".
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

from tests.infra.bicep import loop_of, parts, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.infra.bicep import Node

_ESCAPES = {"\\n": "\n", "\\r": "\r", "\\t": "\t", "\\'": "'", "\\\\": "\\", "\\$": "$"}


class FailedError(Exception):
    """The deployment was refused by ``fail()``; the message is the sentence."""


class Later(str):
    """What is known only when Azure deploys; its text says what it is."""

    __slots__ = ()


class Reference:
    """A resource or a module: what is known of it now, and ``Later`` for the rest."""

    def __init__(self, name: str, known: Mapping[str, Any]) -> None:
        self.name = name
        self.known = known

    def get(self, key: str) -> Any:
        """Return a property."""
        return self.known[key] if key in self.known else Later(f"<{self.name}.{key}>")


def unique_string(*values: Any) -> str:
    """Return 13 letters and digits that follow from the values, as ``uniqueString`` does."""
    digest = hashlib.sha256(json.dumps(values).encode()).digest()
    return "".join("abcdefghijklmnopqrstuvwxyz234567"[octet % 32] for octet in digest[:13])


def _split(text: str, delimiters: str | Sequence[str]) -> list[str]:
    pieces = [text]
    for delimiter in [delimiters] if isinstance(delimiters, str) else delimiters:
        pieces = [each for piece in pieces for each in piece.split(delimiter)]
    return pieces


def _union(*values: Any) -> Any:
    merged: dict[str, Any] = {}
    for each in values:
        merged |= each
    return merged


def _concat(*values: Any) -> Any:
    return "".join(values) if isinstance(values[0], str) else [item for each in values for item in each]


def _fail(sentence: str) -> None:
    raise FailedError(sentence)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "cidrSubnet": lambda network, size, index: f"{network}#{size}/{index}",
    "concat": _concat,
    "contains": lambda container, item: item in container,
    "empty": lambda value: not value,
    "endsWith": str.endswith,
    "fail": _fail,
    "filter": lambda items, test: [item for item in items if test(item)],
    "first": lambda items: items[0],
    "guid": lambda *values: str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(values))),
    "indexOf": str.find,
    "join": lambda items, between: between.join(items),
    "last": lambda items: items[-1],
    "length": len,
    "map": lambda items, change: [change(item) for item in items],
    "replace": lambda text, old, new: text.replace(old, new),
    "skip": lambda items, number: items[number:],
    "split": _split,
    "startsWith": str.startswith,
    "string": str,
    "subscriptionResourceId": lambda kind, *names: "/".join(("/subscriptions/…/providers", kind, *names)),
    "toLower": str.lower,
    "trim": str.strip,
    "union": _union,
    "uniqueString": unique_string,
}
_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    "+": lambda left, right: left + right,
}


class Scope:
    """Names and what they stand for; ``look_up`` finds those of the file."""

    def __init__(
        self,
        look_up: Callable[[str], Any],
        functions: Mapping[str, Callable[..., Any]],
        local: Mapping[str, Any],
    ) -> None:
        self._look_up = look_up
        self._functions = functions
        self._local = local

    def within(self, names: Mapping[str, Any]) -> Scope:
        """Return this scope with some more names."""
        return Scope(self._look_up, self._functions, {**self._local, **names})

    def value(self, node: Node) -> Any:
        """Return what an expression comes to."""
        return getattr(self, f"_{node.type}")(node)

    def _identifier(self, node: Node) -> Any:
        name = text_of(node)
        return self._local[name] if name in self._local else self._look_up(name)

    def _number(self, node: Node) -> int:
        return int(text_of(node))

    def _boolean(self, node: Node) -> bool:
        return text_of(node) == "true"

    def _null(self, _node: Node) -> None:
        return None

    def _string(self, node: Node) -> str:
        # The grammar takes blanks at the edges of a piece for space between tokens, so they are read from the
        # source.
        source, at = text_of(node).encode(), 1
        pieces: list[str] = []
        is_later = False
        for child in node.named_children:
            start, end = child.start_byte - node.start_byte, child.end_byte - node.start_byte
            pieces.append(source[at:start].decode())
            at = end
            if child.type == "interpolation":
                filled = self.value(parts(child)[0])
                is_later |= isinstance(filled, Later)
                pieces.append(str(filled))
            else:
                pieces.append(_ESCAPES.get(text_of(child), text_of(child)))
        pieces.append(source[at:-1].decode())
        return Later("".join(pieces)) if is_later else "".join(pieces)

    def _array(self, node: Node) -> list[Any]:
        return [self.value(each) for each in parts(node)]

    def _object(self, node: Node) -> dict[str, Any]:
        made = {}
        for each in parts(node):
            key, value = parts(each)
            made[self.value(key) if key.type == "string" else text_of(key)] = self.value(value)
        return made

    def _parenthesized_expression(self, node: Node) -> Any:
        return self.value(parts(node)[0])

    def _ternary_expression(self, node: Node) -> Any:
        condition, yes, no = parts(node)
        return self.value(yes if self.value(condition) else no)

    def _unary_expression(self, node: Node) -> Any:
        assert text_of(node).startswith("!"), text_of(node)
        return not self.value(parts(node)[0])

    def _binary_expression(self, node: Node) -> Any:
        left, right = parts(node)
        operator = node.child_by_field_name("operator")
        assert operator is not None, text_of(node)
        if operator.type == "&&":
            return bool(self.value(left)) and bool(self.value(right))
        if operator.type == "||":
            return bool(self.value(left)) or bool(self.value(right))
        return _BINARY[operator.type](self.value(left), self.value(right))

    def _member_expression(self, node: Node) -> Any:
        of, key = parts(node)
        return _member(self.value(of), text_of(key))

    def _subscript_expression(self, node: Node) -> Any:
        of, key = parts(node)
        return _member(self.value(of), self.value(key))

    def _lambda_expression(self, node: Node) -> Callable[..., Any]:
        *names, body = parts(node)
        return lambda *values: self.within(
            {text_of(name): value for name, value in zip(names, values, strict=True)}
        ).value(body)

    def _for_statement(self, node: Node) -> list[Any]:
        loop, body = loop_of(node)
        return [
            self.within({loop.item: item, loop.index: index}).value(body)
            for index, item in enumerate(self.value(loop.collection))
        ]

    def _call_expression(self, node: Node) -> Any:
        function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        assert function is not None, text_of(node)
        assert arguments is not None, text_of(node)
        name = text_of(function)
        values = [self.value(each) for each in parts(arguments)]
        if name == "filter" and isinstance(values[0], Later):
            return Later(f"<some of {values[0]}>")
        return (self._functions.get(name) or FUNCTIONS[name])(*values)


def _member(of: Any, key: Any) -> Any:
    if isinstance(of, Later):
        return Later(f"{of}.{key}")
    if isinstance(of, Reference):
        return of.get(key)
    return of[key]
