"""
What comes of a visit to the pages of consent.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.core.grant import Account, Picture

# Long enough for a second factor and a look for the password; Entra's own code lives for 10 minutes.
PENDING_FOR = timedelta(minutes=15)


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
    #: The tenant lets only an administrator agree to what this application asks for.
    ADMIN_NEEDED = "admin-needed"
    #: An administrator has agreed for the whole tenant; somebody must still sign in.
    ADMIN_AGREED = "admin-agreed"
    #: An administrator has not agreed.
    ADMIN_DECLINED = "admin-declined"
    #: Nobody signs in for this sender: the application has the permission itself.
    NOT_NEEDED = "not-needed"
    #: Somebody else signed in than the account this sender sends with.
    WRONG_ACCOUNT = "wrong-account"
    #: The account has the right name, and yet is another than the one that is connected.
    OTHER_ACCOUNT = "other-account"
    #: Something that mail needs was not granted.
    MISSING_SCOPE = "missing-scope"
    #: The token that came is of no use for sending.
    UNSUITABLE = "unsuitable"
    #: The provider refuses this application: an administrator must mend its registration or secret.
    CREDENTIAL_BROKEN = "credential-broken"
    #: The provider refused the code.
    REFUSED = "refused"
    #: The provider or the vault could not be reached; nothing is lost by trying again.
    UNAVAILABLE = "unavailable"
    #: There is no sender of that name.
    UNKNOWN_SENDER = "unknown-sender"
    #: A test mail was taken in, and waits: the sender is held.
    TEST_WAITS = "test-waits"
    #: A test mail is on its way.
    TEST_SENT = "test-sent"
    #: The address for the test mail is none.
    TEST_REFUSED = "test-refused"
    #: The grant was taken away.
    DISCONNECTED = "disconnected"


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

    ``code`` is the provider's own, ``expected`` the account that must sign in, ``remedy`` the catalogue's
    sentence where it has one, ``admin_url`` where an administrator agrees for everybody. ``state`` is there
    where this browser may go on from the page: a test mail, disconnecting. ``mark`` says which grant it gave.
    """

    outcome: Outcome
    sender: str = ""
    expected: str = ""
    account: Account | None = None
    picture: Picture | None = None
    code: str = ""
    remedy: str = ""
    admin_url: str = field(default="", repr=False)
    state: str = field(default="", repr=False)
    mark: str = ""
    test_to: str = ""
    message_id: str = ""


def cookie_name(state: str) -> str:
    """Return the cookie of one sign-in: two tabs have two."""
    return f"sendoff-consent-{hashlib.sha256(state.encode()).hexdigest()[:16]}"
