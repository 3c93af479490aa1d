"""
The same target for Google's coverage-guided fuzzer: ``python -m benchmarks.mail.atheris_target FLAGS``.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any

_SEEDS = 400


def main() -> None:
    """Fuzz until the flags say stop; anything raised ends it with the input in a file."""
    # Not in any requirements file, for it has no wheel for every Python and system.
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["shared"]):
        target = importlib.import_module("benchmarks.mail.target")
    mutation = importlib.import_module("benchmarks.mail.mutation")

    def one(body: bytes) -> None:
        target.carry(body)

    with tempfile.TemporaryDirectory() as folder:
        for number, body in enumerate(mutation.inputs(Random(1), _SEEDS)):
            (Path(folder) / f"{number:04}").write_bytes(body)
        atheris.Setup([*sys.argv, folder], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
