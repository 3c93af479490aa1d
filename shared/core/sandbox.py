"""
Jinja2's sandbox with a budget: a template can neither reach Python nor exhaust the machine.

Two things are counted. Turns: each round of a loop, each call of a macro, filter or test. Work: the
characters and elements that an expression handles, because one call can take a long text as easily as a short
one. Every string that is built is held to a length before it can be built again from itself.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, Undefined, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Enough for an invoice of a thousand lines many times over; this many take about a tenth of a second.
MOST_TURNS = 100_000
# Characters and elements handled in all: at a hundred nanoseconds for the slowest, under half a second.
MOST_WORK = 4_000_000
_ELEMENT = 2  # an element is at least as much work as two characters
# What one template may write, characters: more than any mail that a person reads.
MOST_OUTPUT = 2_000_000
# What one expression may build on the way, characters.
MOST_TEXT = 200_000
# Bits of a whole number: about what Python prints without a complaint (4,300 digits).
_MOST_BITS = 14_000
# Filters that make much of little, take much longer for a text twice as long, or have no place in a mail.
_NO_FILTERS = ("center", "format", "pprint", "random", "striptags", "urlize", "wordwrap", "xmlattr")
# Those that multiply what they are given.
_GROWING = frozenset({"batch", "indent", "join", "replace", "slice"})
# Methods of Python's own types that a template may call: each gives back no more than it was given.
_METHODS = frozenset(
    (
        *("capitalize", "count", "endswith", "find", "get", "index", "items", "keys", "lower"),
        *("lstrip", "rstrip", "split", "splitlines", "startswith", "strip", "title", "upper", "values"),
    )
)


class OverBudgetError(Exception):
    """A template took more than a template may."""


class Sandbox(ImmutableSandboxedEnvironment):
    """The sandbox of one file of a template, to be filled once."""

    intercepted_binops = frozenset({"+", "-", "*", "**", "%"})

    def __init__(self, *, escaped: bool) -> None:
        super().__init__(
            undefined=StrictUndefined,
            autoescape=escaped,
            cache_size=0,
            keep_trailing_newline=True,
            finalize=self._printed,
        )
        self._turns = 0
        self._work = 0
        self.concat = self._joined  # type: ignore[method-assign]  # what macros and {% set %} build text with
        self.globals.pop("lipsum", None)
        for name in _NO_FILTERS:
            self.filters.pop(name, None)
        self.filters = {name: self._bounded(name, used) for name, used in self.filters.items()}
        self.tests = {name: self._bounded(name, used) for name, used in self.tests.items()}

    def fill(self, source: str, data: Mapping[str, Any]) -> str:
        """Return ``source`` filled with ``data``."""
        written: list[str] = []
        length = 0
        for piece in self.from_string(source).generate(dict(data)):
            length += len(piece)
            if length > MOST_OUTPUT:
                raise OverBudgetError(f"it writes more than {MOST_OUTPUT} characters")
            written.append(piece)
        return "".join(written)

    # What the compiled template calls, put there by ``_Counting``.

    def turn(self) -> bool:
        """Count one turn."""
        self._turns += 1
        if self._turns > MOST_TURNS:
            raise OverBudgetError(f"its loops turn more than {MOST_TURNS} times")
        return True

    def weighed(self, value: Any) -> Any:
        """Count the work that a value is, and return it."""
        self._count(self._weight(value, MOST_WORK - self._work))
        return value

    def _count(self, work: int) -> None:
        self._work += work
        if self._work > MOST_WORK:
            raise OverBudgetError(f"its expressions handle more than {MOST_WORK} characters and elements")

    def tilde(self, *parts: object) -> str:
        """Do what ``~`` does, within bounds."""
        texts = [escape(self.weighed(part)) if self.autoescape else str(self.weighed(part)) for part in parts]
        return self._joined(texts, Markup("") if self.autoescape else "")

    def _weight(self, value: Any, most: int) -> int:
        """Return how many characters and elements a value has, its parts' included; ends above ``most``."""
        weight = 0
        waiting = [value]
        while waiting and weight <= most:
            part = waiting.pop()
            if isinstance(part, (str, range)):
                weight += len(part)
            elif isinstance(part, dict):
                weight += _ELEMENT * len(part)
                waiting += [*part.keys(), *part.values()] if len(part) <= most else []
            elif isinstance(part, (list, tuple)):
                weight += _ELEMENT * len(part)
                waiting += part if len(part) <= most else []
            else:
                weight += len(part) if hasattr(part, "__len__") and not isinstance(part, Undefined) else 1
        return weight

    def _printed(self, value: Any) -> Any:
        if isinstance(value, str):
            if len(value) > MOST_OUTPUT:
                raise OverBudgetError(f"it writes more than {MOST_OUTPUT} characters")
            self._count(1)  # however short it is, it takes its place in a list
            return value
        return self.weighed(value)

    def _joined(self, texts: Iterable[str], empty: str = "") -> str:
        known = list(texts)
        _check(sum(map(len, known)))
        return empty.join(known)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Counting().visit(super()._parse(source, name, filename))
        tree.set_environment(self)
        return tree

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuse what could build something enormous from something small."""
        numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
        if operator == "**":
            raise OverBudgetError("it raises to a power")
        if operator == "%" and isinstance(left, str):
            raise OverBudgetError("it formats with %; write {{ value }} instead")
        if operator == "*" and not numbers:
            raise OverBudgetError("it repeats text or a list with *")
        if numbers and _bits(left) + _bits(right) > _MOST_BITS:
            raise OverBudgetError("it works with numbers of thousands of digits")
        if operator == "+" and hasattr(left, "__len__") and hasattr(right, "__len__"):
            _check(len(left) + len(right))
            self.weighed((left, right))
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, obj: Any, *arguments: Any, **named: Any) -> Any:
        """Call what a template calls, with the work that its arguments are counted."""
        self.turn()
        self.weighed((getattr(obj, "__self__", None), arguments, named))
        return super().call(context, obj, *arguments, **named)

    def wrap_str_format(self, value: Any) -> None:
        """Leave ``str.format`` what it is, a method that no template may call: its widths have no bounds."""
        del value

    def is_safe_callable(self, obj: Any) -> bool:
        """Allow macros and Jinja's own functions, and of Python's methods only the harmless ones."""
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, (str, bytes, int, float, list, tuple, dict)):
            return getattr(obj, "__name__", "") in _METHODS
        return super().is_safe_callable(obj)

    def _bounded(self, name: str, used: Any) -> Any:
        """Bound what a filter or test is given and gives, keeping the mark that Jinja reads on it."""
        first = 1 if hasattr(used, "jinja_pass_arg") else 0  # before it stand Jinja's own contexts

        def bounded(*arguments: Any, **named: Any) -> Any:
            self.turn()
            given = [*arguments[first:], *named.values()]
            growth = _growth(name, given)
            _check(growth)
            self.weighed((given, range(growth)))
            return self.weighed(used(*arguments, **named))

        if hasattr(used, "jinja_pass_arg"):
            bounded.jinja_pass_arg = used.jinja_pass_arg  # type: ignore[attr-defined]  # Jinja's own way
        return bounded


def _growth(name: str, given: list[Any]) -> int:
    """Return the most characters or elements that a filter may make, where it can make much of little."""
    if name == "sum" and any(isinstance(part, (list, tuple)) for part in given[1:]):
        raise OverBudgetError("it sums what is no number")
    if name not in _GROWING:
        return 0
    numbers = [abs(part) for part in given[1:] if isinstance(part, int)]
    if name in ("batch", "slice"):
        return max(numbers, default=0)
    factors = [len(part) for part in given if isinstance(part, (str, list, tuple, dict))]
    if name == "indent":
        factors += numbers
    return prod(max(factor, 1) for factor in factors)


def _bits(number: float) -> int:
    return number.bit_length() if isinstance(number, int) else 0


def _check(length: int) -> None:
    if length > MOST_TEXT:
        raise OverBudgetError(f"an expression in it builds more than {MOST_TEXT} characters")


class _Counting(NodeTransformer):
    """Put a count into every loop and macro, and weigh what an operation of Python's own would not show."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        if node.test is not None:
            node.test = nodes.And(_call("turn", node), node.test, lineno=node.lineno)
        return _counted(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        return _counted(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        return _counted(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        return _call("tilde", node, *node.nodes)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        node.expr = _call("weighed", node, node.expr)
        for operand in node.ops:
            operand.expr = _call("weighed", node, operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _call("weighed", node, node.node)
        return node

    def _literal(self, node: nodes.Expr) -> nodes.Node:
        # Of a list that holds itself twice a few lines make one that nothing can print.
        self.generic_visit(node)
        return _call("weighed", node, node)

    visit_List = visit_Dict = _literal  # noqa: N815 - Jinja's names

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802 - Jinja's name
        return self._literal(node) if node.ctx == "load" else node


def _call(name: str, where: nodes.Node, *arguments: nodes.Expr) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), list(arguments), [], None, None, lineno=where.lineno)


def _counted(node: Any) -> nodes.Node:
    node.body.insert(0, nodes.ExprStmt(_call("turn", node), lineno=node.lineno))
    counted: nodes.Node = node
    return counted
