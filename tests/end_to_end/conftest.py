"""One stack for all of these tests, with a mail server in no hurry to say that a minute is full."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.desk import Desk, new_id

if TYPE_CHECKING:
    from local.stack import Stack

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


@pytest.fixture(scope="session")
def desk(stack: Stack) -> Desk:
    """
    The stack, with a mail server that takes more than 30 messages a minute and more than 3 connections.

    Those limits are tested with the mail server; here several hosts work on one mailbox at the same time.
    """
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
