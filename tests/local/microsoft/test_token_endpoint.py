"""The token endpoint, through MSAL where MSAL can ask for it and by hand where it cannot."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jwt
import msal
import pytest
import requests

from local.microsoft import grants
from local.microsoft.cloud import Cloud
from local.microsoft.entra_error import EntraError
from tests.local.microsoft.token_client import APP_ONLY, SMTP, USER_READ, ask, claims_of, connect
from tests.local.microsoft.walker import REDIRECT_URI, walk


def authorization(cloud: Cloud, http: requests.Session, **more: str) -> str:
    """A fresh authorization code."""
    query = {
        "client_id": cloud.app.client_id,
        "response_type": "code",
        "redirect_uri": REDIRECT_URI,
        "scope": f"offline_access {SMTP}",
    }
    url = (
        requests.Request("GET", f"{cloud.authority}/oauth2/v2.0/authorize", params=query | more).prepare().url
    )
    assert url is not None
    return walk(http, url)["code"]


def test_msal_signs_in_with_pkce_and_gets_a_token_for_smtp(
    cloud: Cloud, app: msal.ConfidentialClientApplication, http: requests.Session
) -> None:
    result = connect(app, http)
    claims = cloud.tokens.verify_access_token(result["access_token"], audience={"https://outlook.office.com"})
    assert claims["scp"] == "SMTP.Send"
    assert claims["upn"] == "noreply@contoso.com"
    assert claims["tid"] == cloud.tenant.id
    assert claims["appid"] == cloud.app.client_id
    assert 3600 <= result["expires_in"] <= 5400
    assert result["id_token_claims"]["preferred_username"] == "noreply@contoso.com"
    assert result["id_token_claims"]["iss"] == f"{cloud.authority}/v2.0"
    assert result["id_token_claims"]["oid"] == claims["oid"]
    assert result["refresh_token"]


def test_the_id_token_carries_the_nonce_and_is_signed_by_a_published_key(
    cloud: Cloud, http: requests.Session
) -> None:
    code = authorization(cloud, http, scope=f"openid {SMTP}", nonce="n-1")
    document = ask(cloud, http, grant_type="authorization_code", code=code, redirect_uri=REDIRECT_URI).json()
    keys = jwt.PyJWKSet.from_dict(http.get(f"{cloud.authority}/discovery/v2.0/keys").json())
    name = jwt.get_unverified_header(document["id_token"])["kid"]
    claims = jwt.decode(document["id_token"], keys[name], audience=cloud.app.client_id, algorithms=["RS256"])
    assert claims["nonce"] == "n-1"
    assert "refresh_token" not in document


def test_one_refresh_token_gives_tokens_for_each_resource(
    app: msal.ConfidentialClientApplication, http: requests.Session
) -> None:
    refresh_token = connect(app, http)["refresh_token"]
    graph = app.acquire_token_by_refresh_token(refresh_token, [USER_READ])
    assert claims_of(graph["access_token"])["aud"] == "https://graph.microsoft.com"
    smtp = app.acquire_token_by_refresh_token(refresh_token, [SMTP])
    assert claims_of(smtp["access_token"])["aud"] == "https://outlook.office.com"


def test_the_older_spelling_of_the_resource_is_the_audience_that_was_asked_for(
    app: msal.ConfidentialClientApplication, http: requests.Session
) -> None:
    result = connect(app, http, asked=("https://outlook.office365.com/SMTP.Send",))
    assert claims_of(result["access_token"])["aud"] == "https://outlook.office365.com"


def test_each_use_of_a_refresh_token_gives_a_new_one_and_the_old_stays_good(
    app: msal.ConfidentialClientApplication, http: requests.Session
) -> None:
    first = connect(app, http)["refresh_token"]
    second = app.acquire_token_by_refresh_token(first, [SMTP])["refresh_token"]
    assert second != first
    assert "access_token" in app.acquire_token_by_refresh_token(first, [USER_READ])
    assert "access_token" in app.acquire_token_by_refresh_token(second, [SMTP])


def test_a_strict_provider_ends_the_family_when_an_old_one_is_used_again(
    cloud: Cloud, app: msal.ConfidentialClientApplication, http: requests.Session
) -> None:
    first = connect(app, http)["refresh_token"]
    cloud.control.identity({"revoke_family_on_reuse": True})
    second = app.acquire_token_by_refresh_token(first, [SMTP])["refresh_token"]
    assert app.acquire_token_by_refresh_token(first, [USER_READ])["error"] == "invalid_grant"
    assert app.acquire_token_by_refresh_token(second, [USER_READ])["error_codes"] == [50173]


def test_client_credentials_give_a_token_with_roles(
    cloud: Cloud, app: msal.ConfidentialClientApplication
) -> None:
    result = app.acquire_token_for_client(["https://outlook.office365.com/.default"])
    claims = cloud.tokens.verify_access_token(
        result["access_token"], audience={"https://outlook.office365.com"}
    )
    assert claims["roles"] == ["SMTP.SendAsApp"]
    assert "upn" not in claims
    assert claims["oid"] == cloud.app.object_id


def test_a_resource_nobody_consented_to_is_refused(
    app: msal.ConfidentialClientApplication, http: requests.Session
) -> None:
    refresh_token = connect(app, http, asked=(SMTP,))["refresh_token"]
    result = app.acquire_token_by_refresh_token(refresh_token, [USER_READ])
    assert result["error"] == "invalid_grant"
    assert result["suberror"] == "consent_required"
    assert result["error_codes"] == [65001]


def test_a_permission_nobody_consented_to_is_refused(
    app: msal.ConfidentialClientApplication, http: requests.Session
) -> None:
    refresh_token = connect(app, http, asked=(SMTP,))["refresh_token"]
    imap = "https://outlook.office.com/IMAP.AccessAsUser.All"
    assert app.acquire_token_by_refresh_token(refresh_token, [imap])["error_codes"] == [65001]


def test_withdrawn_consent_is_noticed_at_the_next_refresh(
    cloud: Cloud, app: msal.ConfidentialClientApplication, http: requests.Session
) -> None:
    refresh_token = connect(app, http)["refresh_token"]
    cloud.control.identity({"withdraw_consent": "noreply@contoso.com"})
    assert app.acquire_token_by_refresh_token(refresh_token, [SMTP])["error_codes"] == [65001]


def test_a_refresh_without_a_scope_is_about_the_grants_first_resource(
    cloud: Cloud, http: requests.Session
) -> None:
    code = authorization(cloud, http, scope=f"offline_access {SMTP} {USER_READ}")
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
    first = ask(cloud, http, **form).json()
    second = ask(
        cloud, http, grant_type="refresh_token", refresh_token=first["refresh_token"], scope=None
    ).json()
    assert claims_of(second["access_token"])["aud"] == "https://outlook.office.com"
    assert second["refresh_token"] != first["refresh_token"]


def test_scopes_of_two_resources_are_refused_and_the_code_stays_good(
    cloud: Cloud, http: requests.Session
) -> None:
    code = authorization(cloud, http, scope=f"{SMTP} {USER_READ}")
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
    reply = ask(cloud, http, **form, scope=f"{SMTP} {USER_READ}")
    assert reply.status_code == 400
    assert reply.json()["error_codes"] == [28000]
    assert ask(cloud, http, **form, scope=SMTP).status_code == 200


def test_without_a_scope_the_code_gives_a_token_for_the_first_resource(
    cloud: Cloud, http: requests.Session
) -> None:
    code = authorization(cloud, http, scope=f"{USER_READ} {SMTP}")
    document = ask(cloud, http, grant_type="authorization_code", code=code, redirect_uri=REDIRECT_URI).json()
    assert claims_of(document["access_token"])["aud"] == "https://graph.microsoft.com"


def test_a_code_is_good_once(cloud: Cloud, http: requests.Session) -> None:
    form = {
        "grant_type": "authorization_code",
        "code": authorization(cloud, http),
        "redirect_uri": REDIRECT_URI,
    }
    assert ask(cloud, http, **form).status_code == 200
    again = ask(cloud, http, **form)
    assert (again.status_code, again.json()["error"], again.json()["error_codes"]) == (
        400,
        "invalid_grant",
        [54005],
    )


@pytest.mark.parametrize("verifier", ["v" * 50, None], ids=["wrong", "missing"])
def test_the_code_verifier_must_fit_the_challenge(
    cloud: Cloud, http: requests.Session, verifier: str | None
) -> None:
    code = authorization(cloud, http, code_challenge="x" * 43, code_challenge_method="S256")
    reply = ask(
        cloud,
        http,
        grant_type="authorization_code",
        code=code,
        redirect_uri=REDIRECT_URI,
        code_verifier=verifier,
    )
    assert reply.json()["error_codes"] == [501481]


def test_the_redirect_uri_must_be_the_same_again(cloud: Cloud, http: requests.Session) -> None:
    other = cloud.app.redirect_uris[0]
    reply = ask(
        cloud, http, grant_type="authorization_code", code=authorization(cloud, http), redirect_uri=other
    )
    assert reply.json()["error_codes"] == [500112]


REFRESH = {"grant_type": "refresh_token", "refresh_token": "nonsense", "scope": SMTP}
CODE = {"grant_type": "authorization_code", "code": "nonsense", "redirect_uri": REDIRECT_URI}


@pytest.mark.parametrize(
    ("form", "status", "outcome"),
    [
        (APP_ONLY | {"client_secret": "wrong"}, 401, ("invalid_client", 7000215)),
        (APP_ONLY | {"client_secret": ""}, 401, ("invalid_client", 7000218)),
        (APP_ONLY | {"client_assertion": "a.b.c", "client_secret": ""}, 400, ("invalid_request", 900144)),
        (APP_ONLY | {"client_id": "no-such-app"}, 400, ("unauthorized_client", 700016)),
        (APP_ONLY | {"client_id": ""}, 400, ("invalid_request", 900144)),
        (APP_ONLY | {"scope": "https://outlook.office365.com/SMTP.Send"}, 400, ("invalid_scope", 1002012)),
        (APP_ONLY | {"scope": "https://nowhere.example/.default"}, 400, ("invalid_resource", 500011)),
        (APP_ONLY | {"scope": ""}, 400, ("invalid_scope", 70011)),
        (REFRESH, 400, ("invalid_grant", 9002313)),
        (REFRESH | {"refresh_token": ""}, 400, ("invalid_request", 900144)),
        (CODE, 400, ("invalid_grant", 9002313)),
        (CODE | {"code": ""}, 400, ("invalid_request", 900144)),
        (CODE | {"redirect_uri": ""}, 400, ("invalid_request", 900144)),
        ({"grant_type": ""}, 400, ("invalid_request", 900144)),
        ({"grant_type": "password"}, 400, ("unsupported_grant_type", 70003)),
    ],
)
def test_refusals_are_entras_own(
    cloud: Cloud, http: requests.Session, form: dict[str, str], status: int, outcome: tuple[str, int]
) -> None:
    reply = ask(cloud, http, **form)
    document = reply.json()
    assert reply.status_code == status
    assert (document["error"], *document["error_codes"]) == outcome
    assert document["error_description"].startswith(f"AADSTS{outcome[1]}: ")
    for name in ("trace_id", "correlation_id", "timestamp"):
        assert document[name] in document["error_description"]


def test_an_expired_secret_is_told_from_a_wrong_one(cloud: Cloud, http: requests.Session) -> None:
    cloud.control.identity({"expire_client_secret": True})
    reply = ask(cloud, http, **APP_ONLY)
    assert (reply.status_code, reply.json()["error_codes"]) == (401, [7000222])
    cloud.control.identity({"expire_client_secret": False})
    assert ask(cloud, http, **APP_ONLY).status_code == 200


def test_a_rotated_secret_takes_the_place_of_the_old(cloud: Cloud, http: requests.Session) -> None:
    old = cloud.client_secret
    new = cloud.control.identity({"rotate_client_secret": True})["client_secret"]
    assert ask(cloud, http, **APP_ONLY, client_secret=old).json()["error_codes"] == [7000215]
    assert ask(cloud, http, **APP_ONLY, client_secret=new).status_code == 200


def test_the_secret_may_come_as_http_basic(cloud: Cloud, http: requests.Session) -> None:
    reply = http.post(
        f"{cloud.authority}/oauth2/v2.0/token",
        data=APP_ONLY,
        auth=(cloud.app.client_id, cloud.client_secret),
    )
    assert reply.status_code == 200


@pytest.mark.parametrize("header", ["Basic !!!", "Bearer x", "Basic " + base64.b64encode(b"\xff").decode()])
def test_a_malformed_authorization_header_is_no_credential(
    cloud: Cloud, http: requests.Session, header: str
) -> None:
    reply = http.post(
        f"{cloud.authority}/oauth2/v2.0/token",
        data=APP_ONLY | {"client_id": cloud.app.client_id},
        headers={"Authorization": header},
    )
    assert reply.json()["error_codes"] == [7000218]


@pytest.mark.parametrize("tenant", ["common", "fabrikam.com"])
def test_an_app_of_one_tenant_stays_in_it(cloud: Cloud, http: requests.Session, tenant: str) -> None:
    reply = http.post(
        f"{cloud.identity_url}/{tenant}/oauth2/v2.0/token",
        data=APP_ONLY | {"client_id": cloud.app.client_id, "client_secret": cloud.client_secret},
    )
    assert reply.json()["error_codes"] == [{"common": 50194, "fabrikam.com": 90002}[tenant]]


@pytest.mark.parametrize("code", ["50173", "70008", "700082"])
def test_a_revoked_account_must_consent_anew(
    cloud: Cloud, app: msal.ConfidentialClientApplication, http: requests.Session, code: str
) -> None:
    refresh_token = connect(app, http)["refresh_token"]
    cloud.control.identity({"revoke": {"upn": "noreply@contoso.com", "code": code}})
    result = app.acquire_token_by_refresh_token(refresh_token, [SMTP])
    assert (result["error"], result["error_codes"]) == ("invalid_grant", [int(code)])
    assert "access_token" in connect(app, http)


def test_revoking_one_account_leaves_the_others(
    cloud: Cloud, app: msal.ConfidentialClientApplication, http: requests.Session
) -> None:
    refresh_token = connect(app, http, account="billing@contoso.com")["refresh_token"]
    cloud.control.identity({"revoke": "noreply@contoso.com"})
    assert "access_token" in app.acquire_token_by_refresh_token(refresh_token, [SMTP])


def test_a_blocked_account_gets_no_token(
    cloud: Cloud, app: msal.ConfidentialClientApplication, http: requests.Session
) -> None:
    refresh_token = connect(app, http)["refresh_token"]
    cloud.control.identity({"block": "noreply@contoso.com"})
    assert app.acquire_token_by_refresh_token(refresh_token, [SMTP])["error_codes"] == [50057]
    cloud.control.identity({"unblock": "noreply@contoso.com"})
    assert "access_token" in app.acquire_token_by_refresh_token(refresh_token, [USER_READ])


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def test_a_code_lives_ten_minutes() -> None:
    clock = Clock()
    kept = grants.Grants(clock)
    code = grants.Code("oid", "client", REDIRECT_URI, SMTP, None, None, "plain", clock.now)
    early, late = kept.new_code(code), kept.new_code(replace(code))
    clock.now += timedelta(minutes=10)
    assert kept.redeem(early, client_id="client", redirect_uri=REDIRECT_URI, verifier=None) is code
    clock.now += timedelta(seconds=1)
    with pytest.raises(EntraError, match="AADSTS70008: "):
        kept.redeem(late, client_id="client", redirect_uri=REDIRECT_URI, verifier=None)


def test_a_refresh_token_that_nobody_uses_for_90_days_is_gone() -> None:
    clock = Clock()
    kept = grants.Grants(clock)
    value = kept.new_refresh("oid", "client").value
    clock.now += timedelta(days=90)
    assert kept.use_refresh(value, client_id="client").oid == "oid"
    clock.now += timedelta(seconds=1)
    with pytest.raises(EntraError, match="AADSTS700082: "):
        kept.use_refresh(value, client_id="client")


def test_a_refresh_token_belongs_to_one_app() -> None:
    kept = grants.Grants()
    value = kept.new_refresh("oid", "client").value
    with pytest.raises(EntraError, match="AADSTS9002313: "):
        kept.use_refresh(value, client_id="another")
