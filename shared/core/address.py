"""
Mail addresses: ``a@b`` and ``Name <a@b>``, with international names and domains.

An address is checked for what RFC 5321 §4.1.2, RFC 6531 §3.3 and RFC 5891 let it be, and for nothing more:
whether a domain is reserved, private or has mail at all is for the server to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import idna

# RFC 5321 §4.5.3.1: octets before and after the @, and of a whole path without its angle brackets.
LONGEST_LOCAL_PART = 64
LONGEST_DOMAIN = 255
LONGEST_ADDRESS = 254
# RFC 5322 §2.1.1: a header line's 998 octets, less a name and an address.
LONGEST_DISPLAY_NAME = 320

# Letters of any script (RFC 6531 §3.3) but none of their spaces, which no command of SMTP can carry.
_ATOM = r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]|[^\x00-\x9f\s])+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"')
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# What could start a new header or hide text: C0, DEL, C1, the line and paragraph separators, and lone
# surrogates.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_SEVERAL = "holds more than one address; write several as a list"


@dataclass(frozen=True, slots=True)
class Address:
    """
    A mailbox, and the name to show with it.

    ``domain`` is in A-label form (``xn--…``), so it can stand in an envelope and in a header without
    SMTPUTF8.
    """

    local_part: str
    domain: str
    display_name: str = ""

    @property
    def addr_spec(self) -> str:
        """``local@domain``, as MAIL and RCPT carry it."""
        return f"{self.local_part}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        """Whether only a server that offers SMTPUTF8 (RFC 6531) can take this address."""
        return not self.local_part.isascii()

    @property
    def key(self) -> str:
        """What two spellings of one mailbox have in common: Exchange compares without case."""
        return self.addr_spec.lower()  # casefold() would take straße@ and strasse@ for one

    def __str__(self) -> str:
        """Return ``Name <local@domain>``, or the bare address where there is no name."""
        if not self.display_name:
            return self.addr_spec
        name = self.display_name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{name}" <{self.addr_spec}>'


def parse_address(text: str) -> Address:
    """
    Read one address.

    Raises ``ValueError`` with what is wrong, worded so that it can follow ``field:``.
    """
    if CONTROL.search(text):
        raise ValueError("contains a line break or another control character")
    text = text.strip()
    if not text:
        raise ValueError("is empty; write an address such as ada@contoso.com")
    display_name, spec = _split_name(text)
    local_part, at, domain = spec.rpartition("@")
    if not at:
        raise ValueError("is not an address: there is no @ in it")
    _check_local_part(local_part, spec)
    address = Address(local_part, _ascii_domain(domain, spec), display_name)
    if len(address.addr_spec.encode()) > LONGEST_ADDRESS:
        raise ValueError(f"is too long: an address has at most {LONGEST_ADDRESS} octets")
    return address


def _split_name(text: str) -> tuple[str, str]:
    """Part ``Name <spec>`` into its two halves; a bare address has no name."""
    if not text.endswith(">"):
        return "", text
    name, bracket, spec = text[:-1].rpartition("<")
    if not bracket:
        raise ValueError("ends with > but has no <; write Name <ada@contoso.com>")
    name = name.strip()
    if _QUOTED.fullmatch(name):
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    elif "@" in name and any(mark in name for mark in "<>,;"):
        raise ValueError(_SEVERAL)
    if len(name) > LONGEST_DISPLAY_NAME:
        raise ValueError(f"has a display name of more than {LONGEST_DISPLAY_NAME} characters")
    return name, spec.strip()


def _check_local_part(local_part: str, spec: str) -> None:
    quoted = _QUOTED.fullmatch(local_part)
    outside_quotes = spec.removeprefix(local_part) if quoted else spec
    if "," in outside_quotes or ";" in outside_quotes:
        raise ValueError(_SEVERAL)
    if len(local_part.encode()) > LONGEST_LOCAL_PART:
        raise ValueError(f"has more than {LONGEST_LOCAL_PART} octets before the @")
    if not (quoted or _DOT_ATOM.fullmatch(local_part)):
        raise ValueError("is not an address: what stands before the @ is not allowed there")


def _ascii_domain(domain: str, spec: str) -> str:
    if domain.startswith("["):
        raise ValueError("has an IP address for a domain; write a domain name")
    if not domain.isascii() and len(domain) <= LONGEST_DOMAIN:
        try:
            domain = idna.encode(domain, uts46=True, transitional=False).decode()
        except idna.IDNAError as error:
            raise ValueError("is not an address: its domain is no valid international domain name") from error
    labels = domain.split(".")
    if len(domain) > LONGEST_DOMAIN or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(
            f"is not an address: {'nothing' if spec.endswith('@') else 'no domain name'} follows the @"
        )
    return domain.lower()


def without_addresses(text: str) -> str:
    """Return ``text`` with what stands before each @ left out: a log has no recipients in it."""
    return re.sub(r"[^\s<>;,@]+@", "…@", text)
