"""
Messages that an app might ask for, made from a seed, each with what its receiver must get to see.
"""

from __future__ import annotations

import base64
import html
import json
from dataclasses import dataclass, field
from email.header import Header
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

import idna

from benchmarks.mail import oddities, scripts
from benchmarks.mail.reading import File, Person, Reading, file
from shared.core.plain_text import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SENDER: Person = ("Contoso", "noreply@contoso.com")
LARGE_BYTES = 20 * 1024 * 1024
_MOST_ON_QUEUE = 48 * 1024  # octets of JSON; more goes into a blob, as apps must do
_MANY = 120  # recipients

#: The one template of these messages, as its files lie in the container.
TEMPLATE = {
    "greeting/default/subject.txt": "{{ title }} – {{ count }}",
    "greeting/default/body.html": "<p lang=de>{{ lines | join('<br>') }}</p>\n",
    "greeting/default/body.txt": "{% for line in lines %}{{ line }}\n{% endfor %}",
}


@dataclass(frozen=True, slots=True)
class Ask:
    """
    One message: its JSON, the blobs that go with it, and what is to arrive.

    ``recipients`` are the addresses of its envelope, in A-label form; ``first`` is one that is only this
    message's.
    """

    id: str
    kind: str
    first: str
    body: bytes = field(repr=False)
    blobs: Mapping[str, bytes] = field(repr=False)
    wanted: Reading = field(repr=False)
    recipients: frozenset[str] = field(repr=False)

    @property
    def queue_body(self) -> bytes:
        """What goes on the queue: the message, or a claim check where it is too large."""
        if len(self.body) <= _MOST_ON_QUEUE:
            return self.body
        return json.dumps({"blob": self._payload}).encode()

    @property
    def uploads(self) -> Mapping[str, bytes]:
        """What goes into ``mail-payloads`` first."""
        return {**self.blobs, self._payload: self.body} if len(self.body) > _MOST_ON_QUEUE else self.blobs

    @property
    def _payload(self) -> str:
        return f"asks/{self.id}.json"


def asks(seed: int, count: int, *, large: int = 0) -> Iterator[Ask]:
    """Give ``count`` messages, the first ``large`` of them with a file of 20 MB."""
    for number in range(count):
        making = _Making(Random(f"{seed}-{number}"), number, large=number < large)
        yield making.ask()


class _Making:
    """One message in the making: what is asked and what is wanted, side by side."""

    def __init__(self, chance: Random, number: int, *, large: bool) -> None:
        self._chance = chance
        self._number = number
        self._large = large
        known = sorted(scripts.letters())
        # Every script in its turn, so that enough messages have them all.
        self._scripts = [known[(number * 2 + step) % len(known)] for step in range(2)]
        self._first = f"ask-{number}@example.com"
        self._asked: dict[str, Any] = {"id": f"ask-{number}"}
        self._wanted: dict[str, Any] = {
            "sender": (SENDER,),
            "to": (),
            "cc": (),
            "reply_to": (),
            "subject": "",
            "text": None,
            "html": None,
            "files": (),
            "message_id": "",
            "in_reply_to": (),
            "references": (),
            "headers": {},
        }
        self._recipients: set[str] = set()
        self._blobs: dict[str, bytes] = {}

    def ask(self) -> Ask:
        names = list(self._KINDS)  # the last is for the large ones alone
        kind = "large" if self._large else names[self._number % (len(names) - 1)]
        if kind in ("raw", "raw_blob"):
            self._raw(blob=kind == "raw_blob")
        else:
            self._people(many=kind == "many", utf8=kind == "smtputf8", only_bcc=kind == "bcc")
            self._subject()
            for step in self._KINDS[kind]:
                step(self)
        return Ask(
            self._asked["id"],
            kind,
            self._first,
            json.dumps(self._asked, ensure_ascii=self._chance.random() < 0.5).encode(),  # noqa: PLR2004 - half
            self._blobs,
            Reading(**self._wanted),
            frozenset(self._recipients),
        )

    # Who.

    def _people(self, *, many: bool, utf8: bool, only_bcc: bool) -> None:
        hidden = [self._person() for _ in range(self._chance.randrange(3))]
        if only_bcc:
            hidden.insert(0, ("", self._first))
        else:
            self._list("to", [("", self._first), *self._several(_MANY if many else 3)])
            copies = self._several(30 if many else 2)
            if utf8:
                local_part = scripts.word(self._chance, "GREEK", 6)
                shown = scripts.words(self._chance, self._scripts[0], 2)
                copies.append((shown, f"{local_part}@example.com"))
            self._list("cc", copies)
        self._asked["bcc"] = [_written(person) for person in hidden]
        self._recipients |= {_ascii(address) for _, address in hidden}

    def _list(self, field_name: str, people: list[Person]) -> None:
        self._asked[field_name] = [_written(person) for person in people]
        self._wanted[field_name] = tuple(people)
        self._recipients |= {_ascii(address) for _, address in people}

    def _several(self, most: int) -> list[Person]:
        return [self._person() for _ in range(self._chance.randrange(most // 2, most + 1))]

    def _person(self) -> Person:
        chance = self._chance
        local_part = chance.choice(("ada", "o'hara", "first.last", "x+tag", "a_b-c", "!#$%&*=?^`{|}~"))
        address = f"{local_part}{chance.randrange(10**6)}@{chance.choice(oddities.DOMAINS)}"
        shown = (
            "",
            chance.choice(oddities.NAMES),
            scripts.words(chance, chance.choice(self._scripts), chance.randrange(1, 6)),
            chance.choice(scripts.SENTENCES),
        )
        return chance.choice(shown), address

    # What.

    def _subject(self) -> None:
        chance = self._chance
        subject = chance.choice(
            (
                scripts.words(chance, chance.choice(self._scripts), chance.randrange(1, 12)),
                chance.choice(scripts.SENTENCES),
                f"Invoice {chance.randrange(10**6)}",
                "=?utf-8?q?not=20encoded?= and more",
                "two  spaces   three",
                " a space before and after ",
                "a space after ",
                "long " * 60 + "subject",
                "x" * 300,
            )
        )
        self._asked["subject"] = self._wanted["subject"] = subject

    def _lines(self) -> str:
        chance = self._chance
        lines = [
            chance.choice(
                (
                    chance.choice(oddities.LINES),
                    chance.choice(scripts.SENTENCES),
                    scripts.words(chance, chance.choice(self._scripts), 20),
                )
            )
            for _ in range(chance.randrange(1, 12))
        ]
        return chance.choice(("\n", "\r\n")).join(lines)

    def _text(self) -> None:
        self._asked["text"] = self._wanted["text"] = self._lines()

    def _nothing(self) -> None:
        """No text at all: a mail has a body all the same."""
        self._wanted["text"] = ""

    def _html(self) -> None:
        shown = "".join(f"<p>{html.escape(line)}</p>\n" for line in self._lines().split("\n"))
        images = "".join(f'<img src="cid:{found.content_id}" alt="">\n' for found in self._wanted["files"])
        self._asked["html"] = f'<html dir="auto"><body>\n{shown}{images}</body></html>\n'
        self._wanted["html"] = self._asked["html"]
        if "text" not in self._asked:
            self._wanted["text"] = text_of(self._asked["html"])

    def _files(self) -> None:
        for _ in range(self._chance.randrange(1, 4)):
            self._file(self._content(20_000), inline=False)

    def _blob_files(self) -> None:
        for _ in range(self._chance.randrange(1, 4)):
            self._file(self._content(200_000), inline=False, blob=True)

    def _images(self) -> None:
        for number in range(self._chance.randrange(1, 5)):
            self._file(self._content(3_000), inline=True, blob=number % 2 == 1)

    def _big_file(self) -> None:
        self._file(self._chance.randbytes(LARGE_BYTES), inline=False, blob=self._number % 2 == 0)

    def _content(self, most: int) -> bytes:
        sizes = (0, 1, 56, 57, 58, 114, self._chance.randrange(most))
        return self._chance.randbytes(self._chance.choice(sizes))

    def _file(self, content: bytes, *, inline: bool, blob: bool = False) -> None:
        chance, number = self._chance, len(self._wanted["files"])
        name = chance.choice(
            (chance.choice(oddities.FILE_NAMES), scripts.words(chance, chance.choice(self._scripts), 3))
        )
        media_type = "image/png" if inline else chance.choice(oddities.MEDIA_TYPES)
        asked: dict[str, str] = {"filename": name, "content_type": media_type}
        content_id = f"image{number}.{chance.randrange(10**6)}@contoso.com" if inline else ""
        if inline:
            asked["content_id"] = content_id
        if blob:
            asked["blob"] = f"asks/{self._number}/{number}.bin"
            self._blobs[asked["blob"]] = content
        else:
            asked["content"] = base64.b64encode(content).decode()
        self._asked.setdefault("attachments", []).append(asked)
        found: File = file(
            name, content, media_type=media_type.partition(";")[0], content_id=content_id, inline=inline
        )
        # Inline images stand in the inner part, so they come before the others.
        files = [*self._wanted["files"], found]
        self._wanted["files"] = tuple(sorted(files, key=lambda one: not one.inline))

    def _conversation(self) -> None:
        ids = [f"<{self._chance.randbytes(20).hex()}@mail.example.com>" for _ in range(25)]
        self._asked["references"] = self._wanted["references"] = tuple(ids)
        self._asked["in_reply_to"] = ids[-1]
        self._wanted["in_reply_to"] = (ids[-1],)
        self._asked["message_id"] = self._wanted["message_id"] = f"<ask-{self._number}@contoso.com>"
        people = self._several(3)
        self._asked["reply_to"] = [_written(person) for person in people]
        self._wanted["reply_to"] = tuple(people)

    def _headers(self) -> None:
        chance = self._chance
        values: dict[str, list[str]] = {
            "X-Campaign": [scripts.words(chance, chance.choice(self._scripts), 8)],
            "X-Note": [chance.choice(scripts.SENTENCES), "second one"],
            "X-Long": ["many words " * 90 + "end"],
            "Importance": ["high"],
            "Auto-Submitted": ["auto-generated"],
            "List-Unsubscribe": ["<https://example.com/u?a=1>, <mailto:leave@example.com?subject=leave>"],
        }
        self._asked["headers"] = {
            name: several[0] if len(several) == 1 else several for name, several in values.items()
        }
        wanted = {name.lower(): tuple(several) for name, several in values.items()}
        wanted["list-unsubscribe-post"] = ("List-Unsubscribe=One-Click",)
        self._wanted["headers"] = wanted

    def _template(self) -> None:
        chance = self._chance
        title = scripts.words(chance, self._scripts[0], 3)
        lines = [chance.choice(scripts.SENTENCES) for _ in range(3)]
        count = chance.randrange(1000)
        self._asked.update(template="greeting", data={"title": title, "lines": lines, "count": count})
        self._asked["language"] = "de-AT"
        del self._asked["subject"]
        self._wanted["subject"] = f"{title} – {count}"
        self._wanted["html"] = f"<p lang=de>{'&lt;br&gt;'.join(map(_escaped, lines))}</p>\n"
        self._wanted["text"] = "".join(f"{line}\n" for line in lines)

    # Raw ones, written by the standard library.

    def _raw(self, *, blob: bool) -> None:
        chance, shown = self._chance, scripts.words(self._chance, self._scripts[0], 2)
        subject, name, content = chance.choice(scripts.SENTENCES), "Rechnung ä.pdf", chance.randbytes(5000)
        text = self._lines().replace("\r", "") + "\n"
        # The older classes: the newer ones lose spaces when they fold (python/cpython, issue 92081).
        mail = MIMEMultipart()
        mail["From"] = "Contoso <noreply@contoso.com>"
        mail["To"] = f"{self._first}, {Header(shown, 'utf-8').encode()} <ada@example.com>"
        mail["Bcc"] = "hidden@example.com"
        mail["Subject"] = Header(subject, "utf-8", header_name="Subject").encode()
        mail.attach(MIMEText(text, "plain", "utf-8"))
        pdf = MIMEApplication(content, "pdf")
        pdf.add_header("Content-Disposition", "attachment", filename=("utf-8", "", name))
        mail.attach(pdf)
        octets = mail.as_bytes()  # with bare LF: Sendoff's to mend
        if blob:
            self._asked["raw_blob"] = f"asks/{self._number}/whole.eml"
            self._blobs[self._asked["raw_blob"]] = octets
        else:
            self._asked["raw"] = base64.b64encode(octets).decode()
        self._recipients |= {self._first, "ada@example.com", "hidden@example.com"}
        self._wanted.update(
            to=(("", self._first), (shown, "ada@example.com")),
            subject=subject,
            text=text,
            files=(file(name, content, media_type="application/pdf", inline=False),),
        )

    #: What each kind of message has, in the order in which it is made.
    _KINDS: ClassVar[Mapping[str, tuple[Callable[[_Making], None], ...]]] = {
        "text": (_text,),
        "text and html": (_text, _html),
        "html only": (_html,),
        "inline images": (_images, _html),
        "files": (_text, _files),
        "files by blob": (_text, _html, _blob_files),
        "many": (_text,),
        "conversation": (_text, _conversation),
        "headers": (_text, _headers),
        "raw": (),
        "raw_blob": (),
        "template": (_template,),
        "bcc": (_text,),
        "smtputf8": (_text, _html),
        "everything": (
            _images,
            _text,
            _html,
            _files,
            _conversation,
            _headers,
        ),
        "nothing": (_nothing,),
        "large": (_text, _big_file),
    }


def _written(person: Person) -> str:
    shown, address = person
    if not shown:
        return address
    quoted = shown.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>'


def _ascii(address: str) -> str:
    local_part, _, domain = address.rpartition("@")
    return f"{local_part}@{idna.encode(domain, uts46=True).decode()}"


def _escaped(text: str) -> str:
    return html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")  # as Jinja writes them
