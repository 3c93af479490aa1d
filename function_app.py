"""
Every function that Azure runs, on one page: unpack the trigger, call one workflow, return.

Workflows are imported where they are called: on Azure each function has instances of its own, and a cold
start should pay for one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import azure.functions as func

from shared import settings
from shared.services import Services

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from shared.core.delivery import Delivery
    from shared.web.responses import Response

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
bindings = settings.bindings()
services = Services()
services.check_settings()  # what is wrong is said when the host starts, not when the first mail is due

STORAGE = settings.STORAGE


@app.queue_trigger(arg_name="message", queue_name=bindings.outbox, connection=STORAGE)
def send(message: func.QueueMessage, context: func.Context) -> None:
    """Send one message of the outbox."""
    from shared.workflows.postpone import postpone
    from shared.workflows.send import send as run

    came = _delivery(message)
    if not services.check_settings():
        postpone(services.outbox(), message.get_body(), came)
        return
    with _traced(context):
        sent = run(services.send_tools(), message.get_body(), came)
        if sent.line:
            from shared.workflows.serve_line import serve_line

            serve_line(services.serve_tools(), sent.line, called=sent.called)


@app.queue_trigger(arg_name="message", queue_name=bindings.poison, connection=STORAGE)
def dead_letter(message: func.QueueMessage, context: func.Context) -> None:
    """Record what the host gave up on."""
    from shared.workflows.dead_letter import dead_letter as run

    with _traced(context):
        run(services.dead_letter_tools(), message.get_body(), _delivery(message))


@app.timer_trigger(arg_name="timer", schedule=bindings.upkeep_schedule)
def upkeep(timer: func.TimerRequest, context: func.Context) -> None:
    """Keep every sender's token fresh, then remove what has had its time."""
    from shared.workflows.sweep import sweep
    from shared.workflows.upkeep import upkeep as run

    del timer
    if services.check_settings():
        with _traced(context):
            run(services.upkeep_tools())
            sweep(services.sweep_tools())


@app.timer_trigger(arg_name="timer", schedule=bindings.release_schedule)
def release(timer: func.TimerRequest, context: func.Context) -> None:
    """Let go what waits and may go, and fire recurring schedules."""
    from shared.workflows.release import release as run
    from shared.workflows.schedules import fire

    del timer
    if services.check_settings():
        with _traced(context):
            fire(services.schedules_tools())
            run(services.release_tools())


@app.route("oauth/start/{sender}", methods=["GET"])
def oauth_start(req: func.HttpRequest) -> func.HttpResponse:
    """Begin to sign in for a sender: the one-time consent URL."""
    from shared.web import consent_routes

    if not services.check_settings():
        return _unavailable()
    return _answer(
        consent_routes.start(services.consent_tools(), services.settings, req.route_params["sender"])
    )


# Anonymous, for the provider sends no key, and because Functions would take the authorization code in ?code=
# for one.
@app.route("oauth/redirect", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def oauth_redirect(req: func.HttpRequest) -> func.HttpResponse:
    """Take a sign-in that comes back from the provider."""
    from shared.web import consent_routes

    if not services.check_settings():
        return _unavailable()
    cookies = req.headers.get("Cookie", "")
    return _answer(consent_routes.finish(services.consent_tools(), services.settings, req.params, cookies))


# Anonymous too: a browser has no key. It must bring the cookie of a sign-in that it has completed.
@app.route("oauth/connected", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def oauth_connected(req: func.HttpRequest) -> func.HttpResponse:
    """Do what a button of the page *Connected* asks: a test mail, or disconnect."""
    from shared.web import consent_routes

    if not _ready():
        return _unavailable()
    cookies = req.headers.get("Cookie", "")
    return _answer(consent_routes.act(services.connected_tools(), services.settings, req.get_body(), cookies))


@app.route("messages", methods=["POST"])
def message_post(req: func.HttpRequest) -> func.HttpResponse:
    """Take a message in, as the outbox does."""
    from shared.web import message_routes

    if not _ready():
        return _unavailable()
    key, base = req.headers.get("Idempotency-Key", ""), f"{services.settings.public_url}/api/messages"
    return _answer(
        message_routes.accept(services.messages_tools(), req.get_body(), req.params, key=key, base=base)
    )


@app.route("messages", methods=["GET"])
def messages(req: func.HttpRequest) -> func.HttpResponse:
    """Find messages by state, sender and time."""
    from shared.web import message_routes

    return (
        _answer(message_routes.show_some(services.messages_tools(), req.params))
        if _ready()
        else _unavailable()
    )


@app.route("messages/{id}", methods=["GET", "DELETE", "PATCH"])
def message(req: func.HttpRequest) -> func.HttpResponse:
    """Show one message with its history, take it back, or move it."""
    from shared.web import message_routes

    if not _ready():
        return _unavailable()
    tools, message_id = services.messages_tools(), req.route_params["id"]
    if req.method == "DELETE":
        return _answer(message_routes.cancel(tools, message_id))
    if req.method == "PATCH":
        return _answer(message_routes.reschedule(tools, message_id, req.get_body()))
    return _answer(message_routes.show(tools, message_id))


@app.route("schedules", methods=["GET"])
def schedules(req: func.HttpRequest) -> func.HttpResponse:
    """List the recurring schedules."""
    from shared.web import schedule_routes

    return (
        _answer(schedule_routes.show_all(services.schedules_tools(), req.params))
        if _ready()
        else _unavailable()
    )


@app.route("schedules/{name}", methods=["GET", "PUT", "DELETE"])
def schedule(req: func.HttpRequest) -> func.HttpResponse:
    """Write, show or remove one schedule."""
    from shared.web import schedule_routes

    if not _ready():
        return _unavailable()
    tools, name = services.schedules_tools(), req.route_params["name"]
    if req.method == "PUT":
        return _answer(schedule_routes.put(tools, name, req.get_body()))
    if req.method == "DELETE":
        return _answer(schedule_routes.remove(tools, name))
    return _answer(schedule_routes.show(tools, name))


@app.route("openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def openapi(req: func.HttpRequest) -> func.HttpResponse:
    """Describe this API, for tools that read OpenAPI."""
    from shared.web.openapi import description
    from shared.web.responses import public_json

    del req
    return _answer(public_json(description(), content_type="application/json"))


@app.route("senders", methods=["GET"])
def senders(req: func.HttpRequest) -> func.HttpResponse:
    """Say how every sender stands."""
    from shared.web import sender_routes

    del req
    return _answer(sender_routes.show_all(services.senders_tools())) if _ready() else _unavailable()


@app.route("senders/{sender}", methods=["GET"])
def sender(req: func.HttpRequest) -> func.HttpResponse:
    """Say how one sender stands, what holds it and what to do about it."""
    from shared.web import sender_routes

    name = req.route_params["sender"]
    return _answer(sender_routes.show(services.senders_tools(), name)) if _ready() else _unavailable()


@app.route("senders/{sender}/hold", methods=["POST"])
def sender_hold(req: func.HttpRequest) -> func.HttpResponse:
    """Hold a sender until a person resumes it."""
    from shared.web import sender_routes

    name, body = req.route_params["sender"], req.get_body()
    return _answer(sender_routes.hold(services.senders_tools(), name, body)) if _ready() else _unavailable()


@app.route("senders/{sender}/resume", methods=["POST"])
def sender_resume(req: func.HttpRequest) -> func.HttpResponse:
    """Let a held sender go on."""
    from shared.web import sender_routes

    name, body = req.route_params["sender"], req.get_body()
    return _answer(sender_routes.resume(services.senders_tools(), name, body)) if _ready() else _unavailable()


@app.route("senders/{sender}/test", methods=["POST"])
def sender_test(req: func.HttpRequest) -> func.HttpResponse:
    """Send a test mail through a sender."""
    from shared.web import sender_routes

    if not _ready():
        return _unavailable()
    name, base = req.route_params["sender"], f"{services.settings.public_url}/api/messages"
    return _answer(sender_routes.send_test(services.senders_tools(), name, req.get_body(), base=base))


@app.route("senders/{sender}/grant", methods=["DELETE"])
def sender_grant(req: func.HttpRequest) -> func.HttpResponse:
    """Take a sender's grant away."""
    from shared.web import sender_routes

    name = req.route_params["sender"]
    return _answer(sender_routes.disconnect(services.senders_tools(), name)) if _ready() else _unavailable()


@app.route("schemas/message.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def message_schema(req: func.HttpRequest) -> func.HttpResponse:
    """Give the JSON Schema of a message, for editors and validators."""
    from shared.core.message import json_schema
    from shared.web.responses import public_json

    del req
    return _answer(public_json(json_schema(), content_type="application/schema+json"))


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:
    """Say whether this app can do its work."""
    del req
    if services.check_settings() and services.health().is_good():
        return func.HttpResponse("ok")
    return _unavailable()


def _ready() -> bool:
    return services.check_settings()


def _traced(context: func.Context) -> AbstractContextManager[None]:
    """Continue the host's trace: its worker does not hand it to the thread that a function runs in."""
    trace = context.trace_context
    return services.telemetry().continued(trace.trace_parent or "", trace.trace_state or "")


def _delivery(message: func.QueueMessage) -> Delivery:
    from shared.core.delivery import Delivery

    return Delivery(message.id or "", message.dequeue_count or 1)


def _answer(response: Response) -> func.HttpResponse:
    return func.HttpResponse(
        response.body,
        status_code=response.status,
        headers=dict(response.headers),
        mimetype=response.content_type.partition(";")[0],  # the SDK adds the charset
    )


def _unavailable() -> func.HttpResponse:
    return func.HttpResponse("unavailable", status_code=503)
