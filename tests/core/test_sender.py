from __future__ import annotations

import json

import pytest

from shared.core.address import Address
from shared.core.intake import read
from shared.core.message import Message
from shared.core.sender import Limits, Sender, SmtpServer, choose
from shared.errors import MessageError

SMTP = SmtpServer("smtp.office365.com")
NOREPLY = Sender(
    name="noreply",
    service="microsoft",
    mailbox="noreply@contoso.com",
    from_address=Address("noreply", "contoso.com", "Contoso"),
    smtp=SMTP,
    also_from=(Address("billing", "contoso.com", "Billing"),),
)
REPORTS = Sender(
    name="reports",
    service="microsoft",
    mailbox="reports@contoso.com",
    from_address=Address("reports", "contoso.com"),
    smtp=SMTP,
    sign_in_as="svc-mail@contoso.com",
    default=True,
)


def message(**fields: str) -> Message:
    found = read(json.dumps({"id": "order-1", "to": "ada@contoso.com", **fields}).encode(), fallback_id="")
    assert isinstance(found, Message)
    return found


@pytest.mark.parametrize(
    ("asked", "sent_as"),
    [
        ({}, Address("noreply", "contoso.com", "Contoso")),
        ({"from": "noreply@contoso.com"}, Address("noreply", "contoso.com")),
        ({"from": "Orders <NoReply@Contoso.com>"}, Address("NoReply", "contoso.com", "Orders")),
        ({"from": "billing@contoso.com"}, Address("billing", "contoso.com")),
    ],
)
def test_a_message_goes_out_with_the_from_it_asks_for_where_that_is_allowed(
    asked: dict[str, str], sent_as: Address
) -> None:
    assert NOREPLY.from_for(message(**asked)) == sent_as


@pytest.mark.parametrize("address", ["reports@contoso.com", "noreply@fabrikam.com", "noreply+x@contoso.com"])
def test_another_from_address_is_refused(address: str) -> None:
    with pytest.raises(MessageError) as refused:
        NOREPLY.from_for(message(**{"from": f"Someone <{address}>"}))
    assert refused.value.problems == (
        f"from: {address} is not an address of the sender noreply; allow it in also_from in mail.toml",
    )
    assert refused.value.message_id == "order-1"


def test_the_mailbox_consents_unless_somebody_signs_in_for_it() -> None:
    assert NOREPLY.consenting_account == "noreply@contoso.com"
    assert REPORTS.consenting_account == "svc-mail@contoso.com"


@pytest.mark.parametrize(
    ("senders", "asked", "chosen"),
    [
        ([NOREPLY, REPORTS], {"sender": "noreply"}, NOREPLY),
        ([NOREPLY, REPORTS], {"sender": "reports"}, REPORTS),
        ([NOREPLY, REPORTS], {}, REPORTS),
        ([NOREPLY], {}, NOREPLY),
    ],
)
def test_the_sender_is_the_named_the_default_or_the_only_one(
    senders: list[Sender], asked: dict[str, str], chosen: Sender
) -> None:
    assert choose({sender.name: sender for sender in senders}, message(**asked)) is chosen


OTHER = Sender("other", "microsoft", "o@contoso.com", Address("o", "contoso.com"), SMTP)


@pytest.mark.parametrize(
    ("senders", "asked", "said"),
    [
        (
            [REPORTS, NOREPLY],
            {"sender": "Noreply"},
            "sender: there is none called Noreply; mail.toml has noreply, reports",
        ),
        (
            [NOREPLY, OTHER],
            {},
            "sender: none is named and mail.toml has no default one; mail.toml has noreply, other",
        ),
    ],
)
def test_a_message_without_a_sender_to_send_it_is_refused(
    senders: list[Sender], asked: dict[str, str], said: str
) -> None:
    with pytest.raises(MessageError) as refused:
        choose({sender.name: sender for sender in senders}, message(**asked))
    assert refused.value.problems == (said,)
    assert refused.value.message_id == "order-1"


def test_the_limits_are_exchange_onlines() -> None:
    assert SMTP.port == 587
    assert Limits() == Limits(
        messages_per_minute=30,
        connections=3,
        recipients_per_message=500,
        recipients_per_day=10_000,
        max_message_bytes=35 * 1024 * 1024,
    )
