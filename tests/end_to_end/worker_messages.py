"""
The messages between the Functions host and its Python worker, as far as the official runtime looks at them.

In Azure they are protobuf (azure-functions-language-worker-protobuf, FunctionRpc.proto). The runtime is
handed the module that makes them, so plain objects with the same fields do here.
"""

from __future__ import annotations

import enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.functions.meta import Datum


class _Message(SimpleNamespace):
    """A message with the fields that were set."""

    def WhichOneof(self, _: str) -> str | None:  # noqa: N802 - protobuf's name
        return next((name for name in vars(self) if name != "name"), None)


class StatusResult(_Message):
    Failure, Success = 0, 1


class BindingInfo(_Message):
    undefined, inout, out = 0, 2, 1


class RpcHttpCookie(_Message):
    class SameSite(enum.IntEnum):
        Lax, Strict, ExplicitNone = 1, 2, 3


setattr(RpcHttpCookie.SameSite, "None", 0)  # a keyword, which a class body cannot name

_PLAIN = (
    "FunctionLoadResponse",
    "FunctionMetadataResponse",
    "InvocationResponse",
    "NullableBool",
    "NullableDouble",
    "NullableString",
    "ParameterBinding",
    "RpcException",
    "RpcFunctionMetadata",
    "RpcHttp",
    "TypedData",
    "WorkerInitResponse",
    "WorkerMetadata",
)

#: What the runtime is handed in the place of the protobuf module.
PROTOS = SimpleNamespace(
    StatusResult=StatusResult,
    BindingInfo=BindingInfo,
    RpcHttpCookie=RpcHttpCookie,
    **{name: type(name, (_Message,), {}) for name in _PLAIN},
)


def request(**fields: Any) -> Any:
    """Return one message of the host's stream, with what the worker's proxy adds to it."""
    return SimpleNamespace(
        request=SimpleNamespace(**fields), properties={"host": "127.0.0.1", "protos": PROTOS}
    )


def typed(datum: Datum) -> Any:
    """Return the wire's form of a value that the host passes to a function."""
    if datum.type != "http":
        return PROTOS.TypedData(**{str(datum.type): datum.value})
    http = datum.value
    return PROTOS.TypedData(
        http=PROTOS.RpcHttp(
            method=http["method"].value,
            url=http["url"].value,
            headers=_plain(http["headers"]),
            query=_plain(http["query"]),
            params=_plain(http["params"]),
            body=typed(http["body"]),
        )
    )


def invocation(
    function_id: str, argument: str, datum: Datum, metadata: Mapping[str, Datum], *, invocation_id: str
) -> Any:
    """Return the request to run a function."""
    return request(
        invocation_request=SimpleNamespace(
            invocation_id=invocation_id,
            function_id=function_id,
            input_data=[PROTOS.ParameterBinding(name=argument, data=typed(datum))],
            trigger_metadata={name: typed(value) for name, value in metadata.items()},
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
    )


def _plain(values: Mapping[str, Datum]) -> dict[str, Any]:
    return {name: value.value for name, value in values.items()}
