"""
Templates from the container ``mail-templates``: ``<name>/<language>/{subject.txt,body.html,body.txt}``.

What was read is kept with its ETag and asked about again after a minute, so a thousand mails of one template
cost a handful of requests, and a new version is in use a minute after it was uploaded.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.core.rendering import Template
from shared.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.adapters.blob_container import BlobContainer

CONTAINER = "mail-templates"
DEFAULT_LANGUAGE = "default"
_FILES = ("subject.txt", "body.html", "body.txt")
_FRESH_FOR = timedelta(minutes=1)
_MOST_KEPT = 500  # files; a deployment has dozens


@dataclass(frozen=True, slots=True)
class _Kept:
    text: str | None
    etag: str
    until: datetime


class BlobTemplates:
    """Finds templates and remembers them for a minute."""

    def __init__(self, container: BlobContainer, *, clock: Callable[[], datetime]) -> None:
        self._container = container
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def find(self, name: str, language: str | None) -> Template | None:
        """
        Return a template in ``language``, else in its base language, else the default one.

        None where it has none of them. Raises ``MessageError`` for a file that is no text.
        """
        for folder in _languages(language):
            subject, html, text = (self._file(f"{name}/{folder}/{file}") for file in _FILES)
            if html is not None or text is not None:
                return Template(name, folder, subject, html, text)
        return None

    def _file(self, path: str) -> str | None:
        with self._lock:
            kept = self._kept.get(path)
        if kept and kept.until > self._clock():
            return kept.text
        try:
            found = self._container.text_if_changed(path, kept.etag if kept else "")
        except UnicodeDecodeError:
            raise MessageError(
                (f"template: {path} in the container {CONTAINER} is not UTF-8 text",)
            ) from None
        except LookupError:
            fresh = _Kept(None, "", self._clock() + _FRESH_FOR)
        else:
            text, etag = (
                (found.text, found.etag)
                if found
                else (kept.text if kept else None, kept.etag if kept else "")
            )
            fresh = _Kept(text, etag, self._clock() + _FRESH_FOR)
        with self._lock:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[path] = fresh
        return fresh.text


def _languages(language: str | None) -> Iterator[str]:
    """Give the folders to look in: de-AT, de, default."""
    parts = language.split("-") if language else []
    for length in range(len(parts), 0, -1):
        yield "-".join(parts[:length])
    yield DEFAULT_LANGUAGE
