"""
The door of the local stack: ``python3 -m local COMMAND``.

It needs nothing but Python. It makes ``.venv`` with what the command needs and then goes on inside it.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from local import environment

# Commands that need what the tests need, too.
_WITH_TESTS = ("test", "bench")
_INSIDE = "SENDOFF_INSIDE_VENV"


def main(arguments: Sequence[str]) -> int:
    """Bring the environment up to date and run the command inside it."""
    if os.environ.get(_INSIDE) == str(environment.FOLDER) and Path(sys.prefix) == environment.FOLDER:
        from local.commands import run  # noqa: PLC0415 - its imports exist only inside .venv

        return run(arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(environment.HELP)
        return 0 if arguments else 2
    try:
        environment.ensure(tests=arguments[0] in _WITH_TESTS)
    except environment.SetupError as error:
        print(f"sendoff: {error}", file=sys.stderr)
        return 1
    inside = {**os.environ, _INSIDE: str(environment.FOLDER)}
    return os.execve(environment.python(), [str(environment.python()), "-m", "local", *arguments], inside)  # noqa: S606 - ours


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)  # what a shell expects of a program that Ctrl-C ended
