"""
Everything that can go wrong in a way we know, as one tree.

.. code-block:: text

    SendoffError
    ├── SettingsError              a setting or mail.toml is missing or wrong; lists all of it
    ├── MessageError               what an app asked for cannot be sent as asked; lists every problem
    ├── StorageError               the storage account does not answer; the same call works when it does again
    ├── PayloadError               a blob that a message needs is not as it was; it is tried again
    ├── ProtocolError              a server broke SMTP's grammar; the connection is of no more use (core.smtp)
    └── GrantError                 there is no usable access token for a sender
        ├── ConsentRequiredError   a person must sign in (again); carries the code and the consent URL
        ├── CredentialError        the client secret or its like is refused; an administrator must act
        ├── UnsuitableTokenError   a token came that is of no use for sending; an administrator must act
        └── TokenUnavailableError  nothing is wrong that time will not mend: network, 429, 5xx

``retryable`` answers the one question a caller has without reading text: would the same call, made again
later and with nobody having done anything, work? Evidence is kept word for word in fields. No message ever
holds a token, a secret, a body or a recipient.
"""

from __future__ import annotations

from typing import ClassVar


class SendoffError(Exception):
    """A failure that Sendoff knows; each subclass says what it means."""

    retryable: ClassVar[bool] = False

    def __str__(self) -> str:
        """Return the message, or, where none was given, what the class itself says."""
        return super().__str__() or (type(self).__doc__ or "").strip().splitlines()[0].rstrip(".").lower()


class SettingsError(SendoffError):
    """
    Settings are missing or wrong.

    ``problems`` has one line for each, ``NAME: what is wrong``.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(
            "settings are missing or wrong; nothing is sent until they are mended: " + "; ".join(problems)
        )
        self.problems = problems


class MessageError(SendoffError):
    """
    A message cannot be sent as it stands.

    ``problems`` has one line for each, ``field: what is wrong``. ``message_id`` is the id that the app gave,
    or "" where none could be read.
    """

    def __init__(self, problems: tuple[str, ...], *, message_id: str = "") -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.message_id = message_id


class StorageError(SendoffError):
    """The storage account does not answer."""

    retryable = True


class PayloadError(SendoffError):
    """A file of a message could not be read to its end."""

    retryable = True


class GrantError(SendoffError):
    """
    There is no usable access token for a sender.

    ``code`` is the OAuth error or AADSTS number as the provider wrote it, "" where it said nothing.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class ConsentRequiredError(GrantError):
    """A person must sign in before this sender can send."""


class CredentialError(GrantError):
    """The provider refuses the application's own credential."""


class UnsuitableTokenError(GrantError):
    """
    The provider's token is of no use for sending: for another service, without the permission, another's.

    ``code`` is the remedy's key (``core.token_claims.Flaw``).
    """


class TokenUnavailableError(GrantError):
    """A token could not be fetched just now."""

    retryable = True
