"""
The routes of ``/schedules``: recurring mail.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shared.core.schedule import NAME
from shared.errors import MessageError
from shared.web.json_bodies import check_fields, continuation, read_limit, read_object, read_token
from shared.web.responses import Response, answer, problem, refused
from shared.workflows import schedules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.workflows.schedules import SchedulesTools

_QUESTIONS = ("limit", "continuation", "code")


def put(tools: SchedulesTools, name: str, body: bytes) -> Response:
    """Answer ``PUT /schedules/{name}``."""
    if not re.fullmatch(NAME, name):
        return refused(MessageError(("name: must be 1 to 100 of A–Z a–z 0–9 . _ -",)))
    try:
        written, new = schedules.put(tools, name, read_object(body))
    except MessageError as error:
        return refused(error)
    return answer(written, status=201 if new else 200)


def show(tools: SchedulesTools, name: str) -> Response:
    """Answer ``GET /schedules/{name}``."""
    found = schedules.show(tools, name)
    return answer(found) if found else _unknown(name)


def show_all(tools: SchedulesTools, questions: Mapping[str, str]) -> Response:
    """Answer ``GET /schedules``."""
    try:
        check_fields(questions, known=_QUESTIONS)
        token, limit = read_token(questions), read_limit(questions)
    except MessageError as error:
        return refused(error)
    found, following = schedules.show_all(tools, token=token, limit=limit)
    return answer({"schedules": found, "continuation": continuation(following)})


def remove(tools: SchedulesTools, name: str) -> Response:
    """Answer ``DELETE /schedules/{name}``."""
    return Response(204) if schedules.remove(tools, name) else _unknown(name)


def _unknown(name: str) -> Response:
    return problem(404, "no such schedule", f"there is no schedule {name[:100]!r}")
