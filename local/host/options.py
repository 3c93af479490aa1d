"""What the command line decides, and the errors that end a start."""

import dataclasses
import json
from pathlib import Path
from typing import Self

#: The port of `func start`, which most documentation assumes.
DEFAULT_PORT = 7071

#: The real host takes a message from its queue for ten minutes at a time.
DEFAULT_LOCK_SECONDS = 600

#: How long running functions may take to finish once the host is told to stop.
GRACE_SECONDS = 25.0


class StartError(Exception):
    """The host cannot start; the message says what is wrong and where."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """How to run the host: `folder` holds function_app.py, port 0 means any free port."""

    folder: Path
    port: int = DEFAULT_PORT
    instances: int = 1
    lock_seconds: int = DEFAULT_LOCK_SECONDS
    verbose: bool = False
    host: str = "127.0.0.1"
    #: End at once, without finishing work, when the process that started the host is gone.
    stop_with_parent: bool = False
    #: Written, with the base URL inside, once every listener runs.
    ready_file: Path | None = None
    grace_seconds: float = GRACE_SECONDS

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.instances < 1:
            raise StartError(f"--instances {self.instances}: at least one is needed")
        if self.lock_seconds < 1:
            raise StartError(f"--lock-seconds {self.lock_seconds}: at least one second is needed")
        if not 0 <= self.port <= 65535:  # noqa: PLR2004 (the port range of TCP)
            raise StartError(f"--port {self.port}: not a TCP port")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InstanceOptions:
    """What one instance is told by whoever starts it."""

    folder: Path
    number: int
    #: Whether this instance prints the list of functions.
    announces: bool
    #: Whether log lines name the instance.
    one_of_many: bool
    base_url: str
    lock_seconds: int
    verbose: bool
    grace_seconds: float

    @classmethod
    def of(cls, options: HostOptions, *, number: int, announces: bool, base_url: str) -> Self:
        """Return the options of instance `number`."""
        return cls(
            folder=options.folder,
            number=number,
            announces=announces,
            one_of_many=options.instances > 1,
            base_url=base_url,
            lock_seconds=options.lock_seconds,
            verbose=options.verbose,
            grace_seconds=options.grace_seconds,
        )

    def to_json(self) -> str:
        """Return the form that crosses the command line of a child process."""
        return json.dumps(dataclasses.asdict(self) | {"folder": str(self.folder)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the options that `to_json` wrote."""
        fields = json.loads(text)
        return cls(**fields | {"folder": Path(fields["folder"])})
