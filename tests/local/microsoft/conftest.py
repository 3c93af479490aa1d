"""One cloud for the folder; each test gets it in a good mood, and nobody has consented to anything."""

from collections.abc import Iterator
from pathlib import Path

import msal
import pytest
import requests

from local.microsoft.cloud import Cloud, cloud_in_thread
from tests.local.microsoft.walker import REDIRECT_URI


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud_in_thread(tmp_path_factory.mktemp("cloud")) as cloud:
        cloud.control.identity({"allow_redirect_uri": REDIRECT_URI})
        yield cloud


@pytest.fixture
def cloud(running: Cloud) -> Iterator[Cloud]:
    yield running
    running.control.identity(
        {"reset": True, "rotate_client_secret": True, "retire_certificates": True, "withdraw_consent": True}
    )
    running.control.vault({"reset": True})


@pytest.fixture
def http(cloud: Cloud) -> Iterator[requests.Session]:
    """A browser, more or less: it keeps cookies and trusts the stack's CA."""
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(cloud.ca_file)
        yield session


@pytest.fixture
def app(cloud: Cloud, http: requests.Session) -> msal.ConfidentialClientApplication:
    return msal.ConfidentialClientApplication(
        cloud.app.client_id,
        client_credential=cloud.client_secret,
        authority=cloud.authority,
        instance_discovery=False,
        http_client=http,
    )


@pytest.fixture
def trusted(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the Functions host gives its process: App Service's identity endpoint, and our CA."""
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    return cloud.ca_file
