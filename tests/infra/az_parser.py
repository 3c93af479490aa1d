"""
The real Azure CLI's own parser: command lines in (JSON, a list of lists), what it has against them out.

Run by the CLI's own Python. Nothing is carried out: each is stopped as soon as it has been parsed.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from azure.cli.command_modules.keyvault._validators import (  # type: ignore[import-not-found,import-untyped,unused-ignore]  # as above
    build_certificate_policy,
)
from azure.cli.core import get_default_cli  # type: ignore[import-not-found,import-untyped,unused-ignore]  # not ours
from knack.events import (  # type: ignore[import-not-found,unused-ignore]  # as above
    EVENT_INVOKER_POST_PARSE_ARGS,
)


class ParsedError(Exception):
    """It was parsed, and is to go no further."""


def stop(cli: Any, *, args: Any, **_: Any) -> None:
    """Look at what was parsed, and go no further."""
    if isinstance(policy := getattr(args, "policy", None), dict):
        read = build_certificate_policy(cli, policy)
        wanted = (
            "issuer_name",
            "subject",
            "exportable",
            "key_size",
            "content_type",
            "validity_in_months",
            "lifetime_actions",
        )
        if missing := [name for name in wanted if not getattr(read, name)]:
            raise ValueError(f"the policy of the certificate lacks {missing}")
    raise ParsedError


def parse(words: list[str]) -> str:
    cli = get_default_cli()
    cli.register_event(EVENT_INVOKER_POST_PARSE_ARGS, stop)
    invocation = cli.invocation_cls(
        cli_ctx=cli,
        parser_cls=cli.parser_cls,
        commands_loader_cls=cli.commands_loader_cls,
        help_cls=cli.help_cls,
    )
    cli.invocation = invocation
    try:
        invocation.execute(list(words))
    except ParsedError:
        return ""
    except (SystemExit, Exception) as error:  # noqa: BLE001 - whatever it says is what is asked for
        return f"{type(error).__name__}: {error}"
    return "it was not stopped"


if __name__ == "__main__":
    sys.stdout.write(json.dumps([parse(each) for each in json.load(sys.stdin)]))
