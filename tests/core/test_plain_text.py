from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.plain_text import text_of

PAGES = [
    ("", ""),
    (" \n", ""),
    ("<!-- -->", ""),
    ("<p></p>", ""),
    ("hello", "hello\n"),
    ("<p>Grüß Gott,</p><p>Zeile<br>zwei 🥨</p>", "Grüß Gott,\n\nZeile\nzwei 🥨\n"),
    ("a &amp; b &lt;c&gt; &euro;", "a & b <c> €\n"),
    ("<ul><li>eins<li>zwei</ul>", "  * eins\n  * zwei\n"),
    ("<ol><li>eins<li>zwei</ol>", " 1. eins\n 2. zwei\n"),
    (
        '<p>See <a href="https://contoso.com/a?b=c&amp;d">here</a>.',
        "See [here](https://contoso.com/a?b=c&d).\n",
    ),
    (
        "<table><tr><td>Käse</td><td>1,00</td></tr><tr><td>Brot und mehr</td><td>2</td></tr></table>",
        "Käse           1,00\nBrot und mehr  2\n",
    ),
    ("<style>p {}</style><script>alert(1)</script><title>t</title><p>x", "x\n"),
    ('<p style="display: none">hidden</p><p>seen</p>', "seen\n"),
    ('<p style="DISPLAY:NONE;color:red">hidden</p>seen', "seen\n"),
    ('<?xml version="1.0" encoding="utf-8"?><p>x', "x\n"),
    ("a\0b", "ab\n"),
    ("<p>unclosed <b>and &unknown; <", "unclosed and &unknown; <\n"),
]


@pytest.mark.parametrize(("html", "text"), PAGES)
def test_html_is_read_as_a_person_reads_it(html: str, text: str) -> None:
    assert text_of(html) == text


def test_no_line_ends_in_blanks() -> None:
    text = text_of(
        "<table><tr><td>a</td><td></td></tr><tr><td>long cell</td><td>b</td></tr></table> <pre>x  \n</pre>"
    )
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


BOMBS = {
    "wide margins": '<p style="padding-left: 100000em">x</p>' * 1000,
    "tall margins": '<p style="margin-top: 100000em">x</p>' * 1000,
    "a length without end": f'<p style="margin-top: {"9" * 400}em">x',
    "styles in styles": f'<p style="{"style:" * 3000}">x',
    "a wide cell over many rows": f"<table><tr><td>{'x' * 30_000}<td>y{'<tr><td>a<td>b' * 2000}</table>",
    "a tall cell beside a wide one": f"<table><tr><td>{'<br>x' * 6000}<td>{'y' * 30_000}</table>",
    "deep blocks": "<div>" * 20_000 + "x",
    "deep tables": "<table><tr><td>" * 3000 + "x",
    "deep lists": "<ul><li>" * 8000 + "x",
    "many cells": "<table><tr>" + "<td>x" * 8000,
    "many links": '<a href="x">' * 5000,
    "entities": "&#0;&#xD800;&#1;&#x10FFFF;&#99999999999;" * 1000,
    "a table out of order": "<td>x</td><table><td><tr></table></table><tr><th>",
    "numbers in lists": f'<ol start="{"9" * 5000}"><li>x',
}


@pytest.mark.parametrize("kind", BOMBS)
def test_no_page_makes_much_of_little(kind: str) -> None:
    page = BOMBS[kind]
    text_of("")  # what is imported once is not the page's doing
    tracemalloc.start()
    try:
        text = text_of(page)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert text.encode() is not None
    assert len(text) < 2_000_000
    assert peak < 20_000_000


def test_of_a_very_long_page_the_beginning_is_read() -> None:
    text = text_of("<p>beginning</p>" + "x" * 1_000_000 + "<p>end</p>")
    assert text.startswith("beginning\n\nxxx")
    assert "end" not in text
    assert len(text) < 300_000


PIECES = st.sampled_from(
    [
        *(
            "<table>",
            "<tr>",
            "<td>",
            "</td>",
            "</table>",
            "<ul>",
            "<ol>",
            "<li>",
            "</ul>",
            "<p>",
            "</p>",
            "<br>",
        ),
        *(
            "<a href='x'>",
            "</a>",
            "<b",
            ">",
            "<!--",
            "-->",
            "<pre>",
            "\n",
            "x",
            " ",
            "&",
            "&#",
            "&#1;",
            "\x0b",
            "ü",
        ),
        *(
            "<style>",
            "</style>",
            "<script>",
            "<?xml ",
            "?>",
            "<![CDATA[",
            "]]>",
            "<svg>",
            "<math>",
            "<template>",
        ),
        *('<p style="', '"', "display:none", ";", ":", "<img src=x alt=y>", "<hr>", "<blockquote>", "<th>"),
    ]
)


@given(st.lists(PIECES, max_size=40).map("".join) | st.text(st.characters(exclude_categories=["Cs"])))
def test_any_page_is_read_as_some_text(html: str) -> None:
    text = text_of(html)
    assert text == "" or text.endswith("\n")
    assert "\0" not in text
    assert text.encode() is not None
