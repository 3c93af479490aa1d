"""
Sessions kept open between messages, so that a message costs two round trips instead of nine.

A sender never has more than its `connections` open. A session is used again while it is young and has not
idled long, because Exchange cuts both the old and the idle; which one to use and which to close is decided by
`choose`, without a socket in sight.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from shared.adapters.smtp_session import SmtpSession, Timeouts, tls_context
from shared.core.reply import Verdict, judge
from shared.core.smtp import Envelope, Octets, Phase, Submission, ehlo_command

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence

    from shared.core.xoauth2 import Credentials

# Seconds. Exchange ends a session after five minutes of silence, load balancers on the way after less.
MAX_IDLE_SECONDS: Final = 60
# Seconds. Exchange's receive connectors end a session after ten minutes however busy it is.
MAX_AGE_SECONDS: Final = 5 * 60
# Seconds. Less than this ago it answered, so asking again would cost a round trip and tell nothing.
CHECK_AFTER_SECONDS: Final = 15
# Seconds that a message waits for one of its sender's connections before it is given back.
PATIENCE_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Route:
    """Where a sender's mail goes in: `key` is the sender's name, `connections` the most it may have open."""

    host: str
    port: int
    key: str
    connections: int


@dataclass(frozen=True, slots=True)
class Resting:
    """A session that nobody uses just now; times are the pool's clock."""

    session: SmtpSession
    #: Host, port and user: a session serves no other.
    identity: tuple[str, int, str]
    opened_at: float
    idle_since: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What to do for the next message: close these, then use `reuse`, or open one, or wait."""

    close: tuple[Resting, ...]
    keep: tuple[Resting, ...]
    reuse: Resting | None
    #: Whether `reuse` has idled so long that it must be asked (NOOP) whether it is still there.
    check: bool
    #: Whether neither an idle session nor room for a new one is left.
    wait: bool


def is_stale(resting: Resting, now: float) -> bool:
    """Tell whether a session has idled too long or is too old to be used again."""
    return now - resting.idle_since > MAX_IDLE_SECONDS or now - resting.opened_at > MAX_AGE_SECONDS


def choose(
    idle: Sequence[Resting], *, identity: tuple[str, int, str], busy: int, connections: int, now: float
) -> Choice:
    """
    Decide, from one sender's idle sessions and the number of its busy ones, what the next message does.

    The one that rested last is used first: the others grow stale and the pool shrinks to what is needed.
    """
    close = tuple(rest for rest in idle if is_stale(rest, now) or rest.identity != identity)
    usable = sorted((rest for rest in idle if rest not in close), key=lambda rest: rest.idle_since)
    reuse = usable.pop() if usable and busy < connections else None
    check = reuse is not None and now - reuse.idle_since > CHECK_AFTER_SECONDS
    wait = reuse is None and busy + len(usable) >= connections
    return Choice(close, tuple(usable), reuse, check, wait)


@dataclass(slots=True)
class _Shelf:
    """One sender's sessions: those at rest, and how many are busy."""

    idle: tuple[Resting, ...] = ()
    busy: int = 0


@dataclass(slots=True)
class _Place:
    """The right to one connection; holds what is in it, and whether that may be kept."""

    rest: Resting | None
    check: bool
    to_close: tuple[Resting, ...]
    stale_elsewhere: tuple[Resting, ...]


class SmtpPool:
    """
    Every sender's sessions in this process; any number of threads may submit at once.

    Nothing that a network or a server does raises: it comes back as a `Submission`. `ehlo_name` is a domain
    name or an address literal, "" for the literal of each connection's own end; another is a `ValueError`.
    """

    def __init__(
        self,
        *,
        ehlo_name: str = "",
        context_factory: Callable[[], ssl.SSLContext] = tls_context,
        clock: Callable[[], float] = time.monotonic,
        timeouts: Timeouts | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        if ehlo_name:
            ehlo_command(ehlo_name)
        self._ehlo_name = ehlo_name
        self._context_factory = context_factory
        self._context: ssl.SSLContext | None = None
        self._clock = clock
        self._timeouts = timeouts or Timeouts()
        self._patience = patience_seconds
        self._changed = threading.Condition()
        self._shelves: dict[str, _Shelf] = {}
        self._swept_at = clock()
        self._closed = False

    def submit(
        self,
        route: Route,
        credentials: Credentials,
        envelope: Envelope,
        mime: Octets | bytes,
        *,
        smtputf8: bool = False,
    ) -> Submission:
        """
        Send one message over a session of this sender, an open one if there is any.

        A session outlives the access token that opened it: Exchange asks for the token at AUTH alone.
        """
        identity = (route.host, route.port, credentials.user)
        with self._place(route, identity) as place:
            if isinstance(place, Submission):
                return place
            used = self._over_open_session(place, envelope, mime, smtputf8=smtputf8)
            if used is not None:
                return used
            session = self._open(place, route, credentials, identity)
            if isinstance(session, Submission):
                return session
            return session.submit(envelope, mime, smtputf8=smtputf8)

    def knock(self, route: Route, credentials: Credentials) -> Submission | None:
        """Open a session of this sender and keep it; returns how that failed, None where it did not."""
        identity = (route.host, route.port, credentials.user)
        with self._place(route, identity) as place:
            if isinstance(place, Submission):
                return place
            if place.rest is not None:
                # One that was opened before proves nothing about now.
                place.rest.session.close()
                place.rest = None
            session = self._open(place, route, credentials, identity)
            return session if isinstance(session, Submission) else None

    def trim(self, key: str, connections: int) -> None:
        """Close this sender's idle sessions until no more than so many connections are open."""
        with self._changed:
            shelf = self._shelves.get(key, _Shelf())
            kept = max(0, connections - shelf.busy)
            resting = sorted(shelf.idle, key=lambda rest: rest.idle_since, reverse=True)
            shelf.idle, too_many = tuple(resting[:kept]), resting[kept:]
            self._changed.notify_all()
        _close(too_many)

    def close_idle(self, key: str) -> None:
        """Close this sender's idle sessions."""
        self.trim(key, 0)

    def close(self) -> None:
        """Say QUIT to every idle session and refuse what comes later; busy ones close when they are done."""
        with self._changed:
            self._closed = True
            keys = tuple(self._shelves)
            self._changed.notify_all()
        for key in keys:
            self.close_idle(key)

    @contextmanager
    def _place(self, route: Route, identity: tuple[str, int, str]) -> Iterator[_Place | Submission]:
        place = self._take_place(route, identity)
        if isinstance(place, Submission):
            yield place
            return
        try:
            # Before anything is opened: until they are closed they are connections too.
            _close(place.to_close)
            yield place
        finally:
            self._give_back(route.key, place)
            _close(place.stale_elsewhere, wait=False)

    def _take_place(self, route: Route, identity: tuple[str, int, str]) -> _Place | Submission:
        give_up_at = time.monotonic() + self._patience
        with self._changed:
            while not self._closed:
                shelf = self._shelves.setdefault(route.key, _Shelf())
                choice = choose(
                    shelf.idle,
                    identity=identity,
                    busy=shelf.busy,
                    connections=route.connections,
                    now=self._clock(),
                )
                if not choice.wait:
                    shelf.idle = choice.keep
                    shelf.busy += 1
                    return _Place(choice.reuse, choice.check, choice.close, self._stale_elsewhere())
                if not self._changed.wait(give_up_at - time.monotonic()):
                    problem = f"all {route.connections} connections of this sender are busy"
                    return Submission(Phase.BORROW, problem=problem)
        return Submission(Phase.BORROW, problem="the pool is closed")

    def _stale_elsewhere(self) -> tuple[Resting, ...]:
        """Take other senders' stale sessions off their shelves, since nobody else may come by for hours."""
        now = self._clock()
        if now - self._swept_at < CHECK_AFTER_SECONDS:
            return ()
        self._swept_at = now
        stale: list[Resting] = []
        for shelf in self._shelves.values():
            stale += [rest for rest in shelf.idle if is_stale(rest, now)]
            shelf.idle = tuple(rest for rest in shelf.idle if not is_stale(rest, now))
        return tuple(stale)

    def _over_open_session(
        self, place: _Place, envelope: Envelope, mime: Octets | bytes, *, smtputf8: bool
    ) -> Submission | None:
        """Send over the place's session; None, and an empty place, where that one turns out to be dead."""
        if place.rest is None:
            return None
        session = place.rest.session
        # Without a check it is asked whether it is quiet, which is the first thing that `submit` does.
        if not place.check or session.check():
            submission = session.submit(envelope, mime, smtputf8=smtputf8)
            died_before = not session.usable and submission.phase is Phase.MAIL
            if not died_before or judge(submission).verdict is not Verdict.DEFER:
                return submission
        # MAIL was not accepted, so nothing of the message was sent: a new session may have it.
        session.discard()
        place.rest = None
        return None

    def _open(
        self, place: _Place, route: Route, credentials: Credentials, identity: tuple[str, int, str]
    ) -> SmtpSession | Submission:
        """Open a session in this place, or say how that failed."""
        session = SmtpSession.open(
            route.host,
            route.port,
            credentials,
            context=self._verifying(),
            ehlo_name=self._ehlo_name,
            timeouts=self._timeouts,
        )
        if isinstance(session, Submission):
            return session
        now = self._clock()
        place.rest = Resting(session, identity, opened_at=now, idle_since=now)
        return session

    def _verifying(self) -> ssl.SSLContext:
        with self._changed:
            # One for all sessions: reading the machine's CAs takes longer than a handshake.
            if self._context is None:
                self._context = self._context_factory()
            return self._context

    def _give_back(self, key: str, place: _Place) -> None:
        rest = place.rest
        if rest is not None and not rest.session.usable:
            rest.session.discard()
            rest = None
        with self._changed:
            shelf = self._shelves[key]
            shelf.busy -= 1
            late = self._closed
            if rest is not None and not late:
                shelf.idle = (*shelf.idle, replace(rest, idle_since=self._clock()))
            self._changed.notify_all()
        if rest is not None and late:
            rest.session.close()


def _close(sessions: Sequence[Resting], *, wait: bool = True) -> None:
    for rest in sessions:
        rest.session.close(wait=wait)
