"""
The routes of ``/senders``: how each stands, and a person's word: hold, let go on, try, disconnect.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shared.errors import GrantError, MessageError
from shared.web.responses import Response, answer, problem, refused
from shared.workflows import senders

if TYPE_CHECKING:
    from shared.core.sender import Sender
    from shared.workflows.senders import SendersTools

_LONGEST_REASON = 1_000
_FIELDS = ("reason", "address")


def show_all(tools: SendersTools) -> Response:
    """Answer ``GET /senders``."""
    return answer({"senders": senders.show_all(tools)})


def show(tools: SendersTools, name: str) -> Response:
    """Answer ``GET /senders/{sender}``."""
    found = senders.show(tools, name)
    return answer(found) if found else _unknown(tools, name)


def hold(tools: SendersTools, name: str, body: bytes) -> Response:
    """Answer ``POST /senders/{sender}/hold``; the body may hold a ``reason`` and a From ``address``."""
    asked = _read(body, _FIELDS, sender=tools.senders.get(name))
    if isinstance(asked, Response):
        return asked
    found = senders.hold(tools, name, reason=asked.get("reason", ""), address=asked.get("address", ""))
    return answer(found) if found else _unknown(tools, name)


def resume(tools: SendersTools, name: str, body: bytes) -> Response:
    """Answer ``POST /senders/{sender}/resume``; the body may hold a From ``address``."""
    asked = _read(body, ("address",))
    if isinstance(asked, Response):
        return asked
    found = senders.resume(tools, name, address=asked.get("address", ""))
    return answer(found) if found else _unknown(tools, name)


def send_test(tools: SendersTools, name: str, body: bytes, *, base: str) -> Response:
    """Answer ``POST /senders/{sender}/test``; the body may hold the address it goes ``to``."""
    asked = _read(body, ("to",))
    if isinstance(asked, Response):
        return asked
    try:
        sent = senders.send_test(tools, name, to=asked.get("to", ""))
    except MessageError as error:
        return refused(error)
    return answer(sent, status=202, location=f"{base}/{sent['id']}") if sent else _unknown(tools, name)


def disconnect(tools: SendersTools, name: str) -> Response:
    """Answer ``DELETE /senders/{sender}/grant``."""
    try:
        found = senders.disconnect(tools, name)
    except senders.NothingToRemoveError as error:
        return problem(409, "nothing to remove", str(error))
    except GrantError as error:
        said = f"{error}; nothing was removed, and the sender goes on with its next probe: ask again"
        return problem(503, "the vault does not answer", said)
    return answer(found) if found else _unknown(tools, name)


def _read(body: bytes, fields: tuple[str, ...], *, sender: Sender | None = None) -> dict[str, str] | Response:
    """Return what a body asks; an address has to be one of ``sender``, where that is given."""
    if not body.strip():
        return {}
    try:
        value: Any = json.loads(body.decode())
    except (ValueError, RecursionError):
        return problem(400, "not JSON", "the body is not a JSON object in UTF-8; it may also be empty")
    if not isinstance(value, dict):
        return problem(400, "not an object", "the body is JSON but not an object; it may also be empty")
    problems = [f"{name}: is not a field here" for name in value if name not in fields]
    problems += [f"{name}: is not a string" for name in fields if not isinstance(value.get(name, ""), str)]
    problems += [
        f"{name}: is longer than {_LONGEST_REASON} characters"
        for name in fields
        if isinstance(value.get(name), str) and len(value[name]) > _LONGEST_REASON
    ]
    address = value.get("address")
    # Addresses are compared as Exchange does, without case.
    readable = address if isinstance(address, str) and len(address) <= _LONGEST_REASON else ""
    if sender and readable and readable.strip().lower() not in _addresses(sender):
        said = f"address: {address} is not an address of {sender.name}"
        problems.append(f"{said}; it may send as those in from and also_from")
    if problems:
        return problem(400, "not as it should be", "; ".join(problems), problems=problems)
    asked = {name: value[name].strip() for name in fields if value.get(name)}
    return {name: text.lower() if name == "address" else text for name, text in asked.items()}


def _addresses(sender: Sender) -> set[str]:
    return {each.key for each in (sender.from_address, *sender.also_from)}


def _unknown(tools: SendersTools, name: str) -> Response:
    known = ", ".join(tools.senders)
    return problem(404, "no such sender", f"mail.toml has no sender {name!r}; it has {known}")
