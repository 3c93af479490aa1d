"""
The mail servers in a process of their own: ``python -m benchmarks.smtp_speed.server FOLDER``.

So they share no interpreter with those who are measured. One is the stack's (``local.microsoft.exchange``)
with its limits lifted, and the relay in front of it; the other is ``lean``.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt

from benchmarks.smtp_speed.child import answer_questions
from benchmarks.smtp_speed.lean import LeanServer
from benchmarks.smtp_speed.relay import Relay
from local.microsoft.exchange import Exchange, Mailbox
from local.microsoft.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Mapping

MAILBOX = "noreply@contoso.com"

_PLENTY = 1_000_000_000
# Only how fast the protocol goes is looked at, so nothing is ever refused for its number.
_LIMITS = {"messages_per_minute": _PLENTY, "recipients_per_day": _PLENTY, "connections": 100}
_KEPT_MESSAGES = 10  # nobody reads them
_TOKEN_SECONDS = 3600.0
_KEY = secrets.token_hex()


def main() -> int:
    """Serve until standard input ends."""
    trust = Trust.create(Path(sys.argv[1]))
    exchange = Exchange(
        mailboxes=[Mailbox(MAILBOX, frozenset({MAILBOX}))], verify=_verify, context=trust.server_context
    )
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    def call(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    call(exchange.start())
    relay = Relay(exchange.port)
    call(relay.start())
    lean = LeanServer(trust.server_context)

    async def answer(question: dict[str, Any]) -> dict[str, Any]:
        if "round_trip_ms" in question:
            exchange.control({"round_trip_ms": question["round_trip_ms"]})
        if "relay_ms" in question:
            relay.round_trip_seconds = question["relay_ms"] / 1000
        return {
            "processor_seconds": time.process_time(),
            "accepted": exchange.store.counters.accepted + lean.accepted,
            "turns": relay.turns,
        }

    async def begin() -> None:
        exchange.control({"limits": _LIMITS, "keep_messages": _KEPT_MESSAGES})

    call(begin())
    facts = {
        "port": exchange.port,
        "relay_port": relay.port,
        "lean_port": lean.port,
        "ca_file": str(trust.ca_file),
        "user": MAILBOX,
        "token": _token(),
    }
    answer_questions(facts, lambda question: call(answer(question)))
    lean.stop()
    relay.stop()
    call(exchange.stop())
    return 0


def _token() -> str:
    claims = {
        "aud": "https://outlook.office.com",
        "scp": "SMTP.Send",
        "upn": MAILBOX,
        "exp": time.time() + _TOKEN_SECONDS,
    }
    return jwt.encode(claims, _KEY, "HS256")


def _verify(token: str) -> Mapping[str, object]:
    claims: dict[str, object] = jwt.decode(token, _KEY, ["HS256"], options={"verify_aud": False})
    return claims


if __name__ == "__main__":
    sys.exit(main())
