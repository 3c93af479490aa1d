"""
Reading tables of a configuration file with every problem noted, so that all of them are mended at once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_URL = re.compile(r"[\x21-\x7e]+")


def split_url(url: str) -> SplitResult | None:
    """Return the parts of a URL that names a host, or None: it is no such URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return None
    return parts if parts.hostname and not parts.username and _URL.fullmatch(url) else None


def is_https(url: str) -> bool:
    """Whether ``url`` is an https:// address."""
    parts = split_url(url)
    return parts is not None and parts.scheme == "https"


class TableReader:
    """Reads values of tables and notes each problem as ``file: table.key: what is wrong``."""

    def __init__(self, where: str, problems: list[str]) -> None:
        self._where = where
        self._problems = problems

    @property
    def count(self) -> int:
        """How many problems there are so far, of whatever file."""
        return len(self._problems)

    def wrong(self, path: str, said: str) -> None:
        """Note a problem."""
        self._problems.append(f"{self._where}: {path}: {said}")

    def only(self, table: Mapping[str, Any], path: str, known: tuple[str, ...]) -> None:
        """Note keys that mean nothing here: a typing mistake must not be taken for a setting."""
        for key in table:
            if key not in known:
                self.wrong(f"{path}.{key}".lstrip("."), f"it is not known here; known are {', '.join(known)}")

    def tables(self, config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """Return a table of tables, which must hold at least one."""
        value = config.get(key)
        if isinstance(value, dict) and value:
            return value
        self._problems.append(f"{self._where}: [{key}.<name>] is missing")
        return {}

    def text(self, table: Mapping[str, Any], path: str, key: str, default: str | None = None) -> str:
        """Return a string; without a ``default`` it must be there."""
        value = table.get(key, default)
        if value is None or value == "":
            if default is None or (default and key in table):
                self.wrong(f"{path}.{key}", "it is missing")
            return ""
        if not isinstance(value, str):
            self.wrong(f"{path}.{key}", "it is not a string")
            return ""
        return value

    def choice(self, table: Mapping[str, Any], path: str, key: str, choices: tuple[str, ...]) -> str:
        """Return one of some words; the first is the default."""
        value = self.text(table, path, key, choices[0])
        if value and value not in choices:
            written = ", ".join(f'"{each}"' for each in choices)
            self.wrong(f"{path}.{key}", f'"{value}" is not known here; write one of {written}')
        return value if value in choices else choices[0]

    def https(self, table: Mapping[str, Any], path: str, key: str, default: str | None = None) -> str:
        """Return an https:// address."""
        url = self.text(table, path, key, default)
        if url and key in table and not is_https(url):
            self.wrong(f"{path}.{key}", "it is not an https:// address")
        return url

    def words(self, table: Mapping[str, Any], path: str, key: str) -> Mapping[str, str]:
        """Return a table of strings."""
        value = table.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            self.wrong(f"{path}.{key}", "it is not a table of strings")
            return {}
        return value
