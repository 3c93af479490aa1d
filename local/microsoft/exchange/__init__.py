"""
Exchange Online's client submission on this machine: STARTTLS, XOAUTH2, its limits and its words.

A client connects, greets, switches to TLS, greets again, shows an access token (AUTH XOAUTH2) and then
submits messages: MAIL, RCPT, DATA, the message, a dot. Syntax is judged at once; everything that needs the
mailbox (may it send as this address? is it too fast? is it full?) is judged after the dot, as the real front
end does when it hands the message to the mailbox's back end.

Reading order:

- `server`: the listening socket, and the door for everyone else (`Exchange`);
- `organization`: the mailboxes and every switch that is shared by all sessions;
- `wire`: one connection, its TLS and its batches of replies;  `framing`: input cut into lines and bodies;
- `session`: the commands;  `addresses`: their arguments;  `replies`: every answer;
- `sasl`: the AUTH command;  `authentication`: the judgement on a token;
- `submission`: the judgement after the dot;  `limits`: the numbers, and the windows they are counted in;
- `script`, `mischief`: misbehaviour on request;  `control`: how it is asked for;
- `mail_store`: what was accepted, and what was counted.

The protocol is spoken here line by line rather than through an SMTP library: the point of this server is what
libraries do not let one change (the order and words of replies, a batch of replies in one write, a cut in the
middle of a reply).
"""

from local.microsoft.exchange.control import ControlRefused
from local.microsoft.exchange.limits import Limits
from local.microsoft.exchange.mail_store import Counters, MailStore, ReceivedMessage
from local.microsoft.exchange.organization import AuthFailureForm, Mailbox
from local.microsoft.exchange.server import Exchange

__all__ = [
    "AuthFailureForm",
    "ControlRefused",
    "Counters",
    "Exchange",
    "Limits",
    "MailStore",
    "Mailbox",
    "ReceivedMessage",
]
