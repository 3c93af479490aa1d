"""
The routes of ``/messages``: mail dropped, looked up, taken back and moved over HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.delivery import State
from shared.core.outcomes import TooLate
from shared.errors import MessageError
from shared.web.json_bodies import (
    check_fields,
    continuation,
    read_limit,
    read_moment,
    read_object,
    read_token,
)
from shared.web.responses import Response, answer, problem, refused
from shared.workflows import messages
from shared.workflows.messages import OtherMessage, Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.workflows.messages import MessagesTools

_QUESTIONS = ("state", "sender", "since", "until", "limit", "continuation", "code")


def accept(
    tools: MessagesTools, body: bytes, questions: Mapping[str, str], *, key: str, base: str
) -> Response:
    """Answer ``POST /messages``; ``base`` is the address of this route."""
    try:
        check_fields(questions, known=("code",))
        taken = messages.accept(tools, body, key=key)
    except MessageError as error:
        return refused(error)
    if isinstance(taken, OtherMessage):
        said = f"id: {taken.message_id} was used before for a message with other content; use a new id"
        return problem(409, "id in use", said, problems=[said])
    return answer(taken, status=202, location=f"{base}/{taken['id']}")


def show(tools: MessagesTools, message_id: str) -> Response:
    """Answer ``GET /messages/{id}``."""
    found = messages.show(tools, message_id)
    return answer(found) if found else _unknown(message_id)


def show_some(tools: MessagesTools, questions: Mapping[str, str]) -> Response:
    """Answer ``GET /messages``."""
    try:
        check_fields(questions, known=_QUESTIONS)
        token, limit = read_token(questions), read_limit(questions)
        wanted = _wanted(questions)
    except MessageError as error:
        return refused(error)
    found, following = messages.show_some(tools, wanted, token=token, limit=limit)
    return answer({"messages": found, "continuation": continuation(following)})


def cancel(tools: MessagesTools, message_id: str) -> Response:
    """Answer ``DELETE /messages/{id}``."""
    return _amend(tools, message_id, None)


def reschedule(tools: MessagesTools, message_id: str, body: bytes) -> Response:
    """Answer ``PATCH /messages/{id}``; the body holds a ``send_at``."""
    try:
        value = read_object(body)
        check_fields(value, known=("send_at",), required=("send_at",))
        send_at = read_moment(value["send_at"], "send_at")
    except MessageError as error:
        return refused(error)
    return _amend(tools, message_id, send_at)


def _amend(tools: MessagesTools, message_id: str, send_at: datetime | None) -> Response:
    amended = messages.amend(tools, message_id, send_at=send_at)
    if amended is None:
        return _unknown(message_id)
    if isinstance(amended, TooLate):
        said = f"message {message_id} can no longer be changed: {amended.reason}"
        return problem(409, "too late", said, state=amended.state.value)
    return answer(amended)


def _wanted(questions: Mapping[str, str]) -> Wanted:
    state = questions.get("state")
    if state is not None and state not in {each.value for each in State}:
        known = ", ".join(each.value for each in State)
        raise MessageError((f"state: there is none called {state[:50]!r}; there are {known}",))
    since, until = questions.get("since"), questions.get("until")
    return Wanted(
        state=State(state) if state is not None else None,
        sender=questions.get("sender", ""),
        since=read_moment(since, "since") if since is not None else None,
        until=read_moment(until, "until") if until is not None else None,
    )


def _unknown(message_id: str) -> Response:
    said = f"the ledger has no message {message_id[:256]!r}; it may be on the queue still, or long gone"
    return problem(404, "no such message", said)
