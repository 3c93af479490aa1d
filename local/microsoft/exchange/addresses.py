"""The arguments of EHLO, MAIL and RCPT (RFC 5321 §4.1.2, RFC 6531 for what is not ASCII)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from local.microsoft.exchange import replies
from local.microsoft.exchange.limits import SIZE_BYTES

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_WIDE_LABEL = (
    r"[A-Za-z0-9_\u0080-\U0010ffff](?:[A-Za-z0-9_\u0080-\U0010ffff-]{0,61}[A-Za-z0-9_\u0080-\U0010ffff])?"
)
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_QUOTED = r'"(?:[\x20!#-\[\]-~\u0080-\U0010ffff]|\\[\x20-~])*"'
_LITERAL = r"\[[0-9A-Za-z.:]+\]"
_ADDRESS = re.compile(
    rf"(?P<local>{_ATOM}(?:\.{_ATOM})*|{_QUOTED})@(?:{_WIDE_LABEL}(?:\.{_WIDE_LABEL})*|{_LITERAL})"
)
_PATH = re.compile(r'<(?P<address>(?:"(?:\\.|[^"\\])*"|[^">])*)>(?: +(?P<parameters>.*))?', re.DOTALL)

_LONGEST_ADDRESS = 320  # 64 octets before the @, 255 after it (RFC 5321 §4.5.3.1)
_LONGEST_LOCAL_PART = 64

_BODY_TYPES = frozenset({"7BIT", "8BITMIME", "BINARYMIME"})
_MAIL_PARAMETERS = frozenset({"SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH"})
_RCPT_PARAMETERS = frozenset({"NOTIFY", "ORCPT"})


class BadArgument(ValueError):  # noqa: N818 - carries the reply that says so
    """An argument that is refused; its text is the reply."""


@dataclass(frozen=True, slots=True)
class Sender:
    """What MAIL says. `address` is empty for the null reverse-path."""

    address: str
    smtputf8: bool
    binary: bool


def is_domain(name: str) -> bool:
    """Whether EHLO accepts the name: a domain, or an address in square brackets."""
    if name.startswith("[") and name.endswith("]"):
        try:
            ipaddress.ip_address(name[1:-1].removeprefix("IPv6:"))
        except ValueError:
            return False
        return True
    return len(name) <= 255 and _DOMAIN.fullmatch(name) is not None  # noqa: PLR2004 - RFC 1035 §2.3.4


def read_sender(argument: str) -> Sender:
    """
    Read MAIL's argument, from `FROM:` on.

    Raises BadArgument.
    """
    path, parameters = _split(argument, "FROM:", replies.BAD_SENDER)
    given = _parameters(parameters, _MAIL_PARAMETERS)
    body = given.get("BODY", "7BIT").upper()
    if body not in _BODY_TYPES:
        raise BadArgument(replies.BAD_BODY_TYPE)
    size = given.get("SIZE", "0")
    if not (size.isascii() and size.isdigit()):
        raise BadArgument(replies.BAD_ARGUMENTS)
    if int(size) > SIZE_BYTES:
        raise BadArgument(replies.MESSAGE_TOO_LARGE)
    sender = Sender(path, "SMTPUTF8" in given, body == "BINARYMIME")
    if path:
        _check(path, replies.BAD_SENDER, smtputf8=sender.smtputf8)
    return sender


def read_recipient(argument: str, *, smtputf8: bool) -> str:
    """
    Return the address in RCPT's argument, from `TO:` on.

    Raises BadArgument.
    """
    path, parameters = _split(argument, "TO:", replies.BAD_RECIPIENT)
    _parameters(parameters, _RCPT_PARAMETERS)
    _check(path, replies.BAD_RECIPIENT, smtputf8=smtputf8)
    return path


def _split(argument: str, keyword: str, refusal: str) -> tuple[str, str]:
    if argument[: len(keyword)].upper() != keyword:
        raise BadArgument(replies.BAD_ARGUMENTS)
    # RFC 5321 allows no space after the colon; Exchange, like most, overlooks one.
    found = _PATH.fullmatch(argument[len(keyword) :].strip(" "))
    if found is None:
        raise BadArgument(refusal)
    return found["address"], found["parameters"] or ""


def _parameters(text: str, known: frozenset[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for parameter in text.split():
        name, _, value = parameter.partition("=")
        if name.upper() not in known:
            raise BadArgument(replies.BAD_PARAMETER)
        given[name.upper()] = value
    return given


def _check(address: str, refusal: str, *, smtputf8: bool) -> None:
    found = _ADDRESS.fullmatch(address) if len(address) <= _LONGEST_ADDRESS else None
    if found is None or len(found["local"].encode()) > _LONGEST_LOCAL_PART:
        raise BadArgument(refusal)
    if not smtputf8 and not address.isascii():
        raise BadArgument(replies.UTF8_REQUIRED)
