from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.mail.asks import TEMPLATE, Ask, asks
from benchmarks.mail.in_memory import compose
from benchmarks.mail.parsers import MailParser, NodeMailparser, Parser, StandardLibrary
from benchmarks.mail.reading import differences
from shared.core import intake
from shared.core.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEED = 5  # one that has the odd names: a file and a person called like an encoded word
_MESSAGES = 32  # every kind twice


@pytest.fixture(scope="module")
def sent() -> list[tuple[Ask, bytes]]:
    made = []
    for ask in asks(_SEED, _MESSAGES):
        message = intake.read(ask.body, fallback_id="fallback")
        assert isinstance(message, Message)
        composed = compose(message, ask.blobs, TEMPLATE)
        assert set(composed.envelope.rcpt_to) == ask.recipients
        made.append((ask, composed.mime.to_bytes()))
    return made


@pytest.fixture(scope="module")
def node() -> Iterator[Parser]:
    with NodeMailparser.start() as running:
        yield running


def _differing(parser: Parser, sent: list[tuple[Ask, bytes]]) -> list[str]:
    return [
        f"{ask.kind}: {said}"
        for ask, raw in sent
        for said in differences(parser.comparable(ask.wanted), parser.comparable(parser.read(raw)))
    ]


def test_the_standard_library_reads_what_was_asked(sent: list[tuple[Ask, bytes]]) -> None:
    assert _differing(StandardLibrary(), sent) == []


def test_mail_parser_reads_what_was_asked(sent: list[tuple[Ask, bytes]]) -> None:
    assert _differing(MailParser(), sent) == []


def test_nodes_mailparser_reads_what_was_asked(sent: list[tuple[Ask, bytes]], node: Parser) -> None:
    assert _differing(node, sent) == []
