"""
Route templates of HTTP triggers: which function a path names, and the values it carries.

The subset of ASP.NET Core's templates that the HTTP trigger documents: literals, `{name}`, `{name?}`,
`{*rest}`, and constraints such as `{id:int}`.
"""

import dataclasses
import re
import uuid
from collections.abc import Callable, Mapping
from urllib.parse import unquote

_PARAMETER = re.compile(
    r"\{(?P<all>\*{0,2})(?P<name>[A-Za-z_]\w*)(?P<constraints>(?::[^{}?]+)*)(?P<optional>\??)\}"
)


def _is_guid(value: str) -> bool:
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True


def _is_number(value: str, convert: Callable[[str], object]) -> bool:
    try:
        convert(value)
    except ValueError:
        return False
    return True


def _has_length(value: str, argument: str) -> bool:
    least, _, most = argument.partition(",")
    return int(least) <= len(value) <= int(most or least)


#: A constraint's name -> whether a value (with the constraint's argument) keeps it.
_CONSTRAINTS: Mapping[str, Callable[[str, str], bool]] = {
    "int": lambda value, _: re.fullmatch(r"-?\d{1,10}", value) is not None and abs(int(value)) < 2**31,
    "long": lambda value, _: re.fullmatch(r"-?\d{1,19}", value) is not None and abs(int(value)) < 2**63,
    "decimal": lambda value, _: _is_number(value, float),
    "double": lambda value, _: _is_number(value, float),
    "float": lambda value, _: _is_number(value, float),
    "bool": lambda value, _: value.lower() in {"true", "false"},
    "guid": lambda value, _: _is_guid(value),
    "alpha": lambda value, _: re.fullmatch(r"[A-Za-z]+", value) is not None,
    "length": _has_length,
    "minlength": lambda value, argument: len(value) >= int(argument),
    "maxlength": lambda value, argument: len(value) <= int(argument),
    "min": lambda value, argument: _is_number(value, int) and int(value) >= int(argument),
    "max": lambda value, argument: _is_number(value, int) and int(value) <= int(argument),
    "regex": lambda value, argument: re.search(argument, value) is not None,
}


@dataclasses.dataclass(frozen=True, slots=True)
class _Segment:
    """One piece between slashes: a literal, or a parameter."""

    literal: str | None = None
    name: str = ""
    constraints: tuple[tuple[str, str], ...] = ()
    optional: bool = False
    rest: bool = False

    @property
    def rank(self) -> int:
        """Return the order in which templates are tried: literals first, catch-alls last."""
        if self.literal is not None:
            return 0
        return 3 if self.rest else (1 if self.constraints else 2)

    def takes(self, value: str) -> bool:
        if self.literal is not None:
            return self.literal.lower() == value.lower()
        return bool(value) and all(_CONSTRAINTS[name](value, argument) for name, argument in self.constraints)


@dataclasses.dataclass(frozen=True, slots=True)
class RouteTemplate:
    """A parsed template."""

    text: str
    segments: tuple[_Segment, ...]

    @property
    def precedence(self) -> tuple[int, ...]:
        """Return the sort key under which the more specific template comes first."""
        return tuple(segment.rank for segment in self.segments)

    def match(self, path: str) -> dict[str, str] | None:
        """Return the values in a raw (percent-encoded) path, or None when it is another route's."""
        pieces = [unquote(piece) for piece in path.strip("/").split("/")] if path.strip("/") else []
        values: dict[str, str] = {}
        for position, segment in enumerate(self.segments):
            if segment.rest:
                if position < len(pieces):
                    values[segment.name] = "/".join(pieces[position:])
                return values
            if position >= len(pieces):
                return values if all(left.optional for left in self.segments[position:]) else None
            if not segment.takes(pieces[position]):
                return None
            if segment.literal is None:
                values[segment.name] = pieces[position]
        return values if len(pieces) == len(self.segments) else None


def parse_template(text: str) -> RouteTemplate:
    """Return the template; ValueError for one that this host cannot serve."""
    pieces = text.strip("/").split("/") if text.strip("/") else []
    segments = tuple(_parse_segment(piece, text) for piece in pieces)
    for segment in segments[:-1]:
        if segment.optional or segment.rest:
            raise ValueError(f"only the last part of a route may be optional or take the rest: {text!r}")
    return RouteTemplate(text, segments)


def _parse_segment(piece: str, route: str) -> _Segment:
    if "{" not in piece and "}" not in piece:
        return _Segment(literal=piece)
    match = _PARAMETER.fullmatch(piece)
    if match is None:
        raise ValueError(f"{piece!r} in the route {route!r} is neither a literal nor one parameter")
    constraints = tuple(_parse_constraint(text, route) for text in match["constraints"].split(":") if text)
    return _Segment(
        name=match["name"],
        constraints=constraints,
        optional=bool(match["optional"]),
        rest=bool(match["all"]),
    )


def _parse_constraint(text: str, route: str) -> tuple[str, str]:
    name, _, argument = text.partition("(")
    if name not in _CONSTRAINTS:
        raise ValueError(f"unknown constraint {name!r} in the route {route!r}")
    return name, argument.removesuffix(")")
