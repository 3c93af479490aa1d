"""Starting the host: settings, socket, key, then one instance here or several beside."""

import asyncio
import dataclasses
import os
import secrets
import socket
from pathlib import Path

from local.host.app_settings import apply_local_settings
from local.host.host_json import read_host_json
from local.host.instance import CANNOT_START, KEY_SETTING, run_instance
from local.host.lifeline import end_with_parent
from local.host.options import HostOptions, InstanceOptions, StartError
from local.host.supervisor import Supervisor

#: 128 bits would do; this is what `secrets` recommends.
_KEY_BYTES = 32


def run(options: HostOptions) -> int:
    """
    Run the host in the foreground until SIGTERM or SIGINT, and return the exit code.

    The process becomes the host: it works in the app's folder, and its environment gets the values of
    local.settings.json.
    """
    ready_file = options.ready_file.absolute() if options.ready_file else None
    if options.stop_with_parent:
        end_with_parent()
    try:
        folder = _enter(options.folder)
        apply_local_settings(folder, os.environ)
        read_host_json(folder)  # what is wrong with it is said once, before any instance starts
        listening = _bind(options.host, options.port)
    except StartError as error:
        print(f"The host cannot start: {error}", flush=True)
        return CANNOT_START
    options = dataclasses.replace(options, folder=folder)
    _settle_key()
    base_url = f"http://localhost:{listening.getsockname()[1]}"

    def on_ready() -> None:
        if ready_file is not None:
            _write_ready_file(ready_file, base_url)
        print(f"Host is ready: {base_url}", flush=True)

    with listening:
        try:
            if options.instances > 1:
                return asyncio.run(Supervisor(options, listening, base_url, on_ready).run())
            only = InstanceOptions.of(options, number=1, announces=True, base_url=base_url)
            return run_instance(only, listening, on_ready)
        except KeyboardInterrupt:  # before the loop took the signals over: nothing has begun
            return 0


def _enter(folder: Path) -> Path:
    folder = folder.resolve()
    if not folder.is_dir():
        raise StartError(f"{folder} is not a folder")
    os.chdir(folder)  # as in Azure, where a worker's working directory is the app's folder
    return folder


def _bind(host: str, port: int) -> socket.socket:
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise StartError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port"
        ) from None
    listening.setblocking(False)
    return listening


def _settle_key() -> None:
    """Take the function key from the environment, or make one and print it."""
    if os.environ.get(KEY_SETTING):
        print(f"Function key: as set in {KEY_SETTING}", flush=True)
        return
    os.environ[KEY_SETTING] = secrets.token_urlsafe(_KEY_BYTES)
    print(f"Function key: {os.environ[KEY_SETTING]}", flush=True)


def _write_ready_file(path: Path, base_url: str) -> None:
    """Write the file whole: whoever waits for it never sees half of it."""
    part = path.with_name(path.name + ".part")
    part.write_text(base_url + "\n", encoding="utf-8")
    part.replace(path)
