"""
The commands: ``python3 -m local COMMAND``, each a few lines over the part that does it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from local.environment import HELP, ROOT
from local.ports import DEFAULT_BASE, Ports
from local.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from local.stack import Stack


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    # A SIGTERM ends a command the way Ctrl-C does: by way of every ``finally``.
    signal.signal(signal.SIGTERM, _end)
    try:
        # These two hand their arguments on as they are.
        if arguments[0] == "host":
            return _host(arguments[1:])
        if arguments[0] == "test":
            return _test(arguments[1:])
        if arguments[0] == "bench":
            return _bench(arguments[1:])
        options = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except KeyboardInterrupt:
        return 130  # what a shell expects of a program that Ctrl-C ended


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m local", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    demo = commands.add_parser("demo", help="the main job, start to finish")
    demo.add_argument("--port-base", type=int, help="the first of nine ports; default: any that are free")
    demo.add_argument("--keep", type=Path, metavar="FOLDER", help="write the mail that was received there")
    demo.set_defaults(command=_demo)

    up = commands.add_parser("up", help="the whole stack, left running")
    up.add_argument(
        "--port-base", type=int, default=DEFAULT_BASE, help="the first of nine ports (default: %(default)s)"
    )
    up.add_argument("--instances", type=int, default=1, help="how many processes the host has (default: 1)")
    up.add_argument(
        "--lock-seconds", type=int, help="how long the host hides a message it has taken (default: 600)"
    )
    up.set_defaults(command=_up)

    commands.add_parser("host", help="the Functions host alone; --help shows its options")

    connect = commands.add_parser("connect", help="the consent flow of a running stack, without a browser")
    connect.add_argument("sender", metavar="SENDER")
    connect.add_argument("--account", help="sign in as this account instead of the one that is asked for")
    connect.set_defaults(command=_connect)

    send = commands.add_parser("send", help="drop a message on the outbox and follow it until it settles")
    send.add_argument("file", metavar="FILE.json", type=Path)
    send.set_defaults(command=_send)

    commands.add_parser("bench", help="measure something; without a name, say what there is")
    commands.add_parser("test", help="run the tests; what follows -- goes to pytest")
    return parser


def _demo(options: argparse.Namespace) -> int:
    from local import demo  # noqa: PLC0415 - each command imports what it alone needs

    return demo.run(Terminal(), port_base=options.port_base, keep=options.keep)


def _up(options: argparse.Namespace) -> int:
    from local.stack import Stack, StackError  # noqa: PLC0415 - as above

    terminal = Terminal()
    terminal.title("Sendoff on this machine")
    try:
        stack = Stack.start(
            Ports.from_base(options.port_base),
            instances=options.instances,
            lock_seconds=options.lock_seconds,
            said=lambda part: terminal.step(f"starting {part}"),
        )
    except StackError as error:
        terminal.bad(str(error))
        return 1
    try:
        _show_stack(terminal, stack)
        ended = stack.wait()
    except KeyboardInterrupt:
        terminal.step("stopping")
        return 0
    else:
        terminal.bad(f"{ended} ended by itself; the host's log is {stack.folder / 'host.log'}")
        return 1
    finally:
        stack.stop()


def _show_stack(terminal: Terminal, stack: Stack) -> None:
    facts = stack.facts
    key = facts["key"]
    terminal.title("Everything is running")
    terminal.facts(
        {
            "inbox": facts["inbox"],
            "functions": facts["functions"],
            "function key": key,
            "identity provider": f"{facts['identity']}  (its certificate is from {facts['ca_file']})",
            "key vault": facts["vault"],
            "mail server": f"{facts['smtp']}  (STARTTLS)",
            "storage": f"127.0.0.1, ports {facts['ports']['blob']} to {facts['ports']['table']}",
            "all of this": str(stack.folder / "stack.json"),
            "the host's log": str(stack.folder / "host.log"),
        }
    )
    terminal.title("Connect a sender: open its consent URL, or let the command do it")
    terminal.facts(
        {
            f"python3 -m local connect {sender}": f"{facts['functions']}/api/oauth/start/{sender}?code={key}"
            for sender in ("noreply", "billing", "reports")
        }
    )
    terminal.title("Then send something:  python3 -m local send docs/examples/message.json")
    terminal.paragraph("Ctrl-C stops everything.")


def _host(arguments: Sequence[str]) -> int:
    command = [sys.executable, "-m", "local.host", "--folder", str(ROOT), *arguments]
    os.execve(sys.executable, command, dict(os.environ))  # noqa: S606 - its own program, signals and all


def _connect(options: argparse.Namespace) -> int:
    from local.consent_walk import ConsentFailedError, walk  # noqa: PLC0415 - as above
    from local.stack import StackError, running  # noqa: PLC0415 - as above

    terminal = Terminal()
    try:
        facts = running()
        url = f"{facts['functions']}/api/oauth/start/{options.sender}"
        terminal.step(f"opening {url}")
        connected = walk(
            url, key=facts["key"], ca_file=facts["ca_file"], account=options.account, said=terminal.step
        )
    except (StackError, ConsentFailedError) as error:
        terminal.bad(str(error))
        return 1
    terminal.good(f"{connected.headline}: {options.sender} sends as {connected.account}")
    return 0


def _send(options: argparse.Namespace) -> int:
    from local import outbox  # noqa: PLC0415 - as above
    from local.stack import StackError, running  # noqa: PLC0415 - as above
    from shared.core.delivery import State  # noqa: PLC0415 - as above

    terminal = Terminal()
    try:
        facts = running()
        message = outbox.read_message(options.file)
    except (StackError, outbox.MessageFileError) as error:
        terminal.bad(str(error))
        return 1
    message_id = str(message["id"])
    before = outbox.history(facts["storage"], message_id)
    queue_id = outbox.drop(facts["storage"], message)
    if "action" in message:
        terminal.good(f"{message['action']} {message_id} is on the outbox")
        return 0
    terminal.step(f"{message_id} is on the outbox")
    if before and before[-1].state.is_settled:
        terminal.good(
            f"{message_id} was used before and is {before[-1].state.value}: the same message is ignored"
        )
        return 0
    for change in outbox.follow(facts["storage"], message_id, queue_id=queue_id, seen=len(before)):
        attempt = f", attempt {change.attempt}" if change.attempt else ""
        terminal.step(f"{change.state.value}{attempt}")
        terminal.detail("\n".join(part for part in (change.reply, change.reason) if part))
        if change.state is State.ACCEPTED:
            terminal.good(f"accepted; it is in the inbox: {facts['inbox']}")
            return 0
    terminal.bad("it was not sent")
    return 1


def _test(arguments: Sequence[str]) -> int:
    command = [sys.executable, "-m", "pytest", *(argument for argument in arguments if argument != "--")]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _bench(arguments: Sequence[str]) -> int:
    names = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))
    if not arguments or arguments[0] not in names:
        Terminal().bad(f"name a benchmark: {', '.join(names)}")
        return 2
    # Named on the command line and checked against the folder, so nothing else can be imported.
    benchmark = importlib.import_module(f"benchmarks.{arguments[0]}")
    return int(benchmark.main(arguments[1:]))
