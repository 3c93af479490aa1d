"""
Entra's error codes: the refusals that this provider knows.

The first sentence of each is Entra's own (reference-error-codes, and what applications have logged); a client
must not act on it, but a person reads it. `error` is what a client acts on (RFC 6749 §4.1.2.1, §5.2).
"""

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """What stays the same each time a code is given: `status` is the HTTP status at the token endpoint."""

    code: int
    error: str
    template: str
    status: int = 400
    suberror: str | None = None


def _federated(code: int, claim: str, more: str = "") -> Kind:
    return Kind(
        code,
        "invalid_client",
        f"No matching federated identity record found for presented assertion {claim} '{{given}}'.{more}"
        " Check your federated identity credential Subject, Audience and Issuer against the presented"
        " assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation",
        401,
    )


class Aadsts(enum.Enum):
    """The refusals that this provider knows."""

    #: An authorization code is redeemed twice.
    CODE_REDEEMED = Kind(
        54005,
        "invalid_grant",
        "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an"
        " existing refresh token.",
    )
    #: The code is older than ten minutes, or the refresh token was revoked.
    EXPIRED = Kind(
        70008,
        "invalid_grant",
        "The provided authorization code or refresh token has expired due to inactivity. Send a new"
        " interactive authorization request for this user and resource.",
    )
    #: The refresh token was not used for 90 days.
    INACTIVE = Kind(
        700082,
        "invalid_grant",
        "The refresh token has expired due to inactivity. The token was issued on {issued} and was"
        " inactive for 90.00:00:00.",
    )
    #: Somebody revoked the account's sessions, or an administrator reset its password.
    REVOKED = Kind(
        50173,
        "invalid_grant",
        "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user"
        " might have changed or reset their password. The grant was issued on '{issued}' and the"
        " TokensValidFrom date (before which tokens are not valid) for this user is '{valid_from}'.",
        suberror="bad_token",
    )
    #: What was presented is no code or refresh token of ours, or belongs to another app.
    MALFORMED_GRANT = Kind(9002313, "invalid_grant", "Invalid request. Request is malformed or invalid.")
    #: The code verifier is missing or is another one (RFC 7636 §4.6).
    VERIFIER = Kind(
        501481,
        "invalid_grant",
        "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
    )
    #: The code challenge is not 43 to 128 characters long (RFC 7636 §4.2), or its method is unknown.
    CHALLENGE = Kind(501491, "invalid_request", "Invalid size of Code_Challenge parameter.")
    #: The redirect URI at the token endpoint is not that of the authorization request.
    REDIRECT_CHANGED = Kind(
        500112,
        "invalid_client",
        "The reply address '{given}' does not match the reply address '{expected}' provided when requesting"
        " Authorization code.",
        401,
    )
    #: The redirect URI is not registered.
    REDIRECT_UNKNOWN = Kind(
        50011,
        "invalid_request",
        "The redirect URI '{given}' specified in the request does not match the redirect URIs configured"
        " for the application '{client_id}'. Make sure the redirect URI sent in the request matches one"
        " added to your application in the Azure portal.",
    )
    #: Nobody consented to this permission.
    NO_CONSENT = Kind(
        65001,
        "invalid_grant",
        "The user or administrator has not consented to use the application with ID '{client_id}' named"
        " '{name}'. Send an interactive authorization request for this user and resource.",
        suberror="consent_required",
    )
    #: The tenant lets nobody but an administrator consent.
    NO_ADMIN_CONSENT = Kind(
        90094,
        "access_denied",
        "An administrator of {domain} has set a policy that prevents you from granting {name} the"
        " permissions it is requesting. Contact an administrator of {domain}, who can grant permissions to"
        " this app on your behalf.",
    )
    #: Who signed in to consent for everybody is no administrator.
    NO_ADMINISTRATOR = Kind(
        90093,
        "access_denied",
        "{name} is requesting one or more permissions that you are not authorized to grant. Contact an"
        " administrator, who can consent to this application on your behalf.",
    )
    #: The person pressed Cancel on the consent page.
    DECLINED = Kind(65004, "access_denied", "User declined to consent to access the app.")
    #: `prompt=none`, and nobody is signed in.
    NOT_SIGNED_IN = Kind(
        50058,
        "login_required",
        "A silent sign-in request was sent but no user is signed in.",
    )
    #: The account does not exist in the tenant.
    NO_USER = Kind(
        50034,
        "invalid_grant",
        "The user account {upn} does not exist in the {domain} directory. To sign into this application, the"
        " account must be added to the directory.",
    )
    #: The account is blocked, as a shared mailbox's is.
    DISABLED_USER = Kind(50057, "invalid_grant", "The user account is disabled.")
    #: Scopes of two resources in one token request.
    TWO_RESOURCES = Kind(
        28000,
        "invalid_request",
        "Provided value for the input parameter scope is not valid because it contains more than one"
        " resource. Scope {scope} is not valid.",
    )
    #: The scope is missing or not a list of URIs separated by spaces.
    SCOPE_FORMAT = Kind(
        70011,
        "invalid_scope",
        "The provided request must include a 'scope' input parameter. The provided value for the input"
        " parameter 'scope' is not valid. The scope {scope} is not valid. The scope format is invalid."
        " Scope must be in a valid URI form <https://example/scope> or a valid Guid <guid/scope>.",
    )
    #: The resource is unknown in the tenant.
    NO_RESOURCE = Kind(
        500011,
        "invalid_resource",
        "The resource principal named {resource} was not found in the tenant named {domain}. This can"
        " happen if the application has not been installed by the administrator of the tenant or consented"
        " to by any user in the tenant. You might have sent your authentication request to the wrong"
        " tenant.",
    )
    #: The resource has no such permission.
    NO_PERMISSION = Kind(
        650053,
        "invalid_client",
        "The application '{name}' asked for scope '{scope}' that doesn't exist on the resource '{resource}'."
        " Contact the app vendor.",
    )
    #: A client-credentials request whose scope is not `…/.default`.
    NOT_DEFAULT = Kind(
        1002012,
        "invalid_scope",
        "The provided value for scope {scope} is not valid. Client credential flows must have a scope"
        " value with /.default suffixed to the resource identifier (application ID URI).",
    )
    #: A client-credentials request that names no one tenant.
    NO_TENANT_NAMED = Kind(
        50059,
        "invalid_request",
        "No tenant-identifying information found in either the request or implied by any provided"
        " credentials.",
    )
    #: The app is not registered.
    NO_APP = Kind(
        700016,
        "unauthorized_client",
        "Application with identifier '{client_id}' was not found in the directory '{domain}'. This can"
        " happen if the application has not been installed by the administrator of the tenant or consented"
        " to by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
    )
    #: A single-tenant app on `common` or `organizations`.
    SINGLE_TENANT = Kind(
        50194,
        "invalid_request",
        "Application '{client_id}'({name}) is not configured as a multi-tenant application. Usage of the"
        " /common endpoint is not supported for such apps created after '10/15/2018'. Use a"
        " tenant-specific endpoint or configure the application to be multi-tenant.",
    )
    #: The tenant in the path is unknown.
    NO_TENANT = Kind(
        90002,
        "invalid_request",
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing"
        " into the correct cloud. Check with your subscription administrator, this may happen if there are"
        " no active subscriptions for the tenant.",
    )
    #: The client secret is wrong.
    WRONG_SECRET = Kind(
        7000215,
        "invalid_client",
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret"
        " value, not the client secret ID, for a secret added to app '{client_id}'.",
        401,
    )
    #: The client secret is past its date.
    EXPIRED_SECRET = Kind(
        7000222,
        "invalid_client",
        "The provided client secret keys for app '{client_id}' are expired. Visit the Azure portal to"
        " create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate"
        " credentials for added security: https://aka.ms/certCreds.",
        401,
    )
    #: No client credential at all.
    NO_SECRET = Kind(
        7000218,
        "invalid_client",
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        401,
    )
    #: The client assertion is no JWT.
    BAD_ASSERTION = Kind(50027, "invalid_client", "JWT token is invalid or malformed.", 401)
    #: It was signed by a certificate that is not registered or is past its date, or not by that certificate.
    ASSERTION_SIGNATURE = Kind(
        700027,
        "invalid_client",
        "Client assertion contains an invalid signature. [Reason - {reason}, Thumbprint of key used by"
        " client: '{thumbprint}', Please visit the Azure Portal, Graph Explorer or directly use MS Graph to"
        " see configured keys for app Id '{client_id}'.]",
        401,
    )
    #: Its time has passed or has not come.
    ASSERTION_TIME = Kind(
        700024,
        "invalid_client",
        "Client assertion is not within its valid time range. Current time: {now}, assertion valid from"
        " {begins}, expiry time of assertion {ends}. Review the documentation at"
        " https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
        401,
    )
    #: It speaks for another app.
    ASSERTION_APP = Kind(
        700021,
        "invalid_client",
        "Client assertion application identifier doesn't match 'client_id' parameter. Review the"
        " documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
        401,
    )
    #: It was made for another endpoint.
    ASSERTION_AUDIENCE = Kind(
        700023,
        "invalid_client",
        "Client assertion audience claim does not match Realm issuer. Review the documentation at"
        " https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
        401,
    )
    #: No federated credential of the app has this issuer.
    FEDERATED_ISSUER = _federated(700211, "issuer")
    #: None with this issuer has this audience.
    FEDERATED_AUDIENCE = _federated(700212, "audience")
    #: None with this issuer has this subject.
    FEDERATED_SUBJECT = _federated(700213, "subject")
    #: One has this subject, but for the case of its letters.
    FEDERATED_CASE = _federated(
        7002138,
        "subject",
        " The subject matches with case-insensitive comparison, but not with case-sensitive comparison.",
    )
    #: The assertion of a federated credential was signed by nobody known.
    FEDERATED_SIGNATURE = Kind(
        50013,
        "invalid_client",
        "Assertion failed signature validation. [Reason - The key was not found.]",
        401,
    )
    #: A parameter is missing.
    MISSING = Kind(
        900144,
        "invalid_request",
        "The request body must contain the following parameter: '{parameter}'.",
    )
    #: The grant type is none that the token endpoint knows.
    GRANT_TYPE = Kind(
        70003, "unsupported_grant_type", "The app requested an unsupported grant type '{grant_type}'."
    )
    #: The response type is not `code`.
    RESPONSE_TYPE = Kind(
        70005,
        "unsupported_response_type",
        "The app requested an unsupported response type: '{given}'.",
    )
    #: The service is not well; the same request may pass later.
    TRANSIENT = Kind(
        90033, "temporarily_unavailable", "A transient error has occurred. Please try again.", 503
    )
    #: The tenant sends too much.
    THROTTLED = Kind(
        90055, "temporarily_unavailable", "The tenant is throttled due to too many requests.", 429
    )


def by_code(code: str) -> Aadsts | None:
    """Return the refusal with this number."""
    return next((kind for kind in Aadsts if str(kind.value.code) == code), None)
