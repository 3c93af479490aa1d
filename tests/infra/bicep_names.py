"""Which names a Bicep file uses, and which of them mean nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.infra.bicep import loop_of, parts, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.bicep import File, Node

# What Bicep brings (Azure Resource Manager, "Bicep functions"): those that this deployment uses.
FUNCTIONS = frozenset(
    {
        "cidrSubnet",
        "concat",
        "contains",
        "empty",
        "endsWith",
        "environment",
        "fail",
        "filter",
        "first",
        "guid",
        "indexOf",
        "join",
        "last",
        "length",
        "loadTextContent",
        "map",
        "replace",
        "resourceGroup",
        "skip",
        "split",
        "startsWith",
        "string",
        "subscription",
        "subscriptionResourceId",
        "tenant",
        "toLower",
        "trim",
        "union",
        "uniqueString",
    }
)


def used(file: File) -> Iterator[tuple[str, str, int]]:
    """Yield each name that an expression of the file uses and nothing within the expression declares."""
    for each in (*file.declarations.values(), *file.outputs.values()):
        local = frozenset(each.parameters)
        if each.loop:
            yield from _used(each.loop.collection, local)
            local |= {each.loop.item, each.loop.index}
        for node in (each.condition, each.value):
            if node is not None:
                yield from _used(node, local)


def _used(node: Node, local: frozenset[str]) -> Iterator[tuple[str, str, int]]:
    """Yield ``("name" or "function", name, line)``."""
    if node.type in ("identifier", "compatible_identifier"):
        if text_of(node) not in local:
            yield "name", text_of(node), node.start_point[0] + 1
    elif node.type == "call_expression":
        function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        assert function is not None, text_of(node)
        assert arguments is not None, text_of(node)
        yield "function", text_of(function), node.start_point[0] + 1
        yield from _used(arguments, local)
    elif node.type == "member_expression":
        yield from _used(parts(node)[0], local)
    elif node.type == "object_property":
        key, value = parts(node)
        if key.type == "string":
            yield from _used(key, local)
        yield from _used(value, local)
    elif node.type == "lambda_expression":
        *arguments_of_it, body = parts(node)
        yield from _used(body, local | {text_of(each) for each in arguments_of_it})
    elif node.type == "for_statement":
        loop, body = loop_of(node)
        yield from _used(loop.collection, local)
        yield from _used(body, local | {loop.item, loop.index})
    else:
        for child in parts(node):
            yield from _used(child, local)
