"""
What a cold start costs: ``python3 -m local bench cold_start [--runs N]``.

Importing and indexing this app, side by side with an app that has one empty function, each in a fresh
interpreter: what the Functions worker does before the first message. The contract allows 1.5 times as much.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from local.environment import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

_ALLOWED = 1.5
_EMPTY = """
import azure.functions as func

app = func.FunctionApp()


@app.route("nothing")
def nothing(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("")
"""
_INDEX = "import function_app; function_app.app.get_functions()"
_SETTINGS = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "KEY_VAULT_URL": "https://contoso.vault.azure.net",
    "PUBLIC_URL": "https://mail.contoso.com",
    "OAUTH_TENANT_ID": "contoso.com",
    "OAUTH_CLIENT_ID": "client-id",
    "MAILBOX": "noreply@contoso.com",
}


def main(arguments: Sequence[str]) -> int:
    """Run it and print both, and the ratio; fails where it is more than the contract allows."""
    parser = argparse.ArgumentParser(prog="python3 -m local bench cold_start", description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "function_app.py").write_text(_EMPTY)
        ours: list[float] = []
        empty: list[float] = []
        for _ in range(options.runs):  # in turn, so that a busy moment of the machine hits both
            ours.append(_seconds(ROOT))
            empty.append(_seconds(Path(folder)))
    ratio = statistics.median(ours) / statistics.median(empty)
    print(f"a fresh interpreter that imports and indexes the app; the median of {options.runs} runs")
    print(f"  an app with one empty function  {statistics.median(empty) * 1000:6.0f} ms")
    print(f"  Sendoff                         {statistics.median(ours) * 1000:6.0f} ms")
    print(f"  ratio                           {ratio:9.2f}  demanded: <= {_ALLOWED}")
    return 0 if ratio <= _ALLOWED else 1


def _seconds(folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", _INDEX], cwd=folder, env={**os.environ, **_SETTINGS}, check=True)
    return time.perf_counter() - began
