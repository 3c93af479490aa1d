"""
The functions of a function_app.py: imported, checked as the real worker does, read into plain values.

What is wrong with the code is fatal, as in Azure. What is wrong with a function's settings (an unresolved
`%SETTING%`, a schedule that is none) takes only that function out, and is said.
"""

import dataclasses
import enum
import importlib
import inspect
import json
import re
import sys
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import azure.functions as func

from local.host.app_settings import UnresolvedSettingError, find_connection, is_disabled, resolve
from local.host.bindings import checks_annotation
from local.host.options import StartError
from local.host.routes import RouteTemplate, parse_template
from local.host.schedules import Schedule, parse_schedule

#: Queue service: 3 to 63 characters, lower case, digits and single hyphens inside.
_QUEUE_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")


class AuthLevel(enum.Enum):
    """What an HTTP function asks of its callers."""

    #: Anyone may call.
    ANONYMOUS = "anonymous"
    #: A function key is needed.
    FUNCTION = "function"
    #: The master key is needed; this host has one key, which is both.
    ADMIN = "admin"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QueueTrigger:
    """Runs for each message of a queue."""

    queue: str
    connection: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TimerTrigger:
    """Runs on a schedule."""

    schedule_text: str
    schedule: Schedule
    run_on_startup: bool
    use_monitor: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HttpTrigger:
    """Runs for a request; `methods` None means any."""

    template: RouteTemplate
    methods: frozenset[str] | None
    auth: AuthLevel


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where what a function returns or sets goes: the HTTP response, or a queue."""

    #: `http` or `queue`, the name of azure-functions' converter.
    binding: str
    queue: str = ""
    connection: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IndexedFunction:
    """One function, ready to be run."""

    name: str
    call: Callable[..., Any]
    is_async: bool
    trigger: QueueTrigger | TimerTrigger | HttpTrigger
    #: The parameter that gets the trigger's data, and its annotation if it has one.
    argument: str
    argument_type: Any
    wants_context: bool
    #: Parameter name -> output binding.
    outputs: Mapping[str, Output]
    returns: Output | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AppIndex:
    """What function_app.py holds."""

    functions: tuple[IndexedFunction, ...]
    #: One sentence for each function that cannot start.
    in_error: tuple[str, ...]
    #: Names of functions that a setting switches off.
    disabled: tuple[str, ...]


class _FunctionInErrorError(Exception):
    """This function cannot start, the others can."""


def index_app(folder: Path, settings: Mapping[str, str]) -> AppIndex:
    """
    Import `folder`/function_app.py and return its functions.

    An exception of the import itself is left to rise; StartError names every function whose code is wrong.
    """
    if not (folder / "function_app.py").is_file():
        raise StartError(f"there is no function_app.py in {folder}")
    sys.path.insert(0, str(folder))
    app = _find_app(importlib.import_module("function_app"))
    try:
        built = app.get_functions()
    except ValueError as error:
        raise StartError(f"function_app.py does not index: {error}") from None
    functions, in_error, disabled, fatal = [], [], [], []
    for function in built:
        name = str(function.get_function_name())
        if is_disabled(name, settings):
            disabled.append(name)
            continue
        try:
            functions.append(_read_function(name, function, settings))
        except (_FunctionInErrorError, UnresolvedSettingError) as error:
            in_error.append(f"the function {name!r} is in error and does not run: {error}")
        except StartError as error:
            fatal.append(f"cannot load the function {name!r}: {error}")
    if fatal:
        raise StartError("; ".join(fatal))
    return AppIndex(functions=tuple(functions), in_error=tuple(in_error), disabled=tuple(disabled))


def _find_app(module: Any) -> Any:
    apps = [value for value in vars(module).values() if isinstance(value, func.FunctionRegister)]
    distinct = list({id(app): app for app in apps}.values())
    if len(distinct) != 1:
        found = "none" if not distinct else str(len(distinct))
        raise StartError(f"function_app.py must hold exactly one FunctionApp at top level, found {found}")
    return distinct[0]


def _read_function(name: str, function: Any, settings: Mapping[str, str]) -> IndexedFunction:
    call = function.get_user_function()
    bindings: list[dict[str, Any]] = [json.loads(raw) for raw in function.get_raw_bindings()]
    trigger = next(binding for binding in bindings if binding["type"].lower().endswith("trigger"))
    others = [binding for binding in bindings if binding is not trigger]
    for binding in others:
        if binding["direction"] != "OUT" or binding["type"] not in {"http", "queue"}:
            raise _FunctionInErrorError(f"this host has no {binding['type']!r} binding")
    wants_context = _check_parameters(call, bindings)
    outputs = {binding["name"]: _read_output(binding, settings) for binding in others}
    returns = outputs.pop("$return", None)
    return IndexedFunction(
        name=name,
        call=call,
        is_async=inspect.iscoroutinefunction(call),
        trigger=_read_trigger(name, trigger, settings),
        argument=trigger["name"],
        argument_type=typing.get_type_hints(call).get(trigger["name"]),
        wants_context=wants_context,
        outputs=outputs,
        returns=returns,
    )


def _check_parameters(call: Callable[..., Any], bindings: list[dict[str, Any]]) -> bool:
    """Hold the signature to the bindings and return whether it asks for the context."""
    parameters = set(inspect.signature(call).parameters)
    bound = {binding["name"] for binding in bindings if binding["name"] != "$return"}
    wants_context = "context" in parameters and "context" not in bound
    if wants_context:
        parameters.discard("context")
    if parameters - bound:
        raise StartError(f"parameters without a binding: {', '.join(sorted(parameters - bound))}")
    if bound - parameters:
        raise StartError(f"bindings without a parameter: {', '.join(sorted(bound - parameters))}")
    hints = typing.get_type_hints(call)
    for binding in bindings:
        name = binding["name"]
        annotation = hints.get("return" if name == "$return" else name)
        is_parameter = name != "$return"
        if annotation is not None and not checks_annotation(binding, annotation, is_parameter=is_parameter):
            raise StartError(f"the annotation of {name!r} does not fit its {binding['type']} binding")
    return wants_context


def _read_trigger(
    name: str, binding: Mapping[str, Any], settings: Mapping[str, str]
) -> QueueTrigger | TimerTrigger | HttpTrigger:
    match binding["type"]:
        case "queueTrigger":
            queue, connection = _read_queue(binding, settings)
            return QueueTrigger(queue=queue, connection=connection)
        case "timerTrigger":
            text = resolve(binding["schedule"], settings)
            return TimerTrigger(
                schedule_text=text,
                schedule=_or_in_error(parse_schedule, text),
                run_on_startup=bool(binding.get("runOnStartup", False)),
                use_monitor=bool(binding.get("useMonitor", True)),
            )
        case "httpTrigger":
            methods = binding.get("methods")
            return HttpTrigger(
                template=_or_in_error(parse_template, resolve(binding.get("route", name), settings)),
                methods=frozenset(method.upper() for method in methods) if methods else None,
                auth=AuthLevel(str(binding.get("authLevel", "function")).lower()),
            )
        case other:
            raise _FunctionInErrorError(f"this host has no {other!r}")


def _read_output(binding: Mapping[str, Any], settings: Mapping[str, str]) -> Output:
    if binding["type"] == "http":
        return Output(binding="http")
    queue, connection = _read_queue(binding, settings)
    return Output(binding="queue", queue=queue, connection=connection)


def _read_queue(binding: Mapping[str, Any], settings: Mapping[str, str]) -> tuple[str, str]:
    queue = resolve(binding["queueName"], settings).lower()
    if not _QUEUE_NAME.fullmatch(queue):
        raise _FunctionInErrorError(f"{queue!r} cannot be the name of a queue")
    connection = binding.get("connection") or "AzureWebJobsStorage"
    find_connection(connection, settings)
    return queue, connection


_Parsed = TypeVar("_Parsed")


def _or_in_error(parse: Callable[[str], _Parsed], text: str) -> _Parsed:
    try:
        return parse(text)
    except ValueError as error:
        raise _FunctionInErrorError(str(error)) from None
