"""
Consent: an administrator signs in once, and a sender can send.

``start``: 1. begin the flow with the provider, 2. keep its secrets sealed for this browser alone, 3. send the
browser off.

``finish``: 1. find the sign-in that this browser began, 2. use it up, 3. exchange the code, 4. check who
signed in and what was granted, 5. fetch a picture, 6. store the grant. Up to step 6 nothing has changed, and
whoever comes without having begun gets no further than 1.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from shared.core import oauth, remedies
from shared.core.consent import PENDING_FOR, Begun, Ended, Outcome, cookie_name
from shared.core.token_claims import flaw_of
from shared.errors import (
    ConsentRequiredError,
    CredentialError,
    GrantError,
    StorageError,
    TokenUnavailableError,
    UnsuitableTokenError,
)
from shared.log_words import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.core.grant import Account, Grant, PendingConsent
    from shared.core.sender import Sender
    from shared.core.service import Service
    from shared.ports import Provider

log = logging.getLogger(__name__)

# What stands with a pending consent whose code is being exchanged.
_EXCHANGING = "exchanging"
# What a provider says where the person who signed in may not agree alone.
_FOR_ADMINISTRATORS = "admin-consent-required"


class PendingConsents(Protocol):
    """Sign-ins that have not come back, sealed for their browsers."""

    def begin(self, *, state: str, sender: str, flow: str, expires_at: datetime) -> str:
        """Keep one; returns the browser's key."""
        ...

    def find(self, *, state: str, key: str) -> PendingConsent | None:
        """Return this browser's, or None."""
        ...

    def use_up(self, pending: PendingConsent, *, outcome: str, mark: str = "") -> PendingConsent | None:
        """Note what came of it, with ``mark`` in the place of the flow; None when somebody else was first."""
        ...


class Grants(Protocol):
    """Where grants are kept."""

    def load_grant(self, sender: str) -> Grant | None:
        """Return the grant of a sender, or None."""
        ...


class Connections(Protocol):
    """What connects senders."""

    def connect(self, sender: Sender, grant: Grant) -> None:
        """Store a grant that a person has just given; from then on mail flows."""
        ...


@dataclass(frozen=True, slots=True)
class ConsentTools:
    """What consent needs of the world; ``explain`` gives the catalogue's sentence for a remedy."""

    provider: Callable[[Sender], Provider]
    pending: PendingConsents
    grants: Grants
    connections: Connections
    senders: Mapping[str, Sender]
    services: Mapping[str, Service]
    explain: Callable[[str, Sender], str]
    redirect_uri: str
    clock: Callable[[], datetime]


def start(tools: ConsentTools, sender_name: str) -> Begun | Ended:
    """Begin to sign in for a sender."""
    sender = tools.senders.get(sender_name)
    if sender is None:
        return Ended(Outcome.UNKNOWN_SENDER, sender=sender_name)
    if tools.services[sender.service].is_app_only:
        return Ended(
            Outcome.NOT_NEEDED,
            sender.name,
            expected=sender.mailbox,
            admin_url=tools.provider(sender).admin_consent_url(redirect_uri=tools.redirect_uri),
        )
    try:
        flow = tools.provider(sender).begin(
            redirect_uri=tools.redirect_uri, account=sender.consenting_account
        )
    except GrantError as error:
        return _refused(tools, sender, error)
    key = tools.pending.begin(
        state=flow["state"],
        sender=sender.name,
        flow=json.dumps(flow),
        expires_at=tools.clock() + PENDING_FOR,
    )
    log.info(
        "a sign-in for %s was begun", sender.name, extra={"event": Word.CONSENT_BEGUN, "sender": sender.name}
    )
    return Begun(flow["auth_uri"], cookie_name(flow["state"]), key)


def finish(tools: ConsentTools, answer: Mapping[str, str], cookies: Mapping[str, str]) -> Ended:
    """Carry a sign-in that came back to its end."""
    if "admin_consent" in answer and not answer.get("code"):
        # An administrator comes back, perhaps in another browser. Nothing of this is believed or kept.
        return _ended(Outcome.ADMIN_DECLINED if answer.get("error") else Outcome.ADMIN_AGREED, None)
    state = answer.get("state", "")
    key = cookies.get(cookie_name(state), "") if state else ""
    pending = tools.pending.find(state=state, key=key) if key else None
    sender = tools.senders.get(pending.sender) if pending else None
    if pending is None or sender is None:
        return _ended(Outcome.NOT_BEGUN, None)
    if pending.outcome:
        return _again(tools, pending, sender)
    if pending.expires_at <= tools.clock():
        return _ended(Outcome.EXPIRED, sender)
    using = tools.pending.use_up(pending, outcome=_EXCHANGING)
    if using is None:
        return _ended(Outcome.USED, sender)
    ended = _exchange(tools, sender, json.loads(pending.flow), answer)
    with suppress(StorageError):  # what came of it is done, and a reload only says less of it
        tools.pending.use_up(using, outcome=ended.outcome.value, mark=ended.mark)
    return ended


def _again(tools: ConsentTools, pending: PendingConsent, sender: Sender) -> Ended:
    """A reload, the back button, or a replay in the same browser: say what is, do nothing."""
    if pending.outcome != Outcome.CONNECTED.value:
        return _ended(Outcome.USED, sender)
    try:
        grant = tools.grants.load_grant(sender.name)
    except GrantError as error:
        return _refused(tools, sender, error)
    if grant is None:
        return _ended(Outcome.USED, sender)
    return Ended(
        Outcome.ALREADY_CONNECTED,
        sender.name,
        sender.consenting_account,
        grant.account,
        state=pending.state,
        test_to=sender.mailbox,
    )


def _exchange(
    tools: ConsentTools, sender: Sender, flow: Mapping[str, Any], answer: Mapping[str, str]
) -> Ended:
    if answer.get("error"):
        return _declined(tools, sender, answer)
    try:
        provider = tools.provider(sender)
        grant = provider.complete(flow, answer, now=tools.clock())
        if unfit := _unfit(tools, sender, grant):
            return unfit
        picture, grant = provider.picture(grant, now=tools.clock())
        tools.connections.connect(sender, grant)
    except GrantError as error:
        return _refused(tools, sender, error)
    return Ended(
        Outcome.CONNECTED,
        sender.name,
        sender.consenting_account,
        grant.account,
        picture,
        state=flow["state"],
        mark=grant.consented_at.isoformat(),
        test_to=sender.mailbox,
    )


def _declined(tools: ConsentTools, sender: Sender, answer: Mapping[str, str]) -> Ended:
    error, described = answer["error"], answer.get("error_description", "")
    code = oauth.aadsts(described) or oauth.error_word(error)
    if _FOR_ADMINISTRATORS in (remedies.of_code(code), remedies.of_code(error)):
        url = tools.provider(sender).admin_consent_url(redirect_uri=tools.redirect_uri)
        return _ended(Outcome.ADMIN_NEEDED, sender, code=code, admin_url=url)
    return _ended(Outcome.DECLINED, sender, code=code, remedy=tools.explain(remedies.of_code(code), sender))


def _unfit(tools: ConsentTools, sender: Sender, grant: Grant) -> Ended | None:
    """Return why a grant is not the one that this sender needs, None where it is."""
    service = tools.services[sender.service]
    if not oauth.is_expected(grant.account, sender.consenting_account):
        return _ended(Outcome.WRONG_ACCOUNT, sender, account=grant.account)
    if missing := oauth.missing_scopes(grant.scopes, service.mail_scopes):
        return _ended(Outcome.MISSING_SCOPE, sender, account=grant.account, code=" ".join(missing))
    if flawed := flaw_of(grant, service, tools.clock()):
        remedy = tools.explain(flawed.flaw.value, sender)
        return _ended(Outcome.UNSUITABLE, sender, account=grant.account, code=flawed.evidence, remedy=remedy)
    try:
        known = tools.grants.load_grant(sender.name)
    except ConsentRequiredError:
        known = None  # what the vault has cannot be read; a new grant takes its place
    if known and not known.is_app_only and not known.account.is_same(grant.account):
        return _ended(Outcome.OTHER_ACCOUNT, sender, account=grant.account)
    return None


def _refused(tools: ConsentTools, sender: Sender, error: GrantError) -> Ended:
    """Return an end that a provider's or the vault's failure brought about."""
    key, _ = remedies.for_grant(error)
    return _ended(_outcome_of(error), sender, code=error.code, error=error, remedy=tools.explain(key, sender))


def _outcome_of(error: GrantError) -> Outcome:
    if isinstance(error, TokenUnavailableError):
        return Outcome.UNAVAILABLE
    if isinstance(error, UnsuitableTokenError):
        return Outcome.UNSUITABLE
    if isinstance(error, CredentialError):
        return Outcome.CREDENTIAL_BROKEN
    return Outcome.REFUSED


def _ended(
    outcome: Outcome,
    sender: Sender | None,
    *,
    account: Account | None = None,
    code: str = "",
    error: GrantError | None = None,
    remedy: str = "",
    admin_url: str = "",
) -> Ended:
    """
    Return an end that changed nothing, and say so in the log.

    Nothing that a stranger could have written stands in the log.
    """
    name = sender.name if sender else ""
    log.warning(
        "a sign-in%s changed nothing: %s%s",
        f" for {name}" if name else "",
        outcome.value,
        f" ({error or code})" if error or code else "",
        extra={"event": Word.CONSENT_REFUSED, "sender": name},
    )
    expected = sender.consenting_account if sender else ""
    return Ended(outcome, name, expected, account, None, code, remedy, admin_url)
