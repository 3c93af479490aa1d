"""
The stable words of the log: what alerts and dashboards query, whatever the sentence beside them says.

Every log line of Sendoff carries one, as ``extra={"event": …}``.
"""

from __future__ import annotations

import enum


class Word(enum.StrEnum):
    """One word for each thing that is worth a line."""

    #: The settings cannot be used; nothing is sent.
    SETTINGS_WRONG = "settings-wrong"
    #: A message was accepted by the server.
    MAIL_ACCEPTED = "mail-accepted"
    #: A message goes again later.
    MAIL_DEFERRED = "mail-deferred"
    #: A message waits for its time.
    MAIL_SCHEDULED = "mail-scheduled"
    #: A message was taken back.
    MAIL_CANCELLED = "mail-cancelled"
    #: A message was of no more use before it could be sent.
    MAIL_EXPIRED = "mail-expired"
    #: An app asked to take back or move what can no longer be changed.
    AMENDMENT_REFUSED = "amendment-refused"
    #: A recurring schedule occurs: its messages are on the outbox.
    SCHEDULE_OCCURRED = "schedule-occurred"
    #: A message waits until its sender, or its From address, is no longer held.
    MAIL_HELD = "mail-held"
    #: A message may or may not have been accepted, and is not sent again.
    MAIL_IN_DOUBT = "mail-in-doubt"
    #: A message was refused for good.
    MAIL_REJECTED = "mail-rejected"
    #: A delivery had nothing to do: settled before, or in other hands.
    MAIL_IGNORED = "mail-ignored"
    #: The host gave up on a queue message.
    DEAD_LETTER = "dead-letter"
    #: A sender, or one From address of it, is held until a person has done something.
    SENDER_HELD = "sender-held"
    #: A hold is over; the mail that waited flows.
    SENDER_RESUMED = "sender-resumed"
    #: A held sender was probed, and the cause is still there.
    PROBE_FAILED = "probe-failed"
    #: A sender waits for time alone: it was too fast, or nobody answers.
    SENDER_PAUSED = "sender-paused"
    #: What was due was put back on the outbox, and lines that stood still are served.
    RELEASED = "released"
    #: Storage does not answer; what came of a message is written down as soon as it does.
    STORAGE_AWAY = "storage-away"
    #: A person must sign in before a sender can send.
    CONSENT_REQUIRED = "consent-required"
    #: The provider refuses the application's own credential.
    CREDENTIAL_BROKEN = "credential-broken"
    #: An access token could not be had just now.
    TOKEN_UNAVAILABLE = "token-unavailable"  # noqa: S105 - a word, no secret
    #: A token was fetched and stored.
    TOKEN_REFRESHED = "token-refreshed"  # noqa: S105 - as above
    #: Upkeep has looked at every sender.
    UPKEEP_DONE = "upkeep-done"
    #: What had its time was removed.
    SWEPT = "swept"
    #: An administrator began to sign in.
    CONSENT_BEGUN = "consent-begun"
    #: A grant was stored.
    SENDER_CONNECTED = "sender-connected"
    #: A grant was taken away; the sender is held until somebody consents again.
    SENDER_DISCONNECTED = "sender-disconnected"
    #: A client secret or a certificate is about to end, or has ended.
    CREDENTIAL_EXPIRING = "credential-expiring"
    #: A visit to the redirect changed nothing.
    CONSENT_REFUSED = "consent-refused"
