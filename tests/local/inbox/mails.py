"""Mails to show: real ones, hostile ones and broken ones."""

from email.message import EmailMessage
from email.policy import SMTP

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000"
    "050001a5f645400000000049454e44ae426082"
)

SCRIPT = "<script>alert(1)</script>"


def rich() -> bytes:
    """Text, HTML with an inline image, and an attachment with umlauts in its name."""
    message = EmailMessage(policy=SMTP)
    message["From"] = "Contoso Grüße <noreply@contoso.com>"
    message["To"] = "Jürgen Müller <jm@example.com>, b@example.com"
    message["Cc"] = '"Doe, Jane" <jane@example.com>'
    message["Reply-To"] = "help@contoso.com"
    message["Subject"] = "Ihre Rechnung für März \N{PARTY POPPER}"
    message["Message-ID"] = "<rich@contoso.com>"
    message.set_content("Guten Tag,\n\nanbei die Rechnung.\n")
    message.add_alternative(
        '<!doctype html><html><head><title>t</title></head><body><p>Guten Tag</p><img src="cid:logo@contoso">'
        "</body></html>",
        subtype="html",
    )
    html_part = message.get_payload(1)
    assert isinstance(html_part, EmailMessage)
    html_part.add_related(PIXEL, "image", "png", cid="<logo@contoso>", filename="logo.png")
    message.add_attachment(b"%PDF-1.7 the invoice", "application", "pdf", filename="Rechnung März.pdf")
    return message.as_bytes()


def hostile() -> bytes:
    """Markup wherever a mail can carry it."""
    message = EmailMessage(policy=SMTP)
    message["From"] = f'"{SCRIPT}" <noreply@contoso.com>'
    message["To"] = f'"{SCRIPT}" <a@b.example>'
    message["Subject"] = SCRIPT
    message["X-Note"] = SCRIPT
    message.set_content(SCRIPT)
    message.add_alternative(
        f"<b onclick='alert(1)'>x</b>{SCRIPT}<img src='cid:x\"onerror=alert(1)'>", subtype="html"
    )
    message.add_attachment(b"<svg/>", "image", "svg+xml", filename=f'"{SCRIPT}\\.svg')
    message.add_attachment(SCRIPT.encode(), "text", "html", filename=f"../{SCRIPT}.html")
    return message.as_bytes()


BROKEN = {
    "nothing": b"",
    "no header": b"\r\nonly a body",
    "not a mail": bytes(range(256)) * 4,
    "no boundary": b"From: a@b\r\nContent-Type: multipart/mixed\r\n\r\nlost text",
    "no end": b"From: a@b\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nlost text",
    "unknown charset": b"From: a@b\r\nContent-Type: text/plain; charset=x-martian\r\n\r\nlost t\xebxt",
    "a codec that is none": b"From: a@b\r\nContent-Type: text/plain; charset=rot13\r\n\r\nlost text",
    "bad base64": b"From: a@b\r\nContent-Transfer-Encoding: base64\r\n\r\nlost!text!",
    "bad encoded word": b"From: =?utf-8?b?!!!?= <a@b>\r\nSubject: =?x?q?=ZZ?=\r\n\r\nlost text",
    "bad addresses": b'From: "unclosed <a@b\r\nTo: <<<>>>,;:@, (\r\n\r\nlost text',
    "bad content type": b'From: a@b\r\nContent-Type: ;;;=/\r\nContent-Disposition: ;"\r\n\r\nlost text',
    "bad parameters": b"From: a@b\r\nContent-Type: text/plain; charset*0*=x''%ZZ; x*1=\r\n\r\nlost text",
    "bad message id": b"From: a@b\r\nMessage-ID: <[\r\nDate: yesterday-ish\r\n\r\nlost text",
    "raw octets in headers": b"From: G\xfc <a@b>\r\nSubject: \xff\xfe\x00\x1b[31m\r\n\r\nlost text",
    "deep nesting": b"From: a@b\r\n"
    + b"".join(b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(100))
    + b"\r\nlost text",
    "many parts": b"From: a@b\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
    + b"--x\r\n\r\nlost text\r\n" * 2000,
    "a message in a message": b"From: a@b\r\nContent-Type: message/rfc822\r\n\r\nFrom: c@d\r\n\r\nlost text",
    "no line ends": b"From: a@b",
}
