"""One stack for all of these tests, whose mailboxes may send more in a minute than Exchange Online takes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from local.consent_walk import walk
from local.ports import Ports
from local.stack import Stack
from tests.end_to_end.desk import Desk, new_id

if TYPE_CHECKING:
    from collections.abc import Iterator

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# A machine without a browser has no such tests; none is skipped.
collect_ignore = [] if any(map(shutil.which, BROWSERS)) else ["test_consent_in_a_browser.py"]

# What was postponed comes back after half a minute: it is put there first and looked for at the end. The
# canary looks at what all the others left behind.
_ORDER = {"test_wrong_settings.py": -1, "test_mended_settings.py": 1, "test_canary.py": 2}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the few files that need it into order, after everything else was shuffled."""
    items.sort(key=lambda item: _ORDER.get(item.path.name, 0))


# Limits, and what they cost, are tested where nothing else is; these tests send as fast as they can.
_UNHURRIED = """
[senders.noreply.limits]
messages_per_minute = 10_000
connections = 100
[senders.reports.limits]
messages_per_minute = 10_000
connections = 100
[senders.billing.limits]
messages_per_minute = 10_000
connections = 100
"""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole stack as child processes, with noreply connected and nobody in a hurry to say no."""
    folder = tmp_path_factory.mktemp("unhurried")
    running = Stack.start(
        Ports.free(),
        folder,
        keep_storage=False,
        more_mail_toml=_UNHURRIED,
        # It finds who is not connected; what comes of that is for the tests that run it to say.
        more_settings={"UPKEEP_SCHEDULE": "0 0 0 1 1 *"},
    )
    try:
        facts = running.facts
        walk(f"{facts['functions']}/api/oauth/start/noreply", key=facts["key"], ca_file=facts["ca_file"])
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def desk(stack: Stack) -> Desk:
    """The same, with a mail server that takes as much."""
    desk = Desk(stack.facts)
    desk.control.mail({"limits": {"messages_per_minute": 10_000, "connections": 100}})
    return desk


@pytest.fixture(scope="session")
def postponed() -> tuple[str, str]:
    """A queue, and the id of the message that comes on it while the settings are wrong."""
    return new_id("queue"), new_id("postponed")


@pytest.fixture(scope="session")
def browser_path() -> str:
    return next(found for name in BROWSERS if (found := shutil.which(name)))
