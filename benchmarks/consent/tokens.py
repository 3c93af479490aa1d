"""
Consents on a real stack, and how long the tokens last that come of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.consent_walk import walk

if TYPE_CHECKING:
    from benchmarks.rig.stage import Stage

#: Too short for a new session: the app begins none with less than ten minutes left.
ALMOST_OVER_SECONDS = 300


def consent(made: Stage, sender: str, *, lifetime_seconds: int | None = None) -> None:
    """
    Let the sender's person sign in, once more where they had before.

    ``lifetime_seconds`` is the life of the token that comes of it; those after it have Entra's own.
    """
    facts = made.facts
    made.controls.identity({"token_lifetime_seconds": lifetime_seconds})
    walk(f"{facts['functions']}/api/oauth/start/{sender}", key=facts["key"], ca_file=facts["ca_file"])
    made.controls.identity({"token_lifetime_seconds": None})


def refreshes(made: Stage) -> int:
    """Return how many requests with a refresh token the provider has had."""
    types: dict[str, Any] = made.controls.identity()["grant_types"]
    return int(types.get("refresh_token", 0))


def refusals(made: Stage) -> int:
    """Return how many token requests the provider has refused."""
    return sum(made.controls.identity()["refusals"].values())


def versions(made: Stage, sender: str) -> int:
    """Return how many versions the sender's grant has in the vault."""
    kept: dict[str, int] = made.controls.vault()["versions"]
    return kept.get(f"grant-{sender}", 0)
