"""
What an entry of the catalogue is: a cause, who must act, what they type, and the names that are filled in.
"""

from __future__ import annotations

import enum
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Final

from shared.core.service import PUBLIC, Microsoft

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.sender import Sender
    from shared.core.service import Service

#: What most of those say for whom nobody need do anything.
AGAIN: Final = "it is tried again by itself"


class Who(enum.Enum):
    """Who must act before things get better."""

    #: Nobody: time mends it.
    NOBODY = "nobody"
    #: Whoever wrote the app that put the message on the queue.
    APP = "the app"
    #: The person whose mailbox or account it is, by signing in.
    ACCOUNT = "the sending account"
    #: An administrator of Microsoft 365 or of this deployment.
    ADMINISTRATOR = "an administrator"
    #: Whoever maintains Sendoff.
    SENDOFF = "Sendoff's maintainers"


@dataclass(frozen=True, slots=True)
class Remedy:
    """
    A cause and what to do about it.

    ``cause``, ``action`` and ``app_action`` may hold the names of ``Names.blanks`` in braces. ``app_action``
    stands in for ``action`` where the application sends by itself: nobody signs in, and Exchange is told of
    the application instead of a person. ``retry`` says that the same thing works later, with nobody having
    done anything.
    """

    cause: str
    who: Who
    action: str = ""
    _: KW_ONLY
    app_action: str = ""
    retry: bool = False

    def action_for(self, service: Service) -> str:
        """Return what to do where mail is sent with ``service``."""
        return (self.app_action if service.is_app_only else "") or self.action

    def who_for(self, service: Service) -> Who:
        """Return who must act where mail is sent with ``service``: nobody signs in to an application."""
        return Who.ADMINISTRATOR if self.who is Who.ACCOUNT and service.is_app_only else self.who


def later(cause: str, action: str = AGAIN, *, app_action: str = "") -> Remedy:
    """Return the remedy of what time alone mends."""
    return Remedy(cause, Who.NOBODY, action, app_action=app_action, retry=True)


@dataclass(frozen=True, slots=True)
class Names:
    """
    Whose trouble it is: what is filled in where a remedy leaves a blank.

    ``vault`` is the vault's name; ``admin_consent_url`` is "" for a provider that has no such page.
    """

    sender: Sender
    service: Service
    consent_url: str
    redirect_uri: str = ""
    vault: str = ""
    admin_consent_url: str = ""

    def blanks(self) -> Mapping[str, str]:
        """Return what stands for each blank: a name that is not known is put in words, ``<vault>``."""
        sender, service, provider = self.sender, self.service, self.service.provider
        cloud = provider.cloud if isinstance(provider, Microsoft) else PUBLIC
        known = {
            "mailbox": sender.mailbox,
            "account": sender.mailbox if service.is_app_only else sender.consenting_account,
            "sender": sender.name,
            "service": service.name,
            "tenant": service.tenant,
            "client_id": service.client_id,
            "secret_name": service.client_secret_name,
            "certificate_name": service.certificate_name,
            "login_host": cloud.login_host,
            "assertion_audience": cloud.assertion_audience,
            "consent_url": self.consent_url,
            "redirect_uri": self.redirect_uri,
            "admin_consent_url": self.admin_consent_url,
            "vault": self.vault,
        }
        return {name: value or f"<{in_words(name)}>" for name, value in known.items()}


def in_words(name: str) -> str:
    """Write the name of a blank as a person reads it: "redirect URI"."""
    upper = {"url": "URL", "uri": "URI"}
    return " ".join(upper.get(word, word) for word in name.split("_"))
