"""A small client that walks the sign-in pages: it posts forms until it is sent back to the app."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests

#: Registered for the tests; nothing answers there, the walker stops before it.
REDIRECT_URI = "https://app.example/api/oauth/redirect"


@dataclass
class Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class Forms(HTMLParser):
    """The forms of a page, with their hidden fields and their buttons' values."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(values["action"]))
        elif tag == "input" and values.get("type") == "hidden":
            self.found[-1].fields[values["name"]] = values["value"]
        elif tag == "button" and "name" in values:
            self.found[-1].buttons.append((values["name"], values["value"]))


def press(http: requests.Session, page: requests.Response, **button: str) -> requests.Response:
    """Post the first form of a page as this button does."""
    form = Forms(page.text).found[0]
    return http.post(urljoin(page.url, form.action), data=form.fields | button, allow_redirects=False)


def landed(reply: requests.Response) -> dict[str, str]:
    """What the app gets to see: the redirect's parameters, or those of the form that posts itself."""
    if reply.status_code == 302:
        target = urlsplit(reply.headers["Location"])
        return dict(parse_qsl(target.query or target.fragment))
    form = Forms(reply.text).found[0]
    assert form.action == REDIRECT_URI
    return form.fields


def walk(
    http: requests.Session, authorize_url: str, account: str = "noreply@contoso.com", decision: str = "accept"
) -> dict[str, str]:
    """Choose the account, answer the consent page if there is one, and return what the app gets to see."""
    reply = http.get(authorize_url, allow_redirects=False)
    if "Pick an account" in reply.text:
        reply = press(http, reply, account=account)
    if "Permissions requested" in reply.text:
        reply = press(http, reply, decision=decision)
    return landed(reply)
