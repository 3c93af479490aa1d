"""What the host prints: one line for each record, on standard output."""

import logging
import sys

#: An SDK that logs every request would drown the app's own lines.
_LOUD_LOGGERS = ("azure", "msal", "urllib3", "aiohttp", "asyncio")


class LineFormatter(logging.Formatter):
    """`time level logger: message [event]`, with the instance in front where there are several."""

    def __init__(self, instance: str) -> None:
        line = f"%(asctime)s.%(msecs)03d {instance}%(levelname)-7s %(name)s: %(message)s"
        super().__init__(line, "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the line, with the app's `event` behind it."""
        line = super().formatMessage(record)
        event = getattr(record, "event", None)
        return f"{line} [{event}]" if event is not None else line


def configure_logging(*, level: int, verbose: bool, instance: int | None) -> None:
    """Give the root logger its one handler; `instance` is None when there is only one."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(LineFormatter("" if instance is None else f"[{instance}] "))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else level)
    for name in _LOUD_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
