"""`python -m local.host`: the Functions host alone."""

import argparse
import sys
from pathlib import Path

from local.host.options import DEFAULT_LOCK_SECONDS, DEFAULT_PORT, HostOptions, StartError
from local.host.run import run


def parse_arguments(arguments: list[str] | None = None) -> HostOptions:
    """Return what a command line asks for; StartError for values that cannot work."""
    parser = argparse.ArgumentParser(
        prog="python -m local.host", description="The Functions host for one machine."
    )
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="where function_app.py is (default: here)"
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="of HTTP; 0 is any free one (default: %(default)s)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument(
        "--instances", type=int, default=1, help="processes beside each other (default: %(default)s)"
    )
    parser.add_argument(
        "--lock-seconds",
        type=int,
        default=DEFAULT_LOCK_SECONDS,
        help="how long a taken message stays hidden if its host dies (default: %(default)s)",
    )
    parser.add_argument("--ready-file", type=Path, help="a file to write once the host is ready")
    parser.add_argument(
        "--stop-with-parent", action="store_true", help="end at once when the starting process is gone"
    )
    parser.add_argument("--verbose", action="store_true", help="log every run and every detail")
    given = parser.parse_args(arguments)
    return HostOptions(
        folder=given.folder,
        port=given.port,
        host=given.host,
        instances=given.instances,
        lock_seconds=given.lock_seconds,
        ready_file=given.ready_file,
        stop_with_parent=given.stop_with_parent,
        verbose=given.verbose,
    )


def main() -> int:
    """Run the host and return its exit code."""
    try:
        return run(parse_arguments())
    except StartError as error:
        print(f"The host cannot start: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
