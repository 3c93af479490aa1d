"""What tests ask the token endpoint for."""

from typing import Any

import jwt
import msal
import requests

from local.microsoft.cloud import Cloud
from tests.local.microsoft.walker import REDIRECT_URI, walk

SMTP = "https://outlook.office.com/SMTP.Send"
USER_READ = "https://graph.microsoft.com/User.Read"
APP_SCOPE = "https://outlook.office365.com/.default"
APP_ONLY = {"grant_type": "client_credentials", "scope": APP_SCOPE}


def msal_app(cloud: Cloud, http: requests.Session, credential: object) -> msal.ConfidentialClientApplication:
    """MSAL as the app, which proves itself with this."""
    return msal.ConfidentialClientApplication(
        cloud.app.client_id,
        client_credential=credential,
        authority=cloud.authority,
        instance_discovery=False,
        http_client=http,
    )


def connect(
    app: msal.ConfidentialClientApplication,
    http: requests.Session,
    *,
    asked: tuple[str, ...] = (SMTP, USER_READ),
    account: str = "noreply@contoso.com",
) -> dict[str, Any]:
    """Consent, and a token for SMTP: as the app does it."""
    flow = app.initiate_auth_code_flow(
        list(asked), redirect_uri=REDIRECT_URI, prompt="select_account", response_mode="form_post"
    )
    answer = walk(http, flow["auth_uri"], account)
    result: dict[str, Any] = app.acquire_token_by_auth_code_flow(flow, answer, scopes=[asked[0]])
    return result


def ask(cloud: Cloud, http: requests.Session, **form: str | None) -> requests.Response:
    """A token request as the form says it, with the client secret unless that is None."""
    body: dict[str, str | None] = {"client_id": cloud.app.client_id, "client_secret": cloud.client_secret}
    return http.post(f"{cloud.authority}/oauth2/v2.0/token", data=body | form)


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims
