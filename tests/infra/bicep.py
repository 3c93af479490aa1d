"""
A Bicep file as its declarations: what tree-sitter's grammar says it is, by the names Bicep gives things.

The grammar (tree-sitter-bicep) is older than the keyword ``extension``; such a line is taken out of the text
before it is parsed and kept beside the rest. Everything else must parse without a single error. The grammar
also reads ``a || b.c`` as ``(a || b).c`` and ``x => x.y`` as ``(x => x).y``, so a property behind an operator
has to stand in parentheses or be a variable.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tree_sitter
import tree_sitter_bicep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

INFRA = Path(__file__).resolve().parents[2] / "infra"
MAIN = INFRA / "main.bicep"
FILES = (MAIN, *sorted((INFRA / "app").glob("*.bicep")))

_EXTENSION = re.compile(rb"^extension (\w+)$", re.MULTILINE)
_OPERATIONS = ("binary_expression", "unary_expression", "ternary_expression", "lambda_expression")
_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))

Node = tree_sitter.Node


def text_of(node: Node) -> str:
    """Return the source of a node."""
    return (node.text or b"").decode()


def parts(node: Node) -> list[Node]:
    """Return the children that mean something."""
    return [child for child in node.named_children if child.type not in ("comment", "diagnostic_comment")]


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all that is below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def plain(node: Node) -> str:
    """Return the value of a string in which nothing is filled in."""
    assert node.type == "string", text_of(node)
    assert all(child.type == "string_content" for child in node.named_children), text_of(node)
    return "".join(text_of(child) for child in node.named_children)


@dataclass(frozen=True, slots=True)
class Loop:
    """``[for item, index in collection: …]``."""

    item: str
    index: str
    collection: Node


@dataclass(frozen=True, slots=True)
class Declaration:
    """One declaration. ``value`` is its default, its expression or its body; what does not apply is empty."""

    kind: str
    name: str
    value: Node | None
    node: Node
    #: ``Microsoft.Storage/storageAccounts@2024-01-01``, the path of a module, or the type of a parameter.
    type: str = ""
    is_existing: bool = False
    condition: Node | None = None
    loop: Loop | None = None
    decorators: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()

    @property
    def resource_type(self) -> str:
        """The type of a resource without its version."""
        return self.type.partition("@")[0]

    @property
    def version(self) -> str:
        """The version of a resource's API."""
        return self.type.partition("@")[2]


@dataclass(frozen=True, slots=True)
class File:
    """A file and what it declares."""

    path: Path
    root: Node
    extensions: tuple[str, ...]
    scope: str
    declarations: Mapping[str, Declaration]
    outputs: Mapping[str, Declaration]

    def of_kind(self, kind: str) -> dict[str, Declaration]:
        """Return the declarations of a kind: param, var, func, resource or module."""
        return {name: each for name, each in self.declarations.items() if each.kind == kind}


_KINDS = {
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "user_defined_function": "func",
    "resource_declaration": "resource",
    "module_declaration": "module",
    "output_declaration": "output",
}


@functools.cache
def read(path: Path) -> File:
    """Return a file's declarations; fails on what the grammar does not know and on a name declared twice."""
    source = path.read_bytes()
    extensions = tuple(name.decode() for name in _EXTENSION.findall(source))
    root = _PARSER.parse(_EXTENSION.sub(lambda found: b" " * len(found[0]), source)).root_node
    wrong = [
        f"{path.name}:{node.start_point[0] + 1}: {text_of(node)[:60]}"
        for node in walk(root)
        if node.is_error or node.is_missing
    ]
    wrong += [
        f"{path.name}:{node.start_point[0] + 1}: parentheses around {text_of(node).splitlines()[-1]}"
        for node in walk(root)
        if (node.type in ("member_expression", "subscript_expression") and parts(node)[0].type in _OPERATIONS)
        or (node.type == "binary_expression" and parts(node)[0].type == "lambda_expression")
    ]
    assert wrong == []
    declarations: dict[str, Declaration] = {}
    outputs: dict[str, Declaration] = {}
    scope = "resourceGroup"
    decorators: dict[str, tuple[Node, ...]] = {}
    for node in parts(root):
        if node.type == "decorators":
            decorators = _decorators(node)
            continue
        if node.type == "target_scope_assignment":
            scope = plain(parts(node)[-1])
        else:
            made = _declaration(node, decorators)
            into = outputs if made.kind == "output" else declarations
            assert made.name not in into, f"{path.name}: {made.name} is declared twice"
            into[made.name] = made
        decorators = {}
    return File(path, root, extensions, scope, declarations, outputs)


def _decorators(node: Node) -> dict[str, tuple[Node, ...]]:
    found = {}
    for each in parts(node):
        call = parts(each)[0]
        function, arguments = call.child_by_field_name("function"), call.child_by_field_name("arguments")
        assert function is not None, text_of(each)
        assert arguments is not None, text_of(each)
        found[text_of(function)] = tuple(parts(arguments))
    return found


def _declaration(node: Node, decorators: Mapping[str, tuple[Node, ...]]) -> Declaration:
    kind = _KINDS[node.type]
    children = parts(node)
    if kind == "func":
        names = tuple(text_of(parts(each)[0]) for each in parts(children[1]))
        return Declaration(
            kind, text_of(children[0]), children[-1], node, decorators=decorators, parameters=names
        )
    name, rest = text_of(children[0]), children[1:]
    kind_of_value = ""
    if kind in ("param", "output"):
        kind_of_value, rest = text_of(rest[0]), rest[1:]
    elif kind in ("resource", "module"):
        kind_of_value, rest = plain(rest[0]), rest[1:]
    value = rest[0] if rest else None
    condition = loop = None
    if value is not None and kind in ("resource", "module"):
        value, condition, loop = _unwrapped(value)
    is_existing = any(child.type == "existing" for child in node.children)
    return Declaration(
        kind, name, value, node, kind_of_value, is_existing, condition, loop, decorators=decorators
    )


def _unwrapped(value: Node) -> tuple[Node, Node | None, Loop | None]:
    """Return a body without the ``if`` and ``for`` around it, and both."""
    if value.type == "if_statement":
        condition, body = parts(value)
        return body, condition, None
    if value.type == "for_statement":
        loop, body = loop_of(value)
        return body, None, loop
    return value, None, None


def loop_of(node: Node) -> tuple[Loop, Node]:
    """Return a ``for`` and what it repeats."""
    first, collection, body = parts(node)
    if first.type == "for_loop_parameters":
        item, index = parts(first)
        return Loop(text_of(item), text_of(index), collection), body
    return Loop(text_of(first), "", collection), body


def properties(node: Node) -> dict[str, Node]:
    """Return the properties of an object whose keys are written out."""
    found = {}
    for each in parts(node):
        key, value = parts(each)
        found[plain(key) if key.type == "string" else text_of(key)] = value
    return found
