from collections.abc import Iterator

import pytest

from tests.local.exchange.running import RunningExchange


@pytest.fixture
def server() -> Iterator[RunningExchange]:
    with RunningExchange() as running:
        yield running
