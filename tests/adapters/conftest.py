"""Microsoft's services, in a good mood before each test, and with nobody's consent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from local.microsoft.cloud import SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.microsoft.cloud import Cloud


@pytest.fixture
def microsoft(cloud: Cloud) -> Iterator[Cloud]:
    yield cloud
    cloud.control.identity(
        {"reset": True, "rotate_client_secret": True, "retire_certificates": True, "withdraw_consent": True}
    )
    cloud.control.vault({"reset": True, "set": {f"oauth-{SERVICE}-client-secret": cloud.client_secret}})


@pytest.fixture
def browser(microsoft: Cloud) -> Iterator[requests.Session]:
    """Keep cookies, and trust the CA of the services."""
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(microsoft.ca_file)
        yield session
