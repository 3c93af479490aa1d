"""
The server's one control: what can be changed while it runs, and what it tells about itself.

Over HTTP it is `{inbox}/_control`. GET tells all settings and counters; DELETE puts everything back as it was
at the start, counters included (accepted messages stay); POST changes what its JSON object names, all of it
or, where anything is wrong, nothing:

    {
      "next": [                       one more disturbance each, see script.py for what each word does
        {"at": "connect|starttls|ehlo|auth|mail|rcpt|data|body|after_dot|quit",
         "do": "reply|drop|reset|silence|garbage|half_reply|long_line|tls_alert",
         "reply": "451 4.7.0 …",      word for word, without the last line end; needed by "reply"
         "times": 1,                  how often
         "skip": 0,                   how many fitting occasions pass unharmed first
         "mailbox": "a@b",            only sessions that work (at "auth": ask to work) for this mailbox
         "seconds": 2.5,              how long "silence" lasts; without it, for good
         "stored": true}              at "after_dot": whether the message counts as accepted all the same
      ],
      "limits": {"messages_per_minute": 1000000},   the names of limits.Limits
      "mailboxes": {"noreply@contoso.com": {"smtp_auth_enabled": false, "limits": {"connections": 1}}},
                                      also: full, blocked, send_as, owners; with owners a new one can be made
      "smtp_auth_enabled": true,      the organization's switch, for mailboxes whose own is null
      "auth_failure_form": "direct",  or "challenge": 334 with JSON first, as Gmail does
      "round_trip_ms": 25,            each batch of replies leaves this much later
      "keep_messages": 20000, "keep_bytes": 268435456                  the bounds of the store
    }
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StrictBool,
    ValidationError,
    model_validator,
)

from local.microsoft.exchange.limits import PER_MAILBOX, Usage
from local.microsoft.exchange.organization import AuthFailureForm, Mailbox
from local.microsoft.exchange.script import BEFORE_AUTHENTICATION, Point, Step, Trick

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from local.microsoft.exchange.organization import Organization


class ControlRefused(ValueError):  # noqa: N818 - a refusal is an answer, not a fault of the program
    """A change that was not made, with everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _StepBody(_Strict):
    at: Point
    do: Trick
    reply: str | None = Field(None, pattern=r"^[2-5][0-9][0-9]([ -]|$)")
    times: PositiveInt = 1
    skip: NonNegativeInt = 0
    mailbox: str | None = None
    seconds: PositiveFloat | None = None
    stored: StrictBool | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.do is Trick.REPLY and self.reply is None:
            raise ValueError("'reply' needs the words of the reply")
        if self.do is Trick.TLS_ALERT and self.at is not Point.STARTTLS:
            raise ValueError("'tls_alert' happens at 'starttls' only")
        if self.mailbox is not None and self.at in BEFORE_AUTHENTICATION:
            raise ValueError(f"no mailbox is known at {self.at.value!r}")
        if self.seconds is not None and self.do is not Trick.SILENCE:
            raise ValueError("'seconds' belongs to 'silence'")
        if self.stored is not None and self.at is not Point.AFTER_DOT:
            raise ValueError("'stored' belongs to 'after_dot'")
        return self


class _MailboxLimits(_Strict):
    connections: PositiveInt | None = None
    messages_per_minute: PositiveInt | None = None
    recipients_per_message: PositiveInt | None = None
    recipients_per_day: PositiveInt | None = None
    max_message_bytes: PositiveInt | None = None


class _LimitsBody(_MailboxLimits):
    max_header_bytes: PositiveInt | None = None
    protocol_errors: PositiveInt | None = None
    inactivity_seconds: PositiveFloat | None = None
    session_seconds: PositiveFloat | None = None


class _MailboxBody(_Strict):
    owners: frozenset[str] | None = None
    send_as: frozenset[str] | None = None
    smtp_auth_enabled: StrictBool | None = None
    full: StrictBool | None = None
    blocked: StrictBool | None = None
    limits: _MailboxLimits | None = None


class _Change(_Strict):
    next: list[_StepBody] = []
    limits: _LimitsBody = _LimitsBody()
    mailboxes: dict[str, _MailboxBody] = {}
    smtp_auth_enabled: StrictBool | None = None
    auth_failure_form: AuthFailureForm | None = None
    round_trip_ms: NonNegativeFloat | None = None
    keep_messages: PositiveInt | None = None
    keep_bytes: PositiveInt | None = None


def change(organization: Organization, wanted: Mapping[str, object]) -> None:
    """
    Make the changes that a control request names, or none of them.

    Raises ControlRefused.
    """
    try:
        body = _Change.model_validate(wanted)
    except ValidationError as error:
        raise ControlRefused([_problem(list(each["loc"]), each["msg"]) for each in error.errors()]) from None
    unknown = [
        f"mailboxes.{address}: there is no such mailbox (one with owners would be made)"
        for address, mailbox in body.mailboxes.items()
        if organization.mailbox(address) is None and mailbox.owners is None
    ]
    if unknown:
        raise ControlRefused(unknown)
    organization.script.steps += [_step(organization, step) for step in body.next]
    for name, value in body.limits.model_dump(exclude_none=True).items():
        setattr(organization.limits, name, value)
    for address, settings in body.mailboxes.items():
        _change_mailbox(organization, address, settings)
    _change_switches(organization, body)


def _problem(location: list[int | str], message: str) -> str:
    where = ".".join(str(step) for step in location) or "the body"
    return f"{where}: {message.removeprefix('Value error, ')}"


def _step(organization: Organization, body: _StepBody) -> Step:
    mailbox = organization.mailbox(body.mailbox) if body.mailbox is not None else None
    name = mailbox.address if mailbox is not None else body.mailbox
    return Step(**{**dict(body), "mailbox": name})


def _change_mailbox(organization: Organization, address: str, body: _MailboxBody) -> None:
    mailbox = organization.mailbox(address)
    if mailbox is None:
        mailbox = organization.add(Mailbox(address, frozenset()))
    for name in body.model_fields_set - {"limits"}:
        value = getattr(body, name)
        # null means something for the one switch that has three positions.
        if value is not None or name == "smtp_auth_enabled":
            setattr(mailbox, name, value)
    if body.limits is not None:
        mailbox.limits |= body.limits.model_dump(exclude_none=True)


def _change_switches(organization: Organization, body: _Change) -> None:
    if body.smtp_auth_enabled is not None:
        organization.smtp_auth_enabled = body.smtp_auth_enabled
    if body.auth_failure_form is not None:
        organization.auth_failure_form = body.auth_failure_form
    if body.round_trip_ms is not None:
        organization.round_trip_seconds = body.round_trip_ms / 1000
    if body.keep_messages is not None:
        organization.store.keep_messages = body.keep_messages
    if body.keep_bytes is not None:
        organization.store.keep_bytes = body.keep_bytes


def describe(organization: Organization) -> dict[str, object]:
    """Return all settings and counters, as JSON knows them."""
    return {
        "limits": asdict(organization.limits),
        "mailboxes": {box.address: _mailbox(box) for box in organization.mailboxes.values()},
        "smtp_auth_enabled": organization.smtp_auth_enabled,
        "auth_failure_form": organization.auth_failure_form.value,
        "round_trip_ms": organization.round_trip_seconds * 1000,
        "keep_messages": organization.store.keep_messages,
        "keep_bytes": organization.store.keep_bytes,
        "next": [
            asdict(step) | {"at": step.at.value, "do": step.do.value} for step in organization.script.steps
        ],
        "counters": _counters(organization),
    }


def _mailbox(mailbox: Mailbox) -> dict[str, object]:
    return {
        "owners": sorted(mailbox.owners),
        "send_as": sorted(mailbox.send_as),
        "smtp_auth_enabled": mailbox.smtp_auth_enabled,
        "full": mailbox.full,
        "blocked": mailbox.blocked,
        "limits": {name: value for name, value in mailbox.limits.items() if name in PER_MAILBOX},
    }


def _counters(organization: Organization) -> dict[str, object]:
    store, counters, now = organization.store, organization.store.counters, organization.clock()
    return {
        "sessions": counters.sessions,
        "sessions_now": counters.sessions_now,
        "most_sessions_at_once": counters.most_sessions_at_once,
        "accepted": counters.accepted,
        "accepted_bytes": counters.accepted_bytes,
        "kept": len(store),
        "kept_bytes": store.kept_bytes,
        "forgotten": store.forgotten,
        "messages_in_the_last_minute": counters.minute.count(now),
        "most_messages_in_a_minute": counters.minute.most,
        "replies": dict(sorted(counters.replies.items())),
        "refused_authentications": [
            {"at": refused.at.isoformat(), "user": refused.user, "reason": refused.reason}
            for refused in counters.refused_authentications
        ],
        "mailboxes": {
            box.address: _usage(organization.usage(box), now) for box in organization.mailboxes.values()
        },
    }


def _usage(usage: Usage, now: float) -> dict[str, int]:
    return {
        "accepted": usage.messages,
        "connections_now": usage.authenticated,
        "most_connections_at_once": usage.most_authenticated,
        "most_submitting_at_once": usage.most_submitting,
        "messages_in_the_last_minute": usage.minute.count(now),
        "most_messages_in_a_minute": usage.minute.most,
        "recipients_in_the_last_day": usage.recipients.sum(now),
    }
