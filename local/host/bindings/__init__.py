"""
Between the wire and azure-functions' own converters.

Everything a function sees passes through the SDK's converters, from the same `Datum`s that the real host's
language worker gives them; a parameter annotated `str` or `bytes` gets the plain value, as the worker's
generic binding does.

- `queue_trigger` makes the datum and the metadata of a queue message.
- `timer_trigger` makes the datum of a timer's run.
- `http_trigger` makes the datum of a request, and a response of what comes back.
- `outputs` holds `func.Out`, and the queue messages in what a function sets or returns.
"""

import collections.abc
import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

import azure.functions as func
from azure.functions.http import HttpRequestConverter, HttpResponseConverter
from azure.functions.meta import Datum
from azure.functions.queue import QueueMessageInConverter, QueueMessageOutConverter
from azure.functions.timer import TimerRequestConverter

# The SDK's converters stay abstract (none defines has_implicit_output): they are never instantiated.
_IN: Mapping[str, Any] = {
    "queueTrigger": QueueMessageInConverter,
    "timerTrigger": TimerRequestConverter,
    "httpTrigger": HttpRequestConverter,
}
_OUT: Mapping[str, Any] = {
    "queue": QueueMessageOutConverter,
    "http": HttpResponseConverter,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """What a trigger hands to a function, before the SDK decodes it."""

    #: The trigger's type, which names the converter.
    binding: str
    datum: Datum
    metadata: Mapping[str, Datum] = dataclasses.field(default_factory=dict)


def decode(incoming: Incoming, annotation: Any) -> Any:
    """Return the value that the function's parameter gets."""
    value = incoming.datum.value
    if annotation is str and isinstance(value, str | bytes):
        return value.decode() if isinstance(value, bytes) else value
    if annotation is bytes and isinstance(value, str | bytes):
        return value.encode() if isinstance(value, str) else value
    return _IN[incoming.binding].decode(incoming.datum, trigger_metadata=incoming.metadata)


def encode(binding: str, value: Any) -> Datum:
    """Return the datum of what a function returned or set; TypeError for what the binding does not take."""
    try:
        datum: Datum | None = _OUT[binding].encode(value, expected_type=None)
    except NotImplementedError:
        raise TypeError(f"the {binding} output does not take a {type(value).__name__}") from None
    if datum is None:
        raise TypeError(f"the {binding} output got nothing")
    return datum


def checks_annotation(binding: Mapping[str, Any], annotation: Any, *, is_parameter: bool) -> bool:
    """Return whether a parameter's (or the return value's) annotation fits its binding."""
    kind = binding["type"]
    if kind in _IN:
        plain = annotation in (str, bytes)
        return plain or (isinstance(annotation, type) and _IN[kind].check_input_type_annotation(annotation))
    if kind not in _OUT:
        return True
    if is_parameter:
        if typing.get_origin(annotation) is not func.Out:
            return annotation is func.Out
        (annotation,) = typing.get_args(annotation)
    if typing.get_origin(annotation) is not None:  # list[str] and its like, for several messages
        origin = typing.get_origin(annotation)
        return isinstance(origin, type) and issubclass(origin, collections.abc.Iterable)
    if annotation in (str, bytes):
        return True
    return isinstance(annotation, type) and _OUT[kind].check_output_type_annotation(annotation)
