"""
Microsoft's services on one machine: the same protocols, the same refusals, on loopback.

Nothing here is known to `shared/`; the app talks to these services as it talks to the real ones, and only
settings differ. All but the managed-identity endpoint speak TLS, with a certificate of `trust.py`'s own CA.

Reading order:

- `clock.py`: what time it is at the identity provider.
- `directory.py`: the tenant: who may sign in, which apps are registered, and with which credentials.
  `certificates.py` makes and reads those, `avatar.py` draws the photos.
- `tokens.py`: what is signed, what it claims, and how a service checks it.
- `trust.py`: the certificate authority and the server certificate, made at start.
- `control.py`: misbehaviour on request, shared by the identity provider and the vault.
- `entra.py`: the identity provider's routes. Behind it: `aadsts.py` and `entra_error.py` (its errors, and how
  they look), `scopes.py` (resources and permissions), `grants.py` (codes, refresh tokens, consent),
  `entra_authorize.py`, `entra_consent.py` and `pages/` (what a person sees, and an administrator),
  `entra_token.py` (what the app asks for), `entra_client.py` (how it proves itself), `entra_mischief.py`
  (successes with something wrong), `entra_control.py` and `app_control.py` (what it can be told to do wrong).
- `graph.py`: `/v1.0/me`, the photo and OpenID's userinfo, on the identity provider's listener.
- `managed_identity.py`: App Service's token endpoint.
- `key_vault.py`: the secrets REST API. Behind it: `vault_door.py` (who may come in), `vault_secrets.py`
  (what is kept), `vault_control.py` (what it can be told to do wrong).
- `exchange/`: the mail server.
- `cloud.py`: all of it in one process; `python -m local.microsoft` runs it. `controls.py` speaks to the
  control endpoints from outside.
"""
