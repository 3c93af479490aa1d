"""
The app's managed identity as a client credential: a token of it that the app registration trusts.

Entra takes it in the place of a client secret (workload identity federation), so there is no secret at all.
Only a user-assigned identity of the registration's own tenant works ("Configure an application to trust a
managed identity"). azure-identity keeps the token until shortly before it ends.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError

from shared.core.grant import ClientAssertion
from shared.errors import CredentialError, TokenUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import TokenCredential

    from shared.core.service import Microsoft


# azure-identity writes an answer that it cannot read into its log, whole: with the token in it.
logging.getLogger("azure.identity").addFilter(lambda record: "Content:" not in record.getMessage())
# What it raises for an answer that is none of the endpoint's.
_NO_ANSWER = (AttributeError, LookupError, TypeError, ValueError)


class ManagedIdentity:
    """
    Gets assertions from the user-assigned identity of this app, ``identity``.

    It is made anew after a failure: MSAL beneath it answers from memory for a while what failed once.
    """

    def __init__(self, identity: Callable[[], TokenCredential], *, client_id: str) -> None:
        self._make = identity
        self._identity: TokenCredential | None = None
        self._client_id = client_id

    def assertion(self, provider: Microsoft) -> ClientAssertion:
        """Return a token for the cloud of ``provider`` that stands in for a client secret."""
        if not self._client_id:
            raise CredentialError(
                "AZURE_CLIENT_ID names no user-assigned identity, and no other can stand in for a secret",
                code="no_managed_identity",
            )
        try:
            self._identity = self._identity or self._make()
            token = self._identity.get_token(f"{provider.cloud.assertion_audience}/.default")
        except (AzureError, *_NO_ANSWER) as error:
            self._identity = None
            raise TokenUnavailableError(
                f"the managed identity gave no token: {type(error).__name__}; it is tried again",
                code="managed_identity",
            ) from None
        return ClientAssertion(token.token)
