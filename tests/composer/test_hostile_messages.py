"""Near-valid messages with hostile strings in every place, from JSON to octets and back by another parser."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.composer import Composer
from shared.core.address import Address
from shared.core.intake import read
from shared.core.message import Message
from shared.core.rendering import Template
from shared.core.sender import Sender, SmtpServer
from shared.core.smtp import dot_stuff, has_bare_line_end, mail_command, rcpt_command
from shared.errors import MessageError
from tests.twins import MemoryPayloads, MemoryTemplates

SENDER = Sender(
    "noreply",
    "microsoft",
    "noreply@contoso.com",
    Address("noreply", "contoso.com", "Contoso"),
    SmtpServer("smtp.office365.com"),
)
MAIL_ID = "<m@contoso.com>"
DATE = datetime(2026, 11, 24, 6, 55, tzinfo=UTC)
CANARY = "canary@injected.example"

# What has broken mailers before: each of these, alone or among other text.
HOSTILE = st.sampled_from(
    [
        *(
            f"\r\nBcc: {CANARY}",
            f"\nBcc: {CANARY}\n\n",
            f"\r\n\r\nBcc: {CANARY}",
            f"\rBcc: {CANARY}\r",
            "\r\n.\r\n",
        ),
        *(f"=?utf-8?q?=0D=0ABcc:_{CANARY}?=", "=?utf-8?b?DQpCY2M6?=", "=?x?=", "?=", "=?utf-8?q?"),
        *(
            f"\x0bBcc: {CANARY}",
            f"\x85Bcc: {CANARY}",
            f"\u2028Bcc: {CANARY}",
            f"\u2029Bcc: {CANARY}",
            "\0",
            "\x7f",
        ),
        *(
            "\x1b[2J",
            "\t",
            " ",
            "  ",
            "",
            '"',
            "\\",
            "'",
            "<",
            ">",
            "(",
            ")",
            ",",
            ";",
            ":",
            "@",
            "--",
            "--=_",
            ".",
        ),
        *(
            "\ud800",
            "\udfff",
            "\ufeff",
            "\u202e",
            "\u200b",
            "\ufffe",
            "é",
            "日本",
            "🦆",
            "a" * 1200,
            "{{ x }}",
            "%s",
        ),
        *(f'"; filename="x\r\nBcc: {CANARY}', "../../x", "a/b", "CON", "\\\\x", "utf-8''x", "*0*="),
        *("\r\nDATA\r\n", "a@b.c> SIZE=1", "<a@b.c>\r\nRCPT TO:<d@e.f>", "\n From: x@y.z", "&#0;", "<p>"),
    ]
)
WORD = st.sampled_from(["Order", "Grüße", "4711", "ada", "x"])
LINE = st.lists(WORD | HOSTILE, max_size=4).map("".join)
ADDRESS = st.one_of(
    st.sampled_from(["ada@contoso.com", "Größe <bob@bücher.example>", "jürgen@contoso.com"]),
    st.builds("{} <ada@contoso.com>".format, LINE),
    st.builds("{}@contoso.com".format, LINE),
    st.builds("ada@{}".format, LINE),
)
SOME = st.lists(ADDRESS, max_size=2)
FILE = st.fixed_dictionaries(
    {"filename": LINE},
    optional={
        "content": st.binary(max_size=80).map(lambda octets: base64.b64encode(octets).decode()),
        "blob": st.sampled_from(["a.bin", "../a.bin", "missing"]) | LINE,
        "content_type": st.sampled_from(["text/plain", "text/csv; charset=utf-8"]) | LINE,
        "content_id": st.sampled_from(["logo", "a@b"]) | LINE,
    },
)
PARTS = st.fixed_dictionaries(
    {"to": SOME},
    optional={
        "cc": SOME,
        "bcc": st.just([CANARY]) | SOME,
        "reply_to": SOME,
        "from": ADDRESS,
        "subject": LINE,
        "text": LINE,
        "html": LINE,
        "in_reply_to": LINE,
        "references": st.lists(LINE, max_size=2),
        "message_id": LINE,
        "headers": st.dictionaries(
            st.sampled_from(["X-A", "List-Unsubscribe", "Subject", "Bcc"]) | LINE,
            LINE | st.lists(LINE, max_size=2),
            max_size=2,
        ),
        "attachments": st.lists(FILE, max_size=2),
        "metadata": st.dictionaries(LINE, LINE, max_size=2),
        "template": st.sampled_from(["order", "missing"]) | LINE,
        "data": st.fixed_dictionaries({"x": LINE}),
        "language": st.sampled_from(["de", "de-AT"]) | LINE,
    },
)
RAW_LINE = LINE.map(lambda text: text.encode("utf-8", "surrogatepass"))
RAW = st.builds(
    lambda lines, body: {
        "raw": base64.b64encode(b"\r\n".join([b"From: noreply@contoso.com", *lines, b"", body])).decode()
    },
    st.lists(
        st.builds(
            lambda name, value: name + b": " + value,
            st.sampled_from(
                [b"To", b"Bcc", b"bCC ", b"Resent-Bcc", b"Subject", b"Cc", b"X-A", b"Message-ID"]
            ),
            RAW_LINE | st.just(CANARY.encode()) | st.just(b"ada@contoso.com"),
        ),
        max_size=4,
    ),
    RAW_LINE,
)
HIDDEN = re.compile(rb"^(resent-)?bcc[ \t]*:", re.IGNORECASE | re.MULTILINE)
ALLOWED = {
    *("from", "to", "cc", "reply-to", "subject", "date", "message-id", "in-reply-to", "references"),
    *("mime-version", "content-type", "content-transfer-encoding", "list-unsubscribe-post"),
}


def composed(value: dict[str, Any]) -> tuple[Message, bytes] | None:
    """The message and its octets as they go to the server, or None where it was refused."""
    payloads = MemoryPayloads()
    payloads.put("a.bin", b"\x00\xff" * 50)
    templates = MemoryTemplates(
        Template("order", "default", "{{ x }}", "<p title='{{ x }}'>{{ x }}</p>", "{{ x }}")
    )
    composer = Composer(payloads=payloads, templates=templates)
    try:
        message = read(json.dumps(value).encode(), fallback_id="queue-id")
        assert isinstance(message, Message)
        ready = composer.compose(message, SENDER, mail_id=MAIL_ID, date=DATE)
    except MessageError as refused:
        assert refused.problems  # noqa: PT017 - either outcome is right
        return None
    octets = ready.mime.to_bytes()
    assert ready.mime.size == len(octets)
    # What the session would say: every command can be built, so none of them can be broken out of.
    utf8 = ready.mime.smtputf8
    commands = [
        mail_command(ready.envelope.mail_from, smtputf8=utf8),
        *(rcpt_command(address, smtputf8=utf8) for address in ready.envelope.rcpt_to),
    ]
    assert all(command.count(b"\r\n") == 1 for command in commands)
    assert b"".join(dot_stuff(ready.mime.chunks())).count(b"\r\n.\r\n") == 1
    assert octets.isascii() or ready.mime.eight_bit
    return message, octets


def check_octets(octets: bytes) -> None:
    assert octets.endswith(b"\r\n")
    assert not has_bare_line_end(octets)
    assert b"\0" not in octets
    assert max(map(len, octets.split(b"\r\n"))) <= 998


@settings(max_examples=400)
@given(PARTS)
def test_a_message_of_parts_is_refused_or_has_the_headers_that_were_asked_for_and_no_other(
    value: dict[str, Any],
) -> None:
    ready = composed(value)
    if ready is None:
        return
    message, octets = ready
    check_octets(octets)
    header = octets.partition(b"\r\n\r\n")[0] + b"\r\n"
    names = [name.lower() for name in re.findall(rb"^([!-9;-~]+):", header, re.MULTILINE)]
    asked = {name.lower() for name in message.fields.headers}
    assert {name.decode() for name in names} <= ALLOWED | asked
    for once in (b"from", b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type"):
        assert names.count(once) == 1 or once == b"to"
    assert not HIDDEN.search(header)
    parsed = message_from_bytes(octets, policy=policy.default)
    assert parsed["Bcc"] is None
    assert {str(name).lower() for name in parsed} == {name.decode() for name in names}
    for part in parsed.walk():
        if part is not parsed:
            assert {name.lower() for name in part} <= {
                *("content-type", "content-transfer-encoding", "content-disposition", "content-id")
            }


@settings(max_examples=200)
@given(PARTS)
def test_who_is_hidden_is_named_nowhere_but_in_the_envelope(value: dict[str, Any]) -> None:
    harmless: dict[str, Any] = {name: value[name] for name in ("attachments", "template") if name in value}
    ready = composed({**harmless, "to": "ada@contoso.com", "bcc": [CANARY, "Eve <eve@injected.example>"]})
    if ready is None:
        return
    message, octets = ready
    assert len(message.recipients) == 3
    shown = octets if not harmless else octets.partition(b"\r\n\r\n")[0]
    assert b"injected" not in shown


@settings(max_examples=200)
@given(RAW, st.booleans())
def test_a_raw_message_is_refused_or_shows_no_hidden_recipient(value: dict[str, Any], to: bool) -> None:  # noqa: FBT001 - drawn
    ready = composed({**value, "to": "ada@contoso.com"} if to else value)
    if ready is None:
        return
    _, octets = ready
    check_octets(octets)
    header = octets.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert not HIDDEN.search(header)
    assert message_from_bytes(octets)["Bcc"] is None
    assert len(re.findall(rb"^from[ \t]*:", header, re.IGNORECASE | re.MULTILINE)) == 1


@settings(max_examples=200)
@given(LINE, LINE)
def test_a_template_writes_what_it_is_given_as_text_wherever_it_stands(x: str, name: str) -> None:
    ready = composed({"to": "ada@contoso.com", "template": "order", "data": {"x": x, name: name}})
    if ready is None:
        assert "\0" in x or re.search("[\ud800-\udfff]", x) or len(x) > 998
        return
    _, octets = ready
    check_octets(octets)
    parsed = message_from_bytes(octets, policy=policy.default)
    assert {name.lower() for name in parsed} <= ALLOWED
    html = parsed.get_body(("html",))
    assert html is not None
    inside = html.get_content().strip().removeprefix("<p title='").removesuffix("</p>")
    assert inside.count("<") == 0
    assert inside.count("'>") == 1
