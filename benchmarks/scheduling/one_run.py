"""
The function ``release``, once: ``python -m benchmarks.scheduling.one_run``.

Its settings are in the environment. It has a process to itself, as on Azure, so that nothing else asks
storage for anything. Prints what it did as JSON.
"""

from __future__ import annotations

import json
import time

from shared.services import Services
from shared.workflows.release import release
from shared.workflows.schedules import fire


def main() -> None:
    """Do what the timer function does and print how many were due and how long it took."""
    services = Services()
    schedules, tools = services.schedules_tools(), services.release_tools()
    began = time.perf_counter()
    fire(schedules)
    released = release(tools)
    print(json.dumps({"released": released, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
