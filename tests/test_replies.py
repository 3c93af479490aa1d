"""docs/replies.md is the whole verdict table, and the table knows what Exchange is known to say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import replies
from shared.core.remedies import CATALOGUE
from shared.core.reply import RULES, Rule, judge_reply
from shared.core.smtp import Phase, Reply, ReplyParser

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "replies.md").read_text("utf-8")
ROWS = re.findall(r"^\| `([\w-]+)` \| (.+) \|$", PAGE, re.MULTILINE)
DEFAULTS = {"not-now", "not-now-connecting", "server-refuses-us", "authentication-refused", "refused"}

ALL = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)

# Reply codes and enhanced codes that Exchange Online is known to give at submission, by step.
KNOWN = """
421 4.3.2, 421 4.4.1, 421 4.4.2, 421 4.7.0, 454 4.7.0, 501 5.5.4, 500 5.3.3, 500 5.5.2, 503 5.5.1, 503 5.5.2,
530 5.7.0,
535 5.7.3, 535 5.7.139, 451 4.7.3, 451 4.7.0, 504 5.7.4, 530 5.7.57, 550 5.7.30,
501 5.1.3, 501 5.1.6, 501 5.1.7, 501 5.1.8, 501 5.1.9, 452 4.5.3, 550 5.1.10, 550 5.4.1, 450 4.7.0, 450 4.7.3,
432 4.3.2, 430 4.2.0, 550 5.7.60, 554 5.2.252, 554 5.2.0, 550 5.7.1, 554 5.2.2, 550 5.1.8, 550 5.7.501,
550 5.7.502, 550 5.7.503, 550 5.7.511, 550 5.7.512, 550 5.7.705, 550 5.7.708, 550 5.7.750, 550 5.7.703,
550 5.7.233, 550 5.1.90, 552 5.3.4, 554 5.6.0, 550 5.6.11, 550 5.1.20, 554 5.4.6, 452 4.3.1, 451 4.3.2,
451 4.4.0, 451 4.4.3, 451 4.4.4, 451 4.3.111, 451 4.7.500, 451 4.7.650, 451 4.7.861, 554 5.2.121, 554 5.2.122,
451 5.7.3, 500 4.4.7, 550 4.3.2
"""
# Those for which the default of their kind is the answer: too general, or a pair that contradicts itself.
GENERAL = {"503 5.5.2", "550 5.7.1", "451 5.7.3", "500 4.4.7", "550 4.3.2", "500 5.3.3"}


def transcripts() -> list[tuple[Phase, Reply | None, str]]:
    found = []
    for path in (ROOT / "tests" / "transcripts").glob("*.txt"):
        head, _, body = path.read_text("utf-8").partition("\n\n")
        header = dict(line.split(":", 1) for line in head.splitlines())
        reply = ReplyParser().feed(body.replace("\n", "\r\n").encode())[0] if body else None
        found.append((Phase(header["phase"].strip()), reply, path.stem))
    return found


TRANSCRIPTS = transcripts()


def cells(rule: Rule) -> list[str]:
    (row,) = (rest for name, rest in ROWS if name == rule.name)
    return [cell.strip() for cell in row.split("|")]


def test_the_page_is_what_the_table_makes_of_it_today() -> None:
    assert replies.page() == PAGE, "write it anew: .venv/bin/python -m docs.replies"


def test_the_page_has_every_row_once_and_in_the_order_in_which_they_are_matched() -> None:
    assert [name for name, _ in ROWS] == [rule.name for rule in RULES]


def test_every_part_has_its_heading_and_at_least_one_row() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert headings == [heading for heading, rules in replies.rows() if rules]


@ALL
def test_a_row_tells_verdict_codes_and_remedy(rule: Rule) -> None:
    _, code, enhanced, words, verdict, then, concerns, note, to_do = cells(rule)
    assert code.replace("`", "").replace("no reply", "none").split(", ") == rule.codes.split()
    assert enhanced.count(",") + bool(enhanced) == len(rule.enhanced.split())
    assert words.count("“") == (len(rule.text.split("|")) if rule.text else 0)
    assert verdict == rule.verdict.name
    assert then
    assert concerns in {"the sender", "the From address", "the message"}
    assert note == rule.note
    assert bool(to_do) == bool(rule.remedy)


@ALL
def test_only_doubtful_rows_leave_the_end_to_the_app(rule: Rule) -> None:
    assert (cells(rule)[5] == "`on_doubt` decides") == rule.doubt
    named = re.search(r"Some ends leave it open whether the message was accepted: (.+)\.", PAGE)
    assert named
    assert (f"`{rule.name}`" in named[1]) == rule.doubt


@pytest.mark.parametrize("key", list(CATALOGUE))
def test_what_to_do_has_no_blank_left_to_fill_in(key: str) -> None:
    said = replies.what_to_do(key)
    assert not re.search(r"[{}<|]", said)
    assert said.count("*") % 2 == 0
    assert said


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("submission rate", "submission rate"),
        (r"SmtpClientAuth\w* is disabled", "SmtpClientAuth… is disabled"),
        ("permissions? to send as", "permission(s) to send as"),
    ],
)
def test_an_expression_is_put_in_words(pattern: str, said: str) -> None:
    assert replies.words(pattern) == said


def test_an_expression_that_cannot_be_put_in_words_is_not_printed() -> None:
    with pytest.raises(ValueError, match="cannot put in words"):
        replies.words("[a-z]+ queue")


@ALL
def test_every_row_is_where_some_transcript_ends(rule: Rule) -> None:
    assert rule.name in {judge_reply(phase, reply).rule for phase, reply, _ in TRANSCRIPTS}


@pytest.mark.parametrize("pair", re.findall(r"\d{3} \d\.\d+\.\d+", KNOWN))
def test_a_reply_that_exchange_is_known_for_has_a_transcript_and_a_row_of_its_own(pair: str) -> None:
    ends = {
        judge_reply(phase, reply).rule
        for phase, reply, _ in TRANSCRIPTS
        if reply is not None and f"{reply.code} {reply.enhanced}" == pair
    }
    assert ends
    assert pair in GENERAL or not ends & DEFAULTS


@pytest.mark.parametrize("detail", [500, 699, 850, 899])
def test_a_busy_server_is_known_to_both_ends_of_its_ranges(detail: int) -> None:
    assert judge_reply(Phase.END_OF_DATA, Reply(451, (f"4.7.{detail} Server busy",))).rule == "server-busy"


@pytest.mark.parametrize("detail", [499, 700, 849, 900])
def test_what_lies_beside_those_ranges_is_an_ordinary_not_now(detail: int) -> None:
    assert judge_reply(Phase.END_OF_DATA, Reply(451, (f"4.7.{detail} Not now",))).rule == "not-now"
