import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local.azurite import Azurite
from tests.local.host.desk import Desk


@pytest.fixture
def desk(azurite: Azurite, tmp_path: Path) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield Desk(tmp_path / "app", azurite.connection_string, f"q{uuid.uuid4().hex[:12]}", stack)
