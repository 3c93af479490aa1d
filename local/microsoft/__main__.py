"""
Runs Microsoft's services until SIGTERM or SIGINT.

    python -m local.microsoft --port-base 7071 --folder .local

When all listen, one line of JSON with every URL is printed. With `--follow-stdin` the process also ends when
its standard input does, so that it does not outlive whoever started it, however that one died.
"""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from local.microsoft import managed_identity
from local.microsoft.cloud import Cloud, Ports


def main() -> int:
    """Read the command line and run; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local.microsoft", description=__doc__)
    parser.add_argument(
        "--port-base",
        type=int,
        default=7071,
        help="the Functions host's port, ours follow it; 0: any free ports",
    )
    parser.add_argument("--folder", type=Path, default=Path(".local"), help="where the CA file goes")
    parser.add_argument("--functions-url", help="where the app answers; default http://localhost:{port base}")
    parser.add_argument("--client-secret", help="the app's client secret; random unless given")
    parser.add_argument("--follow-stdin", action="store_true", help="end when standard input ends")
    options = parser.parse_args()
    cloud = Cloud(
        Ports.from_base(options.port_base),
        options.folder,
        functions_url=options.functions_url or f"http://localhost:{options.port_base}",
        client_secret=options.client_secret,
    )
    try:
        asyncio.run(_run(cloud, follow_stdin=options.follow_stdin))
    except OSError as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(cloud: Cloud, *, follow_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await cloud.start()
    try:
        facts = cloud.urls() | {
            "identity_header": cloud.identity_header,
            "identity_client_id": managed_identity.USER_ASSIGNED[0],
        }
        print(json.dumps(facts), flush=True)
        if follow_stdin:
            await _until_stdin_ends(loop, ended)
        await ended.wait()
    finally:
        await cloud.stop()


async def _until_stdin_ends(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    class Ear(asyncio.Protocol):
        def connection_lost(self, error: Exception | None) -> None:
            del error
            ended.set()

    await loop.connect_read_pipe(Ear, sys.stdin)


if __name__ == "__main__":
    sys.exit(main())
