"""
In-memory twins of what the workflows need of the world.

``tests/contracts`` holds those that keep something to the same suite as the adapters they stand for; the
others play what a test writes down for them.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.adapters.table_ledger import Change
from shared.core import events
from shared.core.delivery import State
from shared.core.grant import AccessToken, Account, Grant, PendingConsent, Picture
from shared.core.holds import SenderState
from shared.core.oauth import RefreshOutcome
from shared.core.service import PUBLIC
from shared.core.smtp import Envelope, Phase, Reply, Submission
from shared.core.waiting import DUE_SHARDS, due_key
from shared.errors import ConsentRequiredError, CredentialError, PayloadError
from shared.grants import Renewal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from shared.core.delivery import Entry
    from shared.core.metrics import Metric
    from shared.core.rendering import Template
    from shared.core.schedule import Schedule
    from shared.core.sender import Sender
    from shared.core.service import Service
    from shared.core.smtp import Octets
    from shared.core.waiting import Due, InLine
    from shared.errors import GrantError

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class Clock:
    """A time that passes when a test says so."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, passed: timedelta) -> None:
        self.now += passed


class Crash(Exception):  # noqa: N818 - it stands for the end of a process, not for an error
    """The process ends here."""


class MemoryLedger:
    """The ledger; ``before`` and ``after`` are called with the name of each write, and may raise."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._history: dict[str, list[Change]] = {}
        self._lock = threading.Lock()
        self._versions = 0
        self._rest_until: datetime | None = None
        self.before: Callable[[str], object] = lambda _: None
        self.after: Callable[[str], object] = lambda _: None

    def find(self, message_id: str) -> Entry | None:
        with self._lock:
            return self._entries.get(message_id)

    def add(self, entry: Entry) -> Entry | None:
        self.before("add")
        with self._lock:
            known = self._entries.get(entry.id)
            written = self._write(entry) if known is None else self._same(known, entry)
        self.after("add")
        return written

    def update(self, entry: Entry) -> Entry | None:
        self.before("update")
        with self._lock:
            known = self._entries.get(entry.id)
            if known is None:
                written = None
            elif known.version == entry.version:
                written = self._write(entry)
            else:
                written = self._same(known, entry)
        self.after("update")
        return written

    def history(self, message_id: str) -> list[Change]:
        with self._lock:
            return list(self._history.get(message_id, ()))

    def page(
        self,
        *,
        token: str,
        limit: int,
        state: State | None = None,
        sender: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> tuple[list[Entry], str]:
        with self._lock:
            wanted = [
                entry
                for _, entry in sorted(self._entries.items())
                if (state is None or entry.state is state)
                and (not sender or entry.sender == sender)
                and (since is None or entry.created_at >= since)
                and (until is None or entry.created_at < until)
            ]
        begins = json.loads(token)["from"] if token else ""
        rest = [entry for entry in wanted if entry.id >= begins]
        following = json.dumps({"from": rest[limit].id}) if len(rest) > limit else ""
        return rest[:limit], following

    def sweep(self, *, before: datetime, now: datetime, pages: int) -> int:
        with self._lock:
            if pages < 1 or (self._rest_until and self._rest_until > now):
                return 0
            self._rest_until = now + timedelta(days=1)
            old = [
                entry.id
                for entry in self._entries.values()
                if entry.state.is_settled and entry.updated_at < before
            ]
            for message_id in old:
                del self._entries[message_id], self._history[message_id]
            return len(old)

    def check(self) -> None:
        self.before("check")

    def remove(self, message_id: str) -> None:
        with self._lock:
            del self._entries[message_id]

    def only(self) -> Entry:
        """Return the one entry there is."""
        (entry,) = self._entries.values()
        return entry

    def ids(self) -> set[str]:
        return set(self._entries)

    def _write(self, entry: Entry) -> Entry:
        self._versions += 1
        written = replace(entry, version=f"version-{self._versions}")
        self._entries[entry.id] = written
        attempt = entry.attempt if entry.state is State.SENDING else entry.attempts
        change = Change(entry.changes, entry.updated_at, entry.state, attempt, entry.reply, entry.reason)
        self._history.setdefault(entry.id, []).append(change)
        return written

    @staticmethod
    def _same(known: Entry, entry: Entry) -> Entry | None:
        return known if replace(known, version=entry.version) == entry else None


@dataclass(frozen=True)
class Put:
    """One message as it was put on the outbox."""

    text: str
    delay: timedelta


# XML 1.0 §2.2: what a queue message cannot hold, and 64 KiB of it at most.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LARGEST_MESSAGE_BYTES = 65_536
# Small, so that a few messages make several pages.
_DUE_AT_A_TIME = 2


class MemoryOutbox:
    """The outbox; ``before`` is called before each put, and may raise."""

    def __init__(self) -> None:
        self.puts: list[Put] = []
        self.before: Callable[[str], object] = lambda _: None

    def put(self, text: str, *, delay: timedelta = timedelta()) -> None:
        self.before("put")
        assert not _NOT_IN_XML.search(text)
        assert len(text.encode()) <= _LARGEST_MESSAGE_BYTES
        self.puts.append(Put(text, delay))

    def put_all(self, texts: Iterable[tuple[str, timedelta]]) -> None:
        for text, delay in texts:
            self.put(text, delay=delay)


class MemoryLetters:
    """A container that dead letters are kept in; ``before`` is called before each write, and may raise."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.before: Callable[[str], object] = lambda _: None

    def put(self, path: str, content: bytes) -> None:
        self.before("put")
        self.blobs.setdefault(path, content)


@dataclass(frozen=True)
class MemoryBlob:
    """A blob as it stood when it was looked up."""

    path: str
    content: bytes
    blobs: Mapping[str, bytes]

    @property
    def size(self) -> int:
        return len(self.content)

    def chunks(self) -> Iterator[bytes]:
        if self.blobs.get(self.path) != self.content:
            raise PayloadError("a blob changed while it was being read; it is read again")
        for start in range(0, self.size, 1_000):
            yield self.content[start : start + 1_000]


class MemoryPayloads(MemoryLetters):
    """The container that apps put large things in; ``asked`` names each blob that was looked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def find(self, path: str) -> MemoryBlob | None:
        self.asked.append(path)
        content = self.blobs.get(path)
        return None if content is None else MemoryBlob(path, content, self.blobs)

    def read(self, path: str, *, limit: int) -> bytes | None:
        found = self.find(path)
        if found and found.size > limit:
            raise ValueError(f"{path} has {found.size} octets and {limit} can be read")
        return b"".join(found.chunks()) if found else None


class MemoryTemplates:
    """Templates, by name and language, else the default one."""

    def __init__(self, *templates: Template) -> None:
        self.templates = {(each.name, each.language): each for each in templates}

    def find(self, name: str, language: str | None) -> Template | None:
        default = self.templates.get((name, "default"))
        return self.templates.get((name, language or "default"), default)


@dataclass(frozen=True)
class OfSender:
    """One event about a sender as it was told."""

    kind: str
    sender: str
    data: Mapping[str, Any]
    at: datetime


class MemoryEvents:
    """Those who listen: every entry as it was told; ``before`` and ``after`` may raise."""

    def __init__(self) -> None:
        self.told: list[Entry] = []
        self.of_senders: list[OfSender] = []
        self.before: Callable[[str], object] = lambda _: None
        self.after: Callable[[str], object] = lambda _: None

    def tell(self, entry: Entry) -> None:
        self.before("tell")
        self.told.append(entry)
        self.after("tell")

    def tell_of_sender(self, kind: str, sender: str, data: Mapping[str, Any], *, at: datetime) -> None:
        self.before("tell_of_sender")
        self.of_senders.append(OfSender(kind, sender, data, at))
        self.after("tell_of_sender")

    @property
    def states(self) -> list[tuple[str, State]]:
        return [(entry.id, entry.state) for entry in self.told]

    @property
    def ids(self) -> list[str]:
        """Return the id of each event that was told, as a reader gets it."""
        found = [events.of_message(entry, source="https://mail.contoso.com") for entry in self.told]
        return [json.loads(event)["id"] for event in found if event is not None]


class MemorySenders:
    """The states of senders; ``before`` and ``after`` are called with each write's name, and may raise."""

    def __init__(self) -> None:
        self._states: dict[str, SenderState] = {}
        self._lock = threading.Lock()
        self._versions = 0
        self.before: Callable[[str], object] = lambda _: None
        self.after: Callable[[str], object] = lambda _: None

    def load(self, sender: str) -> SenderState:
        with self._lock:
            return self._states.get(sender, SenderState(sender))

    def all(self) -> list[SenderState]:
        with self._lock:
            return [self._states[name] for name in sorted(self._states)]

    def save(self, state: SenderState) -> SenderState | None:
        self.before("save")
        with self._lock:
            known = self._states.get(state.sender)
            written = None
            if state.version == (known.version if known else ""):
                self._versions += 1
                written = replace(state, version=f"version-{self._versions}")
                self._states[state.sender] = written
        self.after("save")
        return written


class MemoryTelemetry:
    """What was told: spans in the order in which they ended, and numbers."""

    def __init__(self) -> None:
        self.parents: list[tuple[str, str]] = []
        self.spans: list[tuple[str, dict[str, str | int]]] = []
        self.counts: list[tuple[Metric, dict[str, str]]] = []
        self.gauges: list[tuple[Metric, float, dict[str, str]]] = []

    @contextmanager
    def continued(self, traceparent: str, tracestate: str) -> Iterator[None]:
        self.parents.append((traceparent, tracestate))
        yield

    @contextmanager
    def span(self, name: str, **attributes: str | int) -> Iterator[MemorySpan]:
        span = MemorySpan(dict(attributes))
        try:
            yield span
        finally:
            self.spans.append((name, span.attributes))

    def count(self, metric: Metric, **attributes: str) -> None:
        self.counts.append((metric, attributes))

    def gauge(self, metric: Metric, value: float, **attributes: str) -> None:
        self.gauges.append((metric, value, attributes))


@dataclass
class MemorySpan:
    """A span that is going on."""

    attributes: dict[str, str | int]

    def note(self, **attributes: str | int) -> None:
        self.attributes.update(attributes)


class MemoryWaiting:
    """The waiting room; ``before`` and ``after`` are called with the name of each write, and may raise."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[str, InLine]] = {}
        self._dues: dict[str, dict[str, Due]] = {}
        self._lock = threading.Lock()
        self.before: Callable[[str], object] = lambda _: None
        self.after: Callable[[str], object] = lambda _: None

    def join(self, place: InLine) -> None:
        self.before("join")
        with self._lock:
            self._lines.setdefault(place.line, {})[place.key] = place
        self.after("join")

    def head(self, line: str, *, most: int) -> list[InLine]:
        with self._lock:
            rows = self._lines.get(line, {})
            return [rows[key] for key in sorted(rows)[:most]]

    def oldest(self, line: str) -> datetime | None:
        with self._lock:
            return min(
                (place.since for place in self._lines.get(line, {}).values() if place.since), default=None
            )

    def leave(self, places: Sequence[InLine]) -> None:
        assert len({place.line for place in places}) <= 1
        self.before("leave")
        with self._lock:
            for place in places:
                self._lines.get(place.line, {}).pop(place.key, None)
        self.after("leave")

    def move(self, line: str, into: str, *, most: int | None = None) -> int:
        places = self.head(line, most=1_000_000 if most is None else most)
        for place in places:
            self.join(replace(place, line=into))
            self.leave([place])
        return len(places)

    def wait(self, due: Due) -> None:
        self.before("wait")
        with self._lock:
            self._dues.setdefault(due.shard, {})[due.key] = due
        self.after("wait")

    def due(self, until: datetime) -> Iterator[list[Due]]:
        for number in range(DUE_SHARDS):
            shard = f"due-{number}"
            while page := self._due(shard, until):
                yield page
                if not set(self._due(shard, until)) - set(page):
                    break

    def _due(self, shard: str, until: datetime) -> list[Due]:
        with self._lock:
            rows = self._dues.get(shard, {})
            return [rows[key] for key in sorted(rows) if key < due_key(until)][:_DUE_AT_A_TIME]

    def forget(self, dues: Sequence[Due]) -> None:
        assert len({due.shard for due in dues}) <= 1
        self.before("forget")
        with self._lock:
            for due in dues:
                self._dues.get(due.shard, {}).pop(due.key, None)
        self.after("forget")

    def ids_in(self, line: str) -> list[str]:
        """Return the ids of the messages in a line, in their order."""
        return [place.message_id for place in self.head(line, most=1_000)]

    def dues(self) -> list[Due]:
        """Return everything that waits for a time, by that time."""
        with self._lock:
            found = [due for rows in self._dues.values() for due in rows.values()]
        return sorted(found, key=lambda due: due.at)


class MemoryLeases:
    """Leases, by a clock; ``before`` and ``after`` are called with the name of each write, and may raise."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._held: dict[str, tuple[str, datetime]] = {}
        self._lock = threading.Lock()
        self._marks = 0
        self.before: Callable[[str], object] = lambda _: None
        self.after: Callable[[str], object] = lambda _: None

    def acquire(self, name: str, duration: timedelta) -> str:
        self.before("acquire")
        with self._lock:
            _, until = self._held.get(name, ("", None))
            if until is not None and until > self._clock():
                return ""
            self._marks += 1
            mark = f"mark-{self._marks}"
            self._held[name] = (mark, self._clock() + duration)
        self.after("acquire")
        return mark

    def release(self, name: str, mark: str) -> None:
        self.before("release")
        with self._lock:
            if name in self._held and self._held[name][0] == mark:
                del self._held[name]
        self.after("release")


class MemoryConsents:
    """Pending consents; ``before`` and ``after`` are called with the name of each write, and may raise."""

    def __init__(self) -> None:
        self._pending: dict[str, PendingConsent] = {}
        self._lock = threading.Lock()
        self.before: Callable[[str], object] = lambda _: None
        self.after: Callable[[str], object] = lambda _: None

    def begin(self, *, state: str, sender: str, flow: str, expires_at: datetime) -> str:
        self.before("begin")
        with self._lock:
            key = f"key-of-{len(self._pending)}"
            self._pending.setdefault(state, PendingConsent(sender, expires_at, "", flow, state, key, "0"))
        self.after("begin")
        return key

    def find(self, *, state: str, key: str) -> PendingConsent | None:
        with self._lock:
            found = self._pending.get(state)
            return found if found and found.key == key else None

    def use_up(self, pending: PendingConsent, *, outcome: str, mark: str = "") -> PendingConsent | None:
        self.before("use_up")
        with self._lock:
            known = self._pending.get(pending.state)
            if known is None or known.version != pending.version:
                return None
            used = replace(known, outcome=outcome, flow=mark, version=str(int(known.version) + 1))
            self._pending[pending.state] = used
        self.after("use_up")
        return used

    def sweep(self, now: datetime) -> int:
        with self._lock:
            expired = [state for state, pending in self._pending.items() if pending.expires_at < now]
            for state in expired:
                del self._pending[state]
            return len(expired)


class MemoryGrants:
    """
    The vault's grants.

    ``loading`` and ``storing`` are called first, and may raise or wait; ``before`` and ``after`` are called
    with the name of each write, and may raise. ``stored`` is every grant that was ever written.
    """

    def __init__(self, **grants: Grant) -> None:
        self.grants = dict(grants)
        self.stored: list[tuple[str, Grant]] = []
        self.loading: Callable[[], object] = lambda: None
        self.storing: Callable[[], object] = lambda: None
        self.before: Callable[[str], object] = lambda _: None
        self.after: Callable[[str], object] = lambda _: None

    def load_grant(self, sender: str) -> Grant | None:
        self.loading()
        return self.grants.get(sender)

    def store_grant(self, sender: str, grant: Grant) -> None:
        self.before("store_grant")
        self.storing()
        self.grants[sender] = grant
        self.stored.append((sender, grant))
        self.after("store_grant")

    def delete_grant(self, sender: str) -> bool:
        self.before("delete_grant")
        removed = self.grants.pop(sender, None) is not None
        self.after("delete_grant")
        return removed


class MemoryCredentials:
    """What services prove themselves with: when each ends; ``failing`` is raised where it is set."""

    def __init__(self) -> None:
        self.ends: dict[str, datetime] = {}
        self.failing: GrantError | None = None

    def expires_at(self, service: Service) -> datetime | None:
        if self.failing:
            raise self.failing
        return self.ends.get(service.name)


@dataclass(frozen=True)
class Submitted:
    """What the mail server was handed."""

    sender: str
    token: AccessToken
    envelope: Envelope
    mime: bytes
    smtputf8: bool


ACCEPTED = Submission(Phase.DONE, Reply(250, ("2.0.0 OK <1@contoso.com> [Hostname=AM0PR02MB1234]",)))


class ScriptedMailer:
    """
    Answers as the script says, and with yes when it has ended; what is an exception is raised.

    ``doors`` says how signing in fails, one for each time; it works when that has ended.
    """

    def __init__(self, *script: Submission | BaseException) -> None:
        self.script: list[Submission | BaseException] = list(script)
        self.submitted: list[Submitted] = []
        self.doors: list[Submission] = []
        self.knocked: list[tuple[str, AccessToken]] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def submit(
        self, sender: Sender, token: AccessToken, envelope: Envelope, mime: Octets, *, smtputf8: bool
    ) -> Submission:
        octets = b"".join(mime.chunks())
        assert len(octets) == mime.size
        self.submitted.append(Submitted(sender.name, token, envelope, octets, smtputf8))
        self.meanwhile()
        answer = self.script.pop(0) if self.script else ACCEPTED
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def knock(self, sender: Sender, token: AccessToken) -> Submission | None:
        self.knocked.append((sender.name, token))
        return self.doors.pop(0) if self.doors else None


class ScriptedTokens:
    """Gives a new token each time one is refused; an exception in the script is raised instead."""

    def __init__(self, *script: BaseException | None) -> None:
        self.script: list[BaseException | None] = list(script)
        self.given = 1
        self.asked = 0

    def token(self, sender: Sender) -> AccessToken:
        self._next()
        return self._token(sender)

    def token_after_refusal(self, sender: Sender, refused: AccessToken) -> AccessToken:
        self._next()
        assert refused == self._token(sender)
        self.given += 1
        return self._token(sender)

    def new_token(self, sender: Sender) -> AccessToken:
        self._next()
        self.given += 1
        return self._token(sender)

    def _next(self) -> None:
        self.asked += 1
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error

    def _token(self, sender: Sender) -> AccessToken:
        return AccessToken(sender.mailbox, f"canary-access-token-{self.given}", NOON + timedelta(hours=1))


def jwt(**claims: object) -> str:
    """Return an access token whose claims can be read; nobody here checks the signature."""
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    said = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*said, "canary-signature"])


def grant(
    mailbox: str = "noreply@contoso.com",
    *,
    number: int = 1,
    at: datetime = NOON,
    life: timedelta = timedelta(hours=1),
) -> Grant:
    """Return a grant as it is after the ``number``-th token."""
    account = Account(
        mailbox, "11111111-2222-4333-8444-555555555555", f"oid-of-{mailbox}", "Contoso Somebody"
    )
    return Grant(
        account=account,
        scopes=(PUBLIC.smtp_scope,),
        consented_at=at,
        refreshed_at=at,
        expires_at=at + life,
        refresh_token=f"canary-refresh-token-{number}",
        access_token=f"canary-access-token-{number}",
    )


class ScriptedProvider:
    """
    An OAuth 2 service that signs in whoever the test says; ``failing`` is raised where it is set.

    ``access_token`` makes the value of an access token from its number. Where it ``revokes_families``, a
    refresh token that is used twice, which ``reused`` then names, ends its whole family.
    """

    def __init__(self) -> None:
        self.account = "noreply@contoso.com"
        self.scopes: Sequence[str] = (PUBLIC.smtp_scope,)
        self.begun: list[dict[str, Any]] = []
        self.completed: list[Mapping[str, Any]] = []
        self.refreshed: list[Grant] = []
        self.fetched: list[str] = []
        self.pictures: dict[str, Picture] = {}
        self.failing: dict[str, BaseException] = {}
        self.refreshing: Callable[[], object] = lambda: None
        self.before: Callable[[str], object] = lambda _: None
        self.after: Callable[[str], object] = lambda _: None
        self.access_token: Callable[[int], str] = "canary-access-token-{}".format
        self.revokes_families = False
        self.reused: list[str] = []
        self._used: set[str] = set()

    def begin(self, *, redirect_uri: str, account: str) -> dict[str, Any]:
        self._fail("begin")
        number = len(self.begun) + 1
        state = f"state-{number}"
        flow = {
            "auth_uri": f"https://login.example/authorize?state={state}&login_hint={account}",
            "state": state,
            "redirect_uri": redirect_uri,
            "code_verifier": f"canary-code-verifier-{number}",
            "scope": [PUBLIC.smtp_scope, PUBLIC.profile_scope],
        }
        self.begun.append(flow)
        return flow

    def complete(self, flow: Mapping[str, Any], answer: Mapping[str, str], *, now: datetime) -> Grant:
        self.completed.append(flow)
        self._fail("complete")
        assert flow["state"] == answer["state"]
        return replace(grant(self.account, at=now), scopes=tuple(self.scopes))

    def picture(self, grant: Grant, *, now: datetime) -> tuple[Picture | None, Grant]:
        rotated = replace(grant, refresh_token="canary-refresh-token-2", refreshed_at=now)
        return self.pictures.get(grant.account.username), rotated

    def refresh(self, grant: Grant, *, now: datetime) -> Grant:
        self.refreshing()
        self.before("refresh")
        self.refreshed.append(grant)
        self._fail("refresh")
        self._use(grant.refresh_token)
        number = len(self.refreshed) + 1
        refreshed = grant.refreshed(
            access_token=self.access_token(number),
            refresh_token=f"canary-refresh-token-{number}",
            expires_at=now + timedelta(hours=1),
            now=now,
        )
        self.after("refresh")
        return refreshed

    def _use(self, refresh_token: str) -> None:
        if not refresh_token:
            raise CredentialError("the provider refused: invalid_request", code="AADSTS900144")
        if self.revokes_families and (self.reused or refresh_token in self._used):
            self.reused.append(refresh_token)
            raise ConsentRequiredError("the provider refused: invalid_grant")
        self._used.add(refresh_token)

    def app_grant(self, mailbox: str, *, now: datetime) -> Grant:
        self.refreshing()
        self.fetched.append(mailbox)
        self.before("app_grant")
        self._fail("app_grant")
        number = len(self.fetched)
        self.after("app_grant")
        return replace(
            grant(mailbox, at=now),
            account=Account(mailbox),
            scopes=(PUBLIC.app_scope,),
            refresh_token="",
            access_token=f"canary-access-token-of-the-app-{number}",
        )

    def admin_consent_url(self, *, redirect_uri: str) -> str:
        return f"https://login.example/adminconsent?redirect_uri={redirect_uri}"

    def flow(self, number: int = -1) -> dict[str, Any]:
        """Return what was begun, as it comes back from storage."""
        found: dict[str, Any] = json.loads(json.dumps(self.begun[number]))
        return found

    def _fail(self, step: str) -> None:
        if step in self.failing:
            raise self.failing[step]


@dataclass
class ScriptedKeeper:
    """What ``upkeep`` gets for each sender; a token that is still fresh where nothing is written down."""

    renewals: dict[str, Renewal] = field(default_factory=dict)
    asked: list[tuple[str, bool, bool]] = field(default_factory=list)

    def renew(self, sender: Sender, *, warm: bool, force: bool = False) -> Renewal:
        self.asked.append((sender.name, warm, force))
        fresh = Renewal(RefreshOutcome.STILL_FRESH, grant(sender.mailbox))
        return self.renewals.get(sender.name, fresh)


class MemorySchedules:
    """Recurring schedules; ``before`` and ``after`` are called with the name of each write, and may raise."""

    def __init__(self) -> None:
        self._schedules: dict[str, Schedule] = {}
        self._lock = threading.Lock()
        self._versions = 0
        self.before: Callable[[str], object] = lambda _: None
        self.after: Callable[[str], object] = lambda _: None

    def find(self, name: str) -> Schedule | None:
        with self._lock:
            return self._schedules.get(name)

    def page(self, *, token: str, limit: int) -> tuple[list[Schedule], str]:
        begins = json.loads(token)["from"] if token else ""
        with self._lock:
            rest = [schedule for name, schedule in sorted(self._schedules.items()) if name >= begins]
        following = json.dumps({"from": rest[limit].name}) if len(rest) > limit else ""
        return rest[:limit], following

    def save(self, schedule: Schedule) -> Schedule | None:
        self.before("save")
        with self._lock:
            known = self._schedules.get(schedule.name)
            written = None
            if schedule.version == (known.version if known else ""):
                self._versions += 1
                written = replace(schedule, version=f"version-{self._versions}")
                self._schedules[schedule.name] = written
        self.after("save")
        return written

    def remove(self, name: str) -> None:
        self.before("remove")
        with self._lock:
            self._schedules.pop(name, None)
        self.after("remove")

    def due(self, until: datetime) -> Iterator[Schedule]:
        seen: set[tuple[str, str]] = set()
        while found := self._due(until, seen):
            seen.add((found.name, found.version))
            yield found

    def _due(self, until: datetime, seen: set[tuple[str, str]]) -> Schedule | None:
        with self._lock:
            dues = [
                (each.next_at, each.name)
                for each in self._schedules.values()
                if each.next_at is not None and each.next_at < until and (each.name, each.version) not in seen
            ]
            return self._schedules[min(dues)[1]] if dues else None
