"""
Templates: Jinja2 in its sandbox, with a budget.

A template is written by whoever runs the deployment, its data comes from an app, and neither may make sending
hang or fill the memory. The sandbox keeps a template away from Python; the budget counts loop turns and
bounds every string that can grow. A value that the data does not have is a refusal that names it, never an
empty space in somebody's mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError

from shared.core.address import CONTROL
from shared.core.message import LONGEST_SUBJECT
from shared.core.sandbox import OverBudgetError, Sandbox
from shared.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Mapping


_LONGEST_NAME = 200  # of what is missing, in the sentence that names it


@dataclass(frozen=True, slots=True)
class Template:
    """The files of one template in one language; what is not there is None."""

    name: str
    language: str
    subject: str | None = None
    html: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """A template filled with data."""

    subject: str | None
    html: str | None
    text: str | None


def render(template: Template, data: Mapping[str, Any]) -> Rendered:
    """
    Fill a template with ``data``.

    Raises ``MessageError`` with one problem for each file that cannot be filled.
    """
    problems: list[str] = []

    def fill(file: str, source: str | None, *, escaped: bool) -> str | None:
        if source is None:
            return None
        try:
            return _characters(Sandbox(escaped=escaped).fill(source, data))
        except _KNOWN as error:
            problems.append(f"template: {template.name}/{template.language}/{file}: {_said(error)}")
            return None

    subject = fill("subject.txt", template.subject, escaped=False)
    if subject is not None:
        subject = CONTROL.sub("", " ".join(subject.split()))
        if len(subject) > LONGEST_SUBJECT:
            where = f"{template.name}/{template.language}/subject.txt"
            problems.append(
                f"template: {where}: it makes {len(subject)} characters; {LONGEST_SUBJECT} at most"
            )
    rendered = Rendered(
        subject=subject,
        html=fill("body.html", template.html, escaped=True),
        text=fill("body.txt", template.text, escaped=False),
    )
    if problems:
        raise MessageError(tuple(problems))
    return rendered


# What a template and its data can do wrong; anything else is a fault of ours and is not hidden.
_KNOWN = (
    TemplateError,
    OverBudgetError,
    RecursionError,
    TypeError,
    ValueError,
    ArithmeticError,
    SyntaxError,
    LookupError,
    AttributeError,
)


def _characters(text: str) -> str:
    """Return ``text``; what no mail can carry comes from the data and is an error."""
    if "\0" in text:
        raise OverBudgetError("it writes a NUL character, which no mail server takes")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise OverBudgetError("it writes half a surrogate pair, which is no character")
    return text


_SAYING: Mapping[type[Exception], str] = {
    SecurityError: "it does what a template may not do",
    RecursionError: "it calls itself without end",
    SyntaxError: "it is nested too deeply",  # for Python, into which Jinja turns it
}


def _said(error: Exception) -> str:
    if isinstance(error, TemplateSyntaxError):
        return f"line {error.lineno}: {error.message}"
    if isinstance(error, UndefinedError):
        # A name may have come from the data.
        named = CONTROL.sub("?", error.message or "")[:_LONGEST_NAME]
        return f"{named}; add it to data"
    for kind, said in _SAYING.items():
        if isinstance(error, kind):
            return said
    if isinstance(error, (OverBudgetError, TemplateError)):
        return str(error)
    # Python's own words can quote the data, and data is not for the log.
    return f"an expression in it cannot be worked out ({type(error).__name__})"
