"""
The composer: from what an app asked to the very octets that go to the server.

It fetches what a message names (its template, its files), fills the template, makes the text part, and holds
the result against the limits of the mailbox, all before any byte goes out. What cannot be sent as asked is a
``MessageError`` with every reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from shared.core import limits, mime, raw
from shared.core.mime import Body, Mime, Source
from shared.core.plain_text import text_of
from shared.core.rendering import Template, render
from shared.core.smtp import Envelope
from shared.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.core.address import Address
    from shared.core.message import Message, MessageFields
    from shared.core.sender import Sender

# A raw message is held in memory to be read; Exchange takes up to 150 MB where somebody raised its limits.
_LARGEST_RAW_BYTES = 160_000_000


class Payloads(Protocol):
    """The container that apps put large things in."""

    def find(self, path: str) -> Source | None:
        """Return a blob, or None."""
        ...


class Templates(Protocol):
    """The templates of this deployment."""

    def find(self, name: str, language: str | None) -> Template | None:
        """Return a template, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Composed:
    """A message ready for a session: its envelope, its octets, and the Message-ID that they carry."""

    envelope: Envelope
    mime: Mime
    mail_id: str


class Composer:
    """Composes messages; raises ``MessageError`` for those that cannot be sent as asked."""

    def __init__(self, *, payloads: Payloads, templates: Templates) -> None:
        self._payloads = payloads
        self._templates = templates

    def compose(self, message: Message, sender: Sender, *, mail_id: str, date: datetime) -> Composed:
        """Return the message as it goes to the server, the same at every attempt."""
        try:
            if message.fields.is_raw:
                composed = self._raw(message, sender, mail_id, date)
            else:
                composed = self._parts(message, sender, mail_id, date)
        except MessageError as error:
            raise MessageError(error.problems, message_id=message.id) from None
        recipients = len(composed.envelope.rcpt_to)
        if problems := tuple(limits.too_much(sender, recipients, composed.mime)):
            raise MessageError(problems, message_id=message.id)
        return composed

    def _parts(self, message: Message, sender: Sender, mail_id: str, date: datetime) -> Composed:
        from_address = sender.from_for(message)
        if problems := tuple(limits.too_many_files(message)):
            raise MessageError(problems)  # before each of them is looked for
        octets = mime.build(
            message,
            self._body(message.fields),
            from_address=from_address,
            mail_id=mail_id,
            date=date,
            files=self._files(message.fields, sender),
        )
        return Composed(_envelope(from_address, message.recipients), octets, mail_id)

    def _files(self, fields: MessageFields, sender: Sender) -> Mapping[str, Source]:
        """
        Look up every file that is named by its blob; what is not there is a problem each.

        Each look brings the beginning of a file along, so none is taken once they are too large together.
        """
        found: dict[str, Source] = {}
        problems = []
        for number, file in enumerate(fields.attachments):
            if file.blob is None or file.blob in found:
                continue
            if (source := self._payloads.find(file.blob)) is None:
                problems.append(
                    f"attachments[{number}].blob: there is no {file.blob} in the container mail-payloads"
                )
            else:
                found[file.blob] = source
                octets = sum(each.size for each in found.values())
                if problem := limits.too_large(sender, octets, said=f"attachments: {octets} octets of files"):
                    raise MessageError((problem,))
        if problems:
            raise MessageError(tuple(problems))
        return found

    def _body(self, fields: MessageFields) -> Body:
        subject, text, html = fields.subject, fields.text, fields.html
        if fields.template is not None:
            template = self._templates.find(fields.template, fields.language)
            if template is None:
                raise MessageError((_no_template(fields),))
            filled = render(template, fields.data or {})
            # A subject that the message brings stands before the template's.
            subject, text, html = subject if subject is not None else filled.subject, filled.text, filled.html
        if text is None and html is not None:
            text = text_of(html)
        return Body(subject or "", text, html)

    def _raw(self, message: Message, sender: Sender, mail_id: str, date: datetime) -> Composed:
        fields = message.fields
        name = "raw" if fields.raw is not None else "raw_blob"
        octets = fields.raw if fields.raw is not None else self._raw_blob(fields.raw_blob or "")
        try:
            taken = raw.take_apart(octets)
        except ValueError as error:
            raise MessageError((f"{name}: it {error}",)) from None
        sender.check_from(taken.from_addresses[0], message)
        recipients = message.recipients or taken.recipients
        if not recipients:
            raise MessageError((f"{name}: its header names no recipient; give to, cc or bcc beside it",))
        envelope = _envelope(taken.from_addresses[0], recipients)
        ready = taken.mime(mail_id=mail_id, date=date)
        # An address may need SMTPUTF8 although no header names it.
        utf8 = any(address.needs_smtputf8 for address in (taken.from_addresses[0], *recipients))
        ready = replace(ready, smtputf8=ready.smtputf8 or utf8)
        return Composed(envelope, ready, taken.mail_id or mail_id)

    def _raw_blob(self, path: str) -> bytes:
        source = self._payloads.find(path)
        if source is None:
            raise MessageError((f"raw_blob: there is no {path} in the container mail-payloads",))
        if source.size > _LARGEST_RAW_BYTES:
            raise MessageError(
                (f"raw_blob: it has {source.size} octets and {_LARGEST_RAW_BYTES} can be read",)
            )
        return b"".join(source.chunks())


def _envelope(from_address: Address, recipients: tuple[Address, ...]) -> Envelope:
    return Envelope(from_address.addr_spec, tuple(address.addr_spec for address in recipients))


def _no_template(fields: MessageFields) -> str:
    folders = f"{fields.language} or default" if fields.language else "default"
    return (
        f"template: the container mail-templates has no {fields.template} in {folders}; "
        f"upload {fields.template}/default/body.html or body.txt"
    )
