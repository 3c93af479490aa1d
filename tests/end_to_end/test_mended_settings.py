"""What came while the settings were wrong is sent when somebody has mended them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.local.host.host_process import ROOT, running_host
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.end_to_end.desk import Desk


def test_what_came_meanwhile_is_sent(desk: Desk, postponed: tuple[str, str]) -> None:
    queue, subject = postponed
    settings = desk.facts["settings"] | {"OUTBOX_QUEUE": queue}
    with running_host(ROOT, settings=settings) as host:
        assert host.request("/api/health").status == 200
        (mail,) = eventually(lambda: desk.mails(subject), seconds=40, said=lambda: host.output)
        assert mail.rcpt_to == ["ada@example.net"]
        eventually(lambda: desk.waiting(queue) == 0)
        assert host.stop() == 0
    assert desk.waiting(f"{queue}-poison") == 0
