"""
The official worker in a process of its own, with telemetry as Azure sets it up; runs ``send`` and ``upkeep``.

``python -m tests.end_to_end.telemetry_worker <traceparent> <message>`` prints what the worker says of itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import azure_functions_runtime
from azure.storage.queue import QueueMessage
from opentelemetry import _logs, metrics, trace

from local.environment import ROOT
from local.host.bindings.queue_trigger import incoming_message
from local.host.bindings.timer_trigger import incoming_timer
from tests.end_to_end.worker_messages import PROTOS, invocation, request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.functions.meta import Datum


async def begin() -> tuple[dict[str, str], dict[str, Any]]:
    """Do what the host does first; returns what the worker can do, and its functions."""
    asked = SimpleNamespace(capabilities={}, function_app_directory=str(ROOT))
    started = await azure_functions_runtime.worker_init_request(request(worker_init_request=asked))
    indexed = await azure_functions_runtime.functions_metadata_request(request())
    functions = {each.name: each for each in indexed.function_metadata_results}
    for each in functions.values():
        load = SimpleNamespace(function_id=each.function_id)
        await azure_functions_runtime.function_load_request(request(function_load_request=load))
    return started.capabilities, functions


def run(function: Any, datum: Datum, metadata: Mapping[str, Datum], *, traceparent: str) -> str:
    """Run a function in the trace of the host; returns how it failed."""
    (argument,) = (each for each in function.bindings if each != "$return")
    message = invocation(function.function_id, argument, datum, metadata, invocation_id=str(uuid.uuid4()))
    message.request.invocation_request.trace_context.trace_parent = traceparent
    answer = asyncio.run(azure_functions_runtime.invocation_request(message))
    return "" if answer.result.status == PROTOS.StatusResult.Success else str(vars(answer.result))


def main(traceparent: str, body: str) -> None:
    """Send one message, and have everything exported that was told."""
    # As the worker's dispatcher does, before anything of an app is loaded.
    logging.getLogger().setLevel(logging.INFO)
    azure_functions_runtime.start_threadpool_executor()
    capabilities, functions = asyncio.run(begin())
    now = datetime.now(UTC)
    came = incoming_message(
        QueueMessage(
            id=str(uuid.uuid4()),
            content=body,
            dequeue_count=1,
            inserted_on=now,
            expires_on=now + timedelta(days=7),
            next_visible_on=now + timedelta(minutes=10),
            pop_receipt="AgAAAAMAAAAAAAAA",
        ),
        body,
    )
    timer = incoming_timer(None, past_due=False)
    failed = [
        run(functions["send"], came.datum, came.metadata, traceparent=traceparent),
        # The next one comes without a trace, on the same threads.
        run(functions["upkeep"], timer.datum, {}, traceparent=""),
    ]
    azure_functions_runtime.stop_threadpool_executor()
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()):
        provider.force_flush()  # type: ignore[union-attr]  # the SDK's own, which the worker has set
    sys.stdout.write(json.dumps({"capabilities": capabilities, "failed": failed}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
