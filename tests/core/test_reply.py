from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.core.reply import RULES, Scope, Verdict, judge, judge_reply
from shared.core.smtp import Phase, Reply, ReplyParser, Submission

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"
HEADERS = {"phase", "verdict", "remedy", "rule", "scope", "doubt", "wording", "source"}


@dataclass(frozen=True)
class Transcript:
    name: str
    header: dict[str, str]
    raw: bytes

    @property
    def reply(self) -> Reply | None:
        return ReplyParser().feed(self.raw)[0] if self.raw else None


def read(path: Path) -> Transcript:
    head, _, body = path.read_text(encoding="utf-8").partition("\n\n")
    fields = (line.partition(":") for line in head.splitlines())
    header = {name: value.strip() for name, _, value in fields}
    return Transcript(path.stem, header, body.replace("\n", "\r\n").encode())


ALL = [read(path) for path in sorted(TRANSCRIPTS.glob("*.txt"))]


@pytest.mark.parametrize("transcript", ALL, ids=lambda transcript: transcript.name)
def test_every_transcript_gets_its_verdict(transcript: Transcript) -> None:
    header = transcript.header
    judgement = judge(Submission(Phase(header["phase"]), transcript.reply))
    assert judgement.verdict is Verdict(header["verdict"])
    assert judgement.rule == header["rule"]
    assert judgement.remedy == header["remedy"]
    assert judgement.scope is Scope(header["scope"])
    assert judgement.doubt == (header["doubt"] == "yes")
    assert set(header) <= HEADERS
    assert header["source"]


def test_every_rule_has_a_transcript() -> None:
    assert {rule.name for rule in RULES} - {transcript.header["rule"] for transcript in ALL} == set()


def test_rules_have_names_of_their_own_and_each_but_acceptance_a_remedy() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert [rule.name for rule in RULES if not rule.remedy] == ["accepted"]


@pytest.mark.parametrize("transcript", [t for t in ALL if t.raw], ids=lambda transcript: transcript.name)
def test_a_transcript_is_read_the_same_whole_by_line_and_by_byte(transcript: Transcript) -> None:
    whole = ReplyParser().feed(transcript.raw)
    for pieces in (transcript.raw.splitlines(keepends=True), [bytes([byte]) for byte in transcript.raw]):
        parser = ReplyParser()
        assert [reply for piece in pieces for reply in parser.feed(piece)] == whole
        assert not parser.pending
    assert whole[0].text == transcript.raw.decode().replace("\r\n", "\n").strip()


CODES = [421, 432, 450, 451, 500, 501, 530, 534, 535, 550, 552, 554, 599]
ENHANCED = ["", "5.7.3 ", "5.7.139 ", "5.7.60 ", "5.1.10 ", "5.2.2 ", "4.4.2 ", "5.3.4 "]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("enhanced", ENHANCED)
def test_no_failure_at_auth_ever_rejects_the_message(code: int, enhanced: str) -> None:
    reply = Reply(code, (f"{enhanced}Authentication unsuccessful",))
    assert judge_reply(Phase.AUTH, reply).verdict in {
        Verdict.DEFER,
        Verdict.THROTTLE,
        Verdict.REAUTHENTICATE,
        Verdict.HOLD,
    }


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.CHECK])
def test_535_never_rejects_the_message(phase: Phase) -> None:
    for text in ("5.7.3 Authentication unsuccessful", "5.7.139 Authentication unsuccessful", "no"):
        assert judge_reply(phase, Reply(535, (text,))).verdict is not Verdict.REJECT


@pytest.mark.parametrize(
    "phase", [Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.STARTTLS, Phase.TLS, Phase.AUTH]
)
def test_nothing_before_mail_says_anything_against_the_message(phase: Phase) -> None:
    for code in CODES:
        for enhanced in ENHANCED:
            assert judge_reply(phase, Reply(code, (enhanced + "no",))).verdict is not Verdict.REJECT


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("code", [code for code in CODES if code < 500])
def test_a_4yz_is_never_final_and_a_5yz_default_is_after_mail(phase: Phase, code: int) -> None:
    for enhanced in ENHANCED:
        assert judge_reply(phase, Reply(code, (enhanced + "no",))).verdict in {
            Verdict.DEFER,
            Verdict.THROTTLE,
        }


@pytest.mark.parametrize("phase", list(Phase))
def test_every_end_in_every_phase_has_a_verdict(phase: Phase) -> None:
    for reply in (None, Reply(250, ("",)), Reply(354, ("",)), Reply(451, ("",)), Reply(550, ())):
        judgement = judge_reply(phase, reply)
        assert judgement.verdict in Verdict
        assert judgement.doubt == (phase is Phase.END_OF_DATA and (reply is None or reply.code == 354))


def test_only_the_end_of_data_accepts() -> None:
    accepting = {
        phase for phase in Phase if judge_reply(phase, Reply(250, ("OK",))).verdict is Verdict.ACCEPTED
    }
    assert accepting == {Phase.END_OF_DATA, Phase.DONE}


def test_a_host_in_the_suffix_decides_nothing() -> None:
    suffix = " [PRX4.prod.outlook.com 2026-11-24T06:55:00.000Z 08DE]"
    assert judge_reply(Phase.AUTH, Reply(451, ("4.7.0 Temporary" + suffix,))).rule == "auth-not-now"


def test_a_full_mailbox_of_a_recipient_does_not_hold_the_sender() -> None:
    assert judge_reply(Phase.RCPT, Reply(552, ("5.2.2 Mailbox full",))).verdict is Verdict.REJECT
