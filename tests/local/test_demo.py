"""The demo ends by itself, and well; it shows two messages, the second one at its later time."""

from __future__ import annotations

import email
import email.policy
import re
from typing import TYPE_CHECKING

from local import demo
from local.terminal import Terminal

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path

    import pytest


def test_both_messages_are_shown_as_they_were_received_and_the_second_at_its_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep = tmp_path / "kept"
    assert demo.run(Terminal(), port_base=None, keep=keep, folder=tmp_path / "stack") == 0
    shown = capsys.readouterr().out
    at_once, later = (_mail(path) for path in sorted(keep.iterdir(), key=lambda path: "later" in path.name))
    assert f"Subject: {at_once['Subject']}" in shown
    assert {part.get_content_type() for part in at_once.walk()} >= {"text/plain", "text/html", "image/png"}
    assert f"Subject: {later['Subject']}" in shown
    told = re.search(
        r"to go at \d\d:\d\d:\d\d UTC\n.*the message is scheduled.*"
        r"the message is accepted\n.*250 2\.0\.0 OK.*that was (\d+\.\d\d) s after its time\n",
        shown,
        re.DOTALL,
    )
    assert told, shown
    assert float(told[1]) < 2


def _mail(path: Path) -> EmailMessage:
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
