"""Remedies for limits, the network, the mail server and the message itself: what is nobody's account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.core.remedy import Remedy, Who, later

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVER: Final = "check smtp.host and smtp.port of this sender in mail.toml"
_ANEW: Final = "correct it and send a new message"

REMEDIES: Final[Mapping[str, Remedy]] = {
    "held-by-hand": Remedy(
        "a person held it", Who.ADMINISTRATOR, "resume it: POST …/api/senders/{sender}/resume"
    ),
    # Limits.
    "connections-busy": later("every connection that this mailbox may have is in use"),
    "concurrent-connections": later("more than three submissions of one mailbox at once"),
    "message-rate": later("more than thirty messages of one mailbox in a minute"),
    "recipients-per-day": later("the mailbox has used up its 10,000 recipients in 24 hours"),
    "tenant-recipients-per-day": later("the tenant has used up its external recipients in 24 hours"),
    # The network and the server.
    "network": later("the connection to the mail server failed"),
    "transient": later("the mail server cannot take it just now"),
    "server-busy": later("Exchange slows this address or tenant down"),
    "organization-queue-full": later("the organization's own queue at Exchange is full"),
    "back-end-not-reached": later("Exchange could not reach the mailbox's server"),
    "in-doubt": later(
        "the connection was lost after the end of the message; it may have been accepted",
        "it is sent again with the same Message-ID and Date, by which receivers tell a duplicate",
    ),
    "certificate-not-trusted": Remedy(
        "the certificate of the mail server is not one to trust",
        Who.ADMINISTRATOR,
        "check smtp.host of this sender in mail.toml, and whether a proxy answers in its place",
    ),
    "starttls-not-offered": Remedy(
        "the mail server offers no STARTTLS, and there is no plaintext mode", Who.ADMINISTRATOR, _SERVER
    ),
    "server-refuses-us": Remedy("the mail server refuses this client", Who.ADMINISTRATOR, _SERVER),
    "ehlo-name": Remedy("the mail server does not take our name", Who.SENDOFF, "report this reply"),
    "protocol-fault": Remedy(
        "server and client were out of step", Who.SENDOFF, "report this reply if it comes again"
    ),
    # The message.
    "too-many-recipients": Remedy(
        "the server takes fewer recipients for one message", Who.APP, "send it in parts"
    ),
    "message-cannot-be-carried": Remedy(
        "the server does not offer what this message needs", Who.APP, "use ASCII addresses"
    ),
    "recipient-invalid": Remedy("the server does not take a recipient's address", Who.APP, _ANEW),
    "recipient-unknown": Remedy("a recipient does not exist", Who.APP, _ANEW),
    "recipient-hourly-limit": Remedy(
        "a recipient got too much mail this hour", Who.APP, "send it later, as a new message", retry=True
    ),
    "tenant-block-list": Remedy(
        "a recipient is on the organization's block list",
        Who.ADMINISTRATOR,
        "https://security.microsoft.com/tenantAllowBlockList",
    ),
    "smtputf8-needed": Remedy(
        "an address has letters that this way cannot carry", Who.APP, "use ASCII addresses"
    ),
    "message-too-large": Remedy(
        "the message is larger than the mailbox may send",
        Who.ADMINISTRATOR,
        "Set-Mailbox {mailbox} -MaxSendSize <up to 150MB>",
    ),
    "from-not-valid": Remedy("Exchange does not take the From header", Who.SENDOFF, "report this reply"),
    "content-not-valid": Remedy(
        "Exchange does not take the message's structure", Who.SENDOFF, "report this reply"
    ),
    "mail-loop": Remedy(
        "the message has gone round in circles",
        Who.ADMINISTRATOR,
        "look for forwarding rules at the recipient",
    ),
    "refused": Remedy("the server refuses this message", Who.APP, "the reply says why"),
}
