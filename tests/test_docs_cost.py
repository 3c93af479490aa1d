"""docs/cost.md adds up: every figure in it is computed again from the tables at its beginning."""

from __future__ import annotations

import json
import re
from decimal import ROUND_HALF_UP, Decimal

import pytest

from docs import cost
from shared import settings
from shared.core.sender import Limits
from tests.pages import HOST, ROOT, section

PAGE = (ROOT / "docs" / "cost.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    lines = re.findall(r"^\| (.+) \|$", section(PAGE, heading), re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def number(text: str) -> Decimal:
    return Decimal(text.replace(",", "").strip("*"))


PRICES = {row[0]: tuple(map(number, row[1:4])) for row in rows("Prices")[1:]}
COUNTS = {row[1]: number(row[0]) for row in rows("Counts") if row[0]}


def count(begins: str) -> Decimal:
    (found,) = [value for what, value in COUNTS.items() if what.startswith(begins)]
    return found


def test_the_tables_are_those_that_the_script_makes() -> None:
    assert cost.page(PAGE) == PAGE, "write it anew: .venv/bin/python -m docs.cost"


@pytest.mark.parametrize("load", cost.LOADS, ids=lambda load: load.heading)
def test_each_row_is_its_amount_times_its_price_and_the_rows_add_up(load: cost.Load) -> None:
    *bill, last = [row for row in rows(load.heading) if len(row) == 3 and row[2] != "dollars"]
    summed = Decimal(0)
    for what, amount, dollars in bill:
        price, per, free = PRICES[what]
        due = max(number(amount) - free, Decimal(0)) / per * price
        assert due.quantize(Decimal("0.01"), ROUND_HALF_UP) == number(dollars), what
        summed += number(dollars)
    assert last[0] == "**all**"
    assert number(last[2]) == summed
    assert {what for what, *_ in bill} == set(PRICES)


@pytest.mark.parametrize(
    ("heading", "mails", "senders", "line"),
    [
        ("A thousand mails", 1_000, 1, False),
        ("A million mails, each sent at once", 1_000_000, 40, False),
        ("A million mails through the line of one mailbox", 1_000_000, 1, True),
    ],
)
def test_each_amount_follows_from_the_counts_on_the_page(
    heading: str, mails: int, senders: int, *, line: bool
) -> None:
    found = {
        row[0]: number(row[1]) for row in rows(heading) if len(row) == 3 and row[1] and row[2] != "dollars"
    }
    month = Decimal(30 * 24 * 3600)
    releases = month / 60 / count("minutes between two runs of `release`")
    upkeeps = month / 60 / count("minutes between two runs of `upkeep`")
    seconds = (
        Decimal(mails) / count("messages a minute") * 60
        if line
        else mails * count("seconds billed for a message")
    )
    timers = releases * count("seconds billed for a run of `release`") + upkeeps * count(
        "seconds billed for a run of `upkeep`"
    )
    tables = mails * count("the same through the line" if line else "table transactions of a plain message")
    tables += releases * count("table transactions of a run of `release`")
    tables += upkeeps * count("table transactions of a run of `upkeep`")
    polls = month / count("seconds between two looks") * count("queues that are looked at")
    logs = mails * count("octets of log, trace") + (releases + upkeeps) * count(
        "the same for a run of a timer"
    )
    expected = {
        "executions, Flex Consumption": mails + releases + upkeeps,
        "GB-seconds, Flex Consumption on demand": (seconds + timers) * count("GB of an instance"),
        "table transactions": tables,
        "queue operations": mails * (count("of the app") + count("queue operations of the host")) + polls,
        "blob writes, hot": releases + upkeeps,
        "other blob operations": month / 60 * count("blob operations of the host"),
        "vault operations, standard": upkeeps * count("vault operations for a sender") * senders,
        "GB of logs taken in": logs / 10**9,
        "GB kept in tables": mails * count("octets in the ledger") / 10**9,
        "GB out to Exchange Online": mails * count("octets of a mail") / 10**9,
        "alert rules, every 5 minutes": count("alert rules"),
    }
    cent = Decimal("0.01")
    assert found == {what: value.quantize(cent, ROUND_HALF_UP) for what, value in expected.items()}


def test_the_sentences_at_the_beginning_say_what_the_tables_say() -> None:
    thousand, at_once, in_line = map(cost.total, cost.LOADS)
    (idle,) = re.findall(r"Idle, Sendoff costs about (\d+) dollars", PAGE)
    nothing = cost.total(cost.Load("", 0, 1, in_line=False))
    assert round(nothing) == int(idle)
    assert thousand - nothing < Decimal("0.50")
    low, high = map(int, re.findall(r"cost (\d+) to (\d+) dollars a month", PAGE)[0])
    assert 0 <= min(at_once, in_line) - low < 5
    assert 0 <= high - max(at_once, in_line) < 5
    (storage,) = re.findall(r"storage transactions of a million mails are about (\d+) dollars", PAGE)
    million = cost.units(cost.LOADS[2])
    moved = cost.cost(cost.PRICES["table"], million["table"]) + cost.cost(
        cost.PRICES["queue"], million["queue"]
    )
    assert moved - 1 < int(storage) < moved + 1
    executions, gb_seconds = cost.PRICES["executions"], cost.PRICES["gb_seconds"]
    free = executions.free * executions.dollars / executions.per + gb_seconds.free * gb_seconds.dollars
    assert f"{free:.2f} dollars more" in PAGE
    assert f"{cost.PRICES['logs'].free * cost.PRICES['logs'].dollars:.2f} for logs" in PAGE


def test_what_is_said_to_be_counted_is_what_host_and_settings_say() -> None:
    measured = {name: value for name, (value, *_) in cost.MEASURED.items()}
    queues = HOST["extensions"]["queues"]
    assert queues["maxPollingInterval"] == f"00:00:0{measured['poll_seconds']}"
    assert Limits().messages_per_minute == measured["per_minute"]
    bindings = settings.bindings({})
    assert bindings.release_schedule == "0 * * * * *"
    assert bindings.upkeep_schedule == f"0 */{measured['upkeep_minutes']} * * * *"
    assert measured["release_minutes"] == 1


def test_every_price_names_its_page_and_a_date_or_says_that_it_is_unverified() -> None:
    for price in cost.PRICES.values():
        assert price.page.startswith("https://azure.microsoft.com/pricing/")
        assert re.match(r"unverified|\d{4}-\d\d-\d\d, \[", price.seen)


def test_the_parameters_that_are_named_are_those_of_the_deployment() -> None:
    parameters = json.loads((ROOT / "infra" / "main.parameters.json").read_text("utf-8"))["parameters"]
    bicep = (ROOT / "infra" / "main.bicep").read_text("utf-8")
    for name in ("instanceMemoryMB", "vnetEnabled"):
        assert f"`{name}`" in PAGE
        assert re.search(rf"^param {name} ", bicep, re.MULTILINE)
    assert parameters
