"""
The consent flow without a browser: what an administrator does, step by step, over the real pages.

It opens the consent URL, picks the account on the provider's page, accepts, and follows the redirect back,
keeping cookies as a browser does. Nothing is taken out of the flow.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import requests

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMEOUT_SECONDS = 30
_MOST_STEPS = 8


class ConsentFailedError(Exception):
    """The flow did not end with a connected sender; the message says what the page said."""


_END = "/api/oauth/redirect"


@dataclass(frozen=True, slots=True)
class Connected:
    """The last page: who is connected."""

    headline: str
    account: str


@dataclass(frozen=True, slots=True)
class _Form:
    action: str
    fields: dict[str, str]
    buttons: tuple[tuple[str, str], ...]


def walk(
    start_url: str,
    *,
    key: str,
    ca_file: str,
    account: str | None = None,
    said: Callable[[str], object] = lambda _: None,
) -> Connected:
    """
    Walk the whole flow; ``account`` overrides the one that the app asks for.

    Raises ``ConsentFailedError``.
    """
    with requests.Session() as browser:
        browser.trust_env = False  # the environment may name another CA file, which requests would prefer
        browser.verify = ca_file
        try:
            page = browser.get(start_url, headers={"x-functions-key": key}, timeout=_TIMEOUT_SECONDS)
            for _ in range(_MOST_STEPS):
                form = _form(page.text)
                if form is None or urlsplit(page.url).path == _END:
                    break  # the buttons of the app's own page are no part of the way there
                page = _submit(browser, page.url, form, account, said)
        except requests.RequestException as error:
            raise ConsentFailedError(f"the flow broke off: {type(error).__name__}") from error
    headline = _text_of(page.text, "h1")
    if not page.ok or urlsplit(page.url).path != _END:
        raise ConsentFailedError(f"{headline or f'HTTP {page.status_code}'}: {_paragraphs(page.text)}")
    return Connected(headline, _text_of(page.text, "strong"))


def _submit(
    browser: requests.Session, url: str, form: _Form, account: str | None, said: Callable[[str], object]
) -> requests.Response:
    """Press the button that a person would press: the account that is offered first, or "accept"."""
    buttons = dict(reversed(form.buttons))
    fields = dict(form.fields)
    if "account" in buttons or "account" in fields:
        fields["account"] = account or dict(reversed(form.buttons))["account"]
        said(f"choosing the account {fields['account']}")
    elif "decision" in buttons:
        fields["decision"] = "accept"
        said("accepting the permissions")
    return browser.post(urljoin(url, form.action), data=fields, timeout=_TIMEOUT_SECONDS)


class _FormReader(HTMLParser):
    """Collects the first form of a page: where it goes, its fields, and its buttons in order."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.done = False
        self.fields: dict[str, str] = {}
        self.buttons: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.done:
            return
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = values.get("action", "")
        elif self.action is not None and tag == "input" and values.get("name"):
            self.fields[values["name"]] = values.get("value", "")
        elif self.action is not None and tag == "button" and values.get("name"):
            self.buttons.append((values["name"], values.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self.action is not None:
            self.done = True


def _form(page: str) -> _Form | None:
    reader = _FormReader()
    reader.feed(page)
    if reader.action is None:
        return None
    return _Form(reader.action, reader.fields, tuple(reader.buttons))


def _text_of(page: str, tag: str) -> str:
    found = re.search(rf"<{tag}[^>]*>(.*?)</{tag}>", page, re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "", found[1])).strip() if found else ""


def _paragraphs(page: str) -> str:
    texts = re.findall(r"<p(?: class=\"next\")?>(.*?)</p>", page, re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).strip() for text in texts)
