"""What a function gives back beside its HTTP response: `func.Out` parameters, and messages in them."""

import json
import threading
from typing import Any

import azure.functions as func
from azure.functions._abc import RetryContext, TraceContext  # the package exports Context but not its parts
from azure.functions.meta import Datum

#: Shared by every invocation, as the real worker shares it, so that a function's own threads can set the id.
_THREAD_LOCAL = threading.local()


class OutParameter(func.Out[Any]):
    """The box that a function puts its output in."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        """Put `val` in, in place of what was there."""
        self._value = val

    def get(self) -> Any:
        """Return what was put in, or None."""
        return self._value


class InvocationContext(func.Context):
    """What a function that asks for its `context` gets."""

    def __init__(self, *, invocation_id: str, function_name: str, function_directory: str) -> None:
        self._invocation_id = invocation_id
        self._function_name = function_name
        self._function_directory = function_directory

    @property
    def invocation_id(self) -> str:
        """Return this run's id."""
        return self._invocation_id

    @property
    def thread_local_storage(self) -> Any:
        """Return the storage in which a function's own threads may set `invocation_id`."""
        return _THREAD_LOCAL

    @property
    def function_name(self) -> str:
        """Return the function's name."""
        return self._function_name

    @property
    def function_directory(self) -> str:
        """Return the folder of function_app.py."""
        return self._function_directory

    @property
    def trace_context(self) -> TraceContext:
        """Return an empty trace: this host is not traced."""
        return _NoTrace()

    @property
    def retry_context(self) -> RetryContext:
        """Return a first attempt: this host has no retry policies."""
        return _NoRetry()


class _NoTrace(TraceContext):
    @property
    def trace_state(self) -> str:
        return ""

    @property
    def trace_parent(self) -> str:
        return ""

    @property
    def attributes(self) -> dict[str, str]:
        return {}


class _NoRetry(RetryContext):
    @property
    def retry_count(self) -> int:
        return 0

    @property
    def max_retry_count(self) -> int:
        return 0

    @property
    def exception(self) -> Any:
        return None


def queue_bodies(datum: Datum) -> list[str | bytes]:
    """Return the bodies of the messages in a queue output, one for each item of a list."""
    if datum.type != "json":
        return [datum.value]
    document = json.loads(datum.value)
    items = document if isinstance(document, list) else [document]
    return [item["body"] if isinstance(item, dict) else item for item in items]
