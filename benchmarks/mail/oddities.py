"""
What stands in mail and makes programs stumble: names, file names, lines.
"""

from __future__ import annotations

DOMAINS = ("example.com", "bücher.example", "例え.example", "παράδειγμα.example", "مثال.example")
NAMES = (
    "Ada Lovelace",
    "Lovelace, Ada",
    'Ada "the Countess" Lovelace',
    "Ada (London)",
    "a@b.example",
    "back\\slash; and: colon",
    "=?utf-8?q?not_encoded?=",
    "O'Hara & Söhne <GmbH>",
    "two  spaces",
    "Ada.",
    "undisclosed: recipients;",
)
FILE_NAMES = (
    "invoice.pdf",
    "two words.pdf",
    'say "cheese".png',
    "back\\slash.txt",
    "semi;colon=equals.csv",
    "100% l'été.doc",
    "utf-8''fake.txt",
    "=?utf-8?b?ZmFrZQ==?=",
    ".hidden",
    "no extension",
    "a,b:c?d*e|f<g>h.txt",
    "name*0=trick.txt",
    "x" * 200 + ".bin",
    "é" * 120 + ".bin",
    "رسالة.pdf",
    "👩‍👩‍👧‍👦.png",
    "e\u0301a\u0308.txt",
)
MEDIA_TYPES = (
    "application/pdf",
    "application/octet-stream",
    "image/png",
    "text/plain; charset=utf-8",
    "text/html",
    "text/calendar",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
)
LINES = (
    ".",
    "..two dots",
    "From here on",
    "--=_boundary",
    "--",
    "trailing spaces   ",
    "\ttab\tand tab\t",
    "=3D =\xa0=",
    "",
    "x" * 2500,
    "word " * 400,
    "form\x0cfeed and \x0b and \x1b[0m",
    "a\u2028b\u2029c\x85d",
    "https://example.com/?a=1&b=2#=20",
)
