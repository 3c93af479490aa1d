"""The three control endpoints, from the outside: over HTTP, as any program on this machine may use them."""

import json
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: A service that was told to be slow answers its control endpoint without delay, so this is ample.
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Controls:
    """Each method sends instructions and returns the counters; without instructions it only reads."""

    identity_url: str
    vault_url: str
    inbox_url: str
    context: ssl.SSLContext = field(repr=False)

    def identity(self, instructions: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Tell the identity provider how to behave: see `entra_control.py`."""
        return self._call(self.identity_url, instructions)

    def vault(self, instructions: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Tell the vault how to behave: see `vault_control.py`."""
        return self._call(self.vault_url, instructions)

    def mail(self, instructions: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Tell the mail server how to behave: see `exchange/control.py`."""
        return self._call(self.inbox_url, instructions)

    def restore_mail(self) -> dict[str, Any]:
        """Put the mail server back as it was at the start; accepted messages stay."""
        return self._call(self.inbox_url, None, "DELETE")

    def _call(
        self, base_url: str, instructions: Mapping[str, Any] | None, method: str | None = None
    ) -> dict[str, Any]:
        body = None if instructions is None else json.dumps(instructions).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(  # noqa: S310 - a URL of the stack's own
            f"{base_url}/_control", body, headers, method=method
        )
        # Loopback is never reached through a proxy, whatever the environment says.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.context)
        )
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as reply:
            document: dict[str, Any] = json.load(reply)
        return document
