"""
Words in every script that Unicode has, and the text that programs stumble over.
"""

# ruff: noqa: RUF001 - letters that look like others are what this is about

from __future__ import annotations

import functools
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_LAST_PLANE_WITH_LETTERS = 0x32400
_FEWEST_LETTERS = 12  # what has fewer is no script but a symbol that counts as a letter

#: Sentences as people write them: right to left, combining marks, no spaces, both directions in one line.
SENTENCES = (
    "Grüße aus Köln: Straße, Äpfel, Öl",
    "Žluťoučký kůň příšerně úpěl ďábelské ódy",
    "Pijamalı hasta yağız şoföre çabucak güvendi",
    "Những người Việt Nam nói tiếng Việt",
    "Ο καλύμνικος σφουγγαράς ψιθύρισε",
    "Съешь же ещё этих мягких французских булок",
    "עברית, מימין לשמאל, עם מספר 123 וגם English",
    "السلام عليكم، الفاتورة رقم ٤٢ جاهزة (PDF)",
    "صورت‌حساب شما آماده است",
    "हिन्दी में क्षत्रिय और श्रीमान",
    "தமிழ் மொழி இனிமையானது",
    "ภาษาไทยไม่มีช่องว่างระหว่างคำ",
    "ພາສາລາວ",
    "မြန်မာဘာသာ",
    "ភាសាខ្មែរ",
    "བོད་སྐད་",
    "ქართული ენა",
    "Հայերեն լեզու",
    "አማርኛ ቋንቋ",
    "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ",
    "您的发票已经准备好了",
    "請查收附件中的發票",
    "いろはにほへと ちりぬるを カタカナ",
    "다람쥐 헌 쳇바퀴에 타고파",
    "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇦🇹 1️⃣ 🧑🏿‍🚀",
    "Z̶̧̛a̴̢l̵̡g̷̨o̸̢ é e\u0301 ﷽",
    "𝔐𝔞𝔱𝔥 𝒮𝒸𝓇𝒾𝓅𝓉 𐍈𐌰𐌹𐌺 𓀀𓁐",
    "left\u202eright\u202c \u200fmark\u200e \u2066isolate\u2069 soft\u00adhyphen zero\u200bwidth",
)


@functools.cache
def _script_of() -> dict[str, str]:
    return {letter: script for script, several in letters().items() for letter in several}


@functools.cache
def letters() -> dict[str, str]:
    """Return the letters and marks of each script, by the first word of their Unicode names."""
    found: dict[str, list[str]] = {}
    for number in range(0x41, _LAST_PLANE_WITH_LETTERS):
        character = chr(number)
        if unicodedata.category(character) in ("Lu", "Ll", "Lo", "Mn", "Mc"):
            script = unicodedata.name(character, "").partition(" ")[0]
            found.setdefault(script.partition("-")[0], []).append(character)
    return {
        script: "".join(several)
        for script, several in found.items()
        if script and sum(unicodedata.category(one)[0] == "L" for one in several) >= _FEWEST_LETTERS
    }


def scripts_in(text: str) -> set[str]:
    """Return the scripts of which a letter stands in ``text``."""
    known = _script_of()
    return {known[character] for character in text if character in known}


def word(chance: Random, script: str, length: int = 8) -> str:
    """Return a made-up word that begins with a letter of ``script``."""
    known = letters()[script]
    while unicodedata.category(first := chance.choice(known))[0] != "L":
        pass
    return first + "".join(chance.choices(known, k=chance.randrange(length)))


def words(chance: Random, script: str, count: int) -> str:
    """Return several made-up words."""
    return " ".join(word(chance, script) for _ in range(count))
