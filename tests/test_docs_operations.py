"""What operators read is what the code does: states, words of the log, tables, limits, holds."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared import mail_config, settings
from shared.adapters import (
    table_consents,
    table_leases,
    table_ledger,
    table_schedules,
    table_senders,
    table_waiting,
)
from shared.core import (
    claims,
    waiting,
)
from shared.core.connection import WARM_FOR, WARN_BEFORE
from shared.core.consent import PENDING_FOR
from shared.core.delivery import State
from shared.core.grant import (
    FRESH_ENOUGH,
    IDLE_REFRESH,
    LAST_RESORT,
    LEASE,
    REFRESH_TOKEN_LIFETIME,
    USABLE,
)
from shared.core.holds import TELL_AGAIN
from shared.core.outcomes import MOST_ATTEMPTS, back_off
from shared.core.remedies import CATALOGUE
from shared.core.token_claims import Flaw
from shared.log_words import Word
from tests.pages import (
    ADMINISTRATORS,
    EXAMPLE,
    HOST,
    OPERATIONS,
    ROOT,
    blocks,
    chapter,
    listed,
    seconds_of,
    section,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_every_word_of_the_log_is_in_the_docs() -> None:
    assert sorted(Word) == sorted(listed(section(OPERATIONS, "Words in the log")))


def test_every_word_that_is_a_warning_or_worse_says_what_to_do() -> None:
    rows = re.findall(r"^\| `(\S+)` \| (\S[^|]*) \|", section(OPERATIONS, "Words in the log"), re.MULTILINE)
    loud = [word for word, level in rows if level != "info"]
    told = re.findall(r"^\| `(\S+)`", section(OPERATIONS, "When an alert says"), re.MULTILINE)
    assert sorted(told) == sorted(loud)


def test_every_state_is_in_the_docs() -> None:
    assert sorted(listed(section(OPERATIONS, "States"))) == sorted(state.value for state in State)


def test_the_states_that_end_a_message_are_those_of_the_code() -> None:
    ends = re.findall(r"^\| `(\w+)` \| .+ \| the end\b", section(OPERATIONS, "States"), re.MULTILINE)
    assert set(ends) == {state.value for state in State if state.is_settled}


def test_the_back_off_in_the_docs_is_that_of_the_code() -> None:
    found = re.search(r"^\| wait \| (.+) \|$", OPERATIONS, re.MULTILINE)
    assert found
    units = {"s": 1, "min": 60, "h": 3600}
    *waits, last = found[1].split(" | ")
    seconds = [int(number) * units[unit] for number, unit in (wait.split() for wait in waits)]
    attempts = range(1, MOST_ATTEMPTS)
    assert [back_off(attempt, jitter=0.5).total_seconds() for attempt in attempts] == seconds
    assert last == "`rejected`"


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, name)
    else:
        yield key, str(value)


def test_every_number_of_host_json_is_in_the_docs_with_its_reason() -> None:
    host = json.loads(json.dumps(HOST))
    host["extensionBundle"] = host["extensionBundle"]["version"]
    host["logging"]["logLevel"] = host["logging"]["logLevel"]["default"]
    told = section(OPERATIONS, "host.json, number by number")
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \| (?=\S)", told, re.MULTILINE)
    assert sorted(leaves(host)) == sorted(rows)


def test_what_the_docs_reckon_from_host_json_is_right() -> None:
    told = section(OPERATIONS, "host.json, number by number")
    queues = HOST["extensions"]["queues"]
    batch, threshold = queues["batchSize"], queues["newBatchThreshold"]
    at_once = batch + threshold
    assert f"{batch} + {threshold} = {at_once} messages at once" in told
    (threads,) = re.findall(r"`PYTHON_THREADPOOL_THREAD_COUNT` = `(\d+)`", told)
    assert EXAMPLE["Values"]["PYTHON_THREADPOOL_THREAD_COUNT"] == threads
    assert int(threads) >= at_once
    serving = settings.lines_at_a_time({"PYTHON_THREADPOOL_THREAD_COUNT": threads})
    assert f"Half of the {at_once}, so {serving}, may serve lines" in told
    hours, minutes, seconds = (int(part) for part in HOST["functionTimeout"].split(":"))
    assert timedelta(hours=hours, minutes=minutes, seconds=seconds) == claims.CLAIM_LEASE


def test_every_table_and_its_keys_are_in_the_docs() -> None:
    modules = (
        table_consents,
        table_leases,
        table_ledger,
        table_schedules,
        table_senders,
        table_waiting,
    )
    tables = {module.TABLE for module in modules}
    assert {path.stem for path in (ROOT / "shared" / "adapters").glob("table_*.py")} - {"table_client"} == {
        module.__name__.rpartition(".")[2] for module in modules
    }
    whole = chapter(OPERATIONS, "Queues, tables and containers")
    assert set(re.findall(r"^\| table `(\w+)` \|", whole, re.MULTILINE)) == tables
    keys = section(OPERATIONS, "Keys, and why they scale")
    assert set(re.findall(r"^\| `(\w+)`", keys, re.MULTILINE)) == tables
    assert f"`{waiting.line_of('<sender>')}`" in keys
    source = (ROOT / "shared" / "adapters" / "table_schedules.py").read_text("utf-8")
    for partition in re.findall(r'^_(?:SCHEDULES|DUE) = "(\w+)"$', source, re.MULTILINE):
        assert re.search(rf"^\| `schedules`.* \| `{partition}` \|", keys, re.MULTILINE), partition
    assert f"`due-0` to `due-{waiting.DUE_SHARDS - 1}`" in keys


def minutes(duration: timedelta) -> int:
    return int(duration.total_seconds()) // 60


def test_the_life_of_tokens_in_the_docs_is_that_of_the_code() -> None:
    told = chapter(OPERATIONS, "Tokens and upkeep")
    left = re.findall(r"^\| (\d+) minutes? \|", told, re.MULTILINE)
    assert left == [str(minutes(each)) for each in (FRESH_ENOUGH, USABLE, LAST_RESORT)]
    assert f"when less than {minutes(FRESH_ENOUGH)} minutes of it are left" in told
    assert f"renewed when {minutes(FRESH_ENOUGH)} minutes are left" in OPERATIONS
    assert settings.bindings({}).upkeep_schedule == "0 */15 * * * *"
    # What a run leaves alone has so much left at the next one, and at the one after.
    left_over = [minutes(FRESH_ENOUGH) - 15, minutes(FRESH_ENOUGH) - 30]
    assert f"has {left_over[0]} minutes left at the next one, which renews it, and {left_over[1]} at" in told
    assert left_over[1] > minutes(USABLE)
    assert IDLE_REFRESH == WARM_FOR == TELL_AGAIN == timedelta(days=1)
    assert f"for {REFRESH_TOKEN_LIFETIME.days} days from its last use" in told
    assert f"{int(LEASE.total_seconds())}\nseconds at most" in told
    assert f"for {int(LEASE.total_seconds())} seconds at most" in OPERATIONS
    assert f"wait up to {seconds_of('grants.py', '_LONGEST_WAIT')} seconds" in told


def test_what_a_token_is_looked_at_for_has_remedies_of_the_names_in_the_docs() -> None:
    told = section(OPERATIONS, "The token is looked at first")
    flaws = [flaw.value for flaw in Flaw]
    assert "the five of them" in told
    assert (len(flaws), flaws[0], flaws[-1]) == (5, *re.findall(r"`(token-\w+)`", told))
    assert set(flaws) <= set(CATALOGUE)


def test_the_warnings_before_a_credential_ends_are_as_the_docs_say() -> None:
    *first, last = (str(before.days) for before in WARN_BEFORE)
    said = f"{', '.join(first)} and {last} days"
    assert f"{said} before" in section(OPERATIONS, "What is told of senders")
    assert f"{said} before" in chapter(OPERATIONS, "Tokens and upkeep")
    assert f"{said}\nbefore it" in ADMINISTRATORS


def test_the_time_for_the_buttons_of_the_page_is_that_of_the_code() -> None:
    assert f"for {minutes(PENDING_FOR)} minutes" in section(OPERATIONS, "A test mail, and disconnecting")
    assert f"for {minutes(PENDING_FOR)} minutes" in section(ADMINISTRATORS, "8. A test mail")


def test_the_operators_in_the_docs_can_be_read() -> None:
    (whole,) = blocks(ADMINISTRATORS, "toml")
    (line,) = blocks(section(OPERATIONS, "By mail"), "toml")
    problems: list[str] = []
    mail = mail_config.read(tomllib.loads(line + whole), "mail.toml", problems)
    assert problems == []
    assert [address.addr_spec for address in mail.operators] == ["ops@contoso.com", "ada@example.com"]
