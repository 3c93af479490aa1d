"""
Consent: an administrator signs in once, and a sender can send.

``start``: 1. begin the flow with the provider, 2. keep its secrets sealed for this browser alone, 3. send the
browser off.

``finish``: 1. find the sign-in that this browser began, 2. use it up, 3. exchange the code, 4. check who
signed in and what was granted, 5. fetch a picture, 6. store the grant. Up to step 6 nothing has changed, and
whoever comes without having begun gets no further than 1.
"""

from __future__ import annotations

import enum
import hashlib
import json
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from shared.core import oauth
from shared.core.remedies import ENDED_BY_CONSENT
from shared.errors import CredentialError, GrantError, TokenUnavailableError
from shared.log_words import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.core.oauth import Account, Grant, PendingConsent, Picture
    from shared.core.sender import Sender

log = logging.getLogger(__name__)

# Long enough for a second factor and a look for the password; Entra's own code lives for 10 minutes.
PENDING_FOR = timedelta(minutes=15)
# What stands with a pending consent whose code is being exchanged.
_EXCHANGING = "exchanging"


class Outcome(enum.Enum):
    """What came of a visit to the redirect."""

    #: The grant is stored and mail can be sent.
    CONNECTED = "connected"
    #: This browser's sign-in was used before and had connected the sender; nothing more was done.
    ALREADY_CONNECTED = "already-connected"
    #: There is no such sign-in in this browser: never begun, begun elsewhere, made up, or long over.
    NOT_BEGUN = "not-begun"
    #: It was begun here too long ago.
    EXPIRED = "expired"
    #: It was used before and had not connected the sender.
    USED = "used"
    #: The person, or the tenant, said no.
    DECLINED = "declined"
    #: Somebody else signed in than the account this sender sends with.
    WRONG_ACCOUNT = "wrong-account"
    #: Something that mail needs was not granted.
    MISSING_SCOPE = "missing-scope"
    #: The provider refuses this application: an administrator must mend its registration or secret.
    CREDENTIAL_BROKEN = "credential-broken"
    #: The provider refused the code.
    REFUSED = "refused"
    #: The provider or the vault could not be reached; nothing is lost by trying again.
    UNAVAILABLE = "unavailable"
    #: There is no sender of that name.
    UNKNOWN_SENDER = "unknown-sender"


class Provider(Protocol):
    """An OAuth 2 service; what fails is a ``GrantError``."""

    def begin(self, *, redirect_uri: str, account: str) -> dict[str, Any]:
        """Begin a flow: ``auth_uri``, ``state`` and what must stay secret."""
        ...

    def complete(self, flow: Mapping[str, Any], answer: Mapping[str, str], *, now: datetime) -> Grant:
        """Exchange the code that came back."""
        ...

    def picture(self, grant: Grant, *, now: datetime) -> tuple[Picture | None, Grant]:
        """
        Return the account's picture, and the grant as it is after asking for it; never raises ``GrantError``.
        """
        ...


class PendingConsents(Protocol):
    """Sign-ins that have not come back, sealed for their browsers."""

    def begin(self, *, state: str, sender: str, flow: str, expires_at: datetime) -> str:
        """Keep one; returns the browser's key."""
        ...

    def find(self, *, state: str, key: str) -> PendingConsent | None:
        """Return this browser's, or None."""
        ...

    def use_up(self, pending: PendingConsent, *, outcome: str) -> PendingConsent | None:
        """Note what came of it; None when somebody else was first."""
        ...


class Grants(Protocol):
    """Where grants are kept."""

    def load_grant(self, sender: str) -> Grant | None:
        """Return the grant of a sender, or None."""
        ...

    def store_grant(self, sender: str, grant: Grant) -> None:
        """Write the grant of a sender."""
        ...


class Holds(Protocol):
    """What lets senders go on."""

    def resume(
        self, sender: Sender, *, address: str = "", why: str, only: frozenset[str] = frozenset()
    ) -> bool:
        """End a hold, of these remedies where some are named, and have the mail flow."""
        ...


@dataclass(frozen=True, slots=True)
class ConsentTools:
    """What consent needs of the world."""

    provider: Callable[[Sender], Provider]
    pending: PendingConsents
    grants: Grants
    holds: Holds
    senders: Mapping[str, Sender]
    redirect_uri: str
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that was begun: where the browser goes, and the cookie it takes along."""

    url: str = field(repr=False)
    cookie_name: str
    cookie_value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """
    What came of a visit, for the page.

    ``code`` is the provider's own, ``expected`` the account that must sign in.
    """

    outcome: Outcome
    sender: str = ""
    expected: str = ""
    account: Account | None = None
    picture: Picture | None = None
    code: str = ""


def cookie_name(state: str) -> str:
    """Return the cookie of one sign-in: two tabs have two."""
    return f"sendoff-consent-{hashlib.sha256(state.encode()).hexdigest()[:16]}"


def start(tools: ConsentTools, sender_name: str) -> Begun | Ended:
    """Begin to sign in for a sender."""
    sender = tools.senders.get(sender_name)
    if sender is None:
        return Ended(Outcome.UNKNOWN_SENDER, sender=sender_name)
    try:
        flow = tools.provider(sender).begin(
            redirect_uri=tools.redirect_uri, account=sender.consenting_account
        )
    except GrantError as error:
        return _ended(_outcome_of(error), sender, code=error.code, error=error)
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
    tools.pending.use_up(using, outcome=ended.outcome.value)
    return ended


def _again(tools: ConsentTools, pending: PendingConsent, sender: Sender) -> Ended:
    """A reload, the back button, or a replay in the same browser: say what is, do nothing."""
    if pending.outcome != Outcome.CONNECTED.value:
        return _ended(Outcome.USED, sender)
    try:
        grant = tools.grants.load_grant(sender.name)
    except GrantError as error:
        return _ended(_outcome_of(error), sender, code=error.code, error=error)
    if grant:
        return Ended(Outcome.ALREADY_CONNECTED, sender.name, sender.consenting_account, grant.account)
    return _ended(Outcome.USED, sender)


def _exchange(
    tools: ConsentTools, sender: Sender, flow: Mapping[str, Any], answer: Mapping[str, str]
) -> Ended:
    if answer.get("error"):
        code = oauth.aadsts(answer.get("error_description", "")) or oauth.error_word(answer["error"])
        return _ended(Outcome.DECLINED, sender, code=code)
    try:
        provider = tools.provider(sender)
        grant = provider.complete(flow, answer, now=tools.clock())
        if not oauth.is_expected(grant.account, sender.consenting_account):
            return _ended(Outcome.WRONG_ACCOUNT, sender, account=grant.account)
        if missing := oauth.missing_scopes(grant.scopes, [oauth.SMTP_SCOPE]):
            return _ended(Outcome.MISSING_SCOPE, sender, account=grant.account, code=" ".join(missing))
        picture, grant = provider.picture(grant, now=tools.clock())
        tools.grants.store_grant(sender.name, grant)
    except GrantError as error:
        return _ended(_outcome_of(error), sender, code=error.code, error=error)
    log.info(
        "%s is connected as %s",
        sender.name,
        grant.account.username,
        extra={"event": Word.SENDER_CONNECTED, "sender": sender.name},
    )
    tools.holds.resume(sender, why=f"{grant.account.username} has signed in", only=ENDED_BY_CONSENT)
    return Ended(Outcome.CONNECTED, sender.name, sender.consenting_account, grant.account, picture)


def _outcome_of(error: GrantError) -> Outcome:
    if isinstance(error, TokenUnavailableError):
        return Outcome.UNAVAILABLE
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
    return Ended(outcome, name, sender.consenting_account if sender else "", account, None, code)
