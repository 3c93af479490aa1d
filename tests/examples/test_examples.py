"""The examples put on the outbox what they mean to, in every language."""

from __future__ import annotations

import base64
import json
import re
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from local import environment
from shared.core import intake, message
from shared.core.message import Message
from tests.examples.conftest import EXAMPLES
from tests.examples.literals import message_in

if TYPE_CHECKING:
    from pathlib import Path

    from azure.storage.queue import QueueMessage

    from tests.examples.conftest import Outbox

FILE = (EXAMPLES / "order-4711.csv").read_bytes()
MEANT: dict[str, Any] = {
    "id": "order-4711-confirmation",
    "to": "Jörg Müller <joerg@example.com>",
    "subject": "Your order 4711",
    "text": "Thank you for your order. It is attached.",
    "attachments": [
        {
            "filename": "order-4711.csv",
            "content_type": "text/csv",
            "content": base64.b64encode(FILE).decode(),
        }
    ],
}
# Each example that is read and not run, with the expression that stands for the file in it.
READ = {
    "csharp/Program.cs": "Convert.ToBase64String(file)",
    "java/SendMail.java": "Base64.getEncoder().encodeToString(file)",
    "powershell/send.ps1": "[Convert]::ToBase64String([IO.File]::ReadAllBytes((Resolve-Path $File)))",
}


def sent(put: QueueMessage) -> Message:
    """Return the message that stands on the queue, as Sendoff reads it."""
    found = intake.read(put.content.encode(), fallback_id=put.id)
    assert isinstance(found, Message)
    return found


def meant() -> Message:
    found = intake.read(json.dumps(MEANT).encode(), fallback_id="none")
    assert isinstance(found, Message)
    assert found.fields.attachments[0].content == FILE
    return found


def never_expires(put: QueueMessage) -> bool:
    return put.expires_on is not None and put.expires_on.year == 9999


def test_the_python_example_puts_its_message_on_the_outbox(outbox: Outbox) -> None:
    put = outbox.after(sys.executable, EXAMPLES / "python" / "send.py")
    assert sent(put) == meant()
    assert never_expires(put)


def test_the_javascript_example_puts_its_message_on_the_outbox(outbox: Outbox, javascript: Path) -> None:
    put = outbox.after(environment.node(), javascript)
    assert sent(put) == meant()
    assert never_expires(put)


def test_the_azure_cli_example_puts_its_message_on_the_outbox(
    outbox: Outbox, azure_cli: dict[str, str]
) -> None:
    put = outbox.after(EXAMPLES / "cli" / "send.sh", environ=azure_cli)
    assert sent(put) == meant()
    assert never_expires(put)


@pytest.mark.parametrize("path", READ)
def test_the_other_examples_hold_the_same_message(path: str) -> None:
    program = (EXAMPLES / path).read_text("utf-8")
    content = MEANT["attachments"][0]["content"]
    assert message_in(program, worked_out={READ[path]: content}) == MEANT


@pytest.mark.parametrize("path", READ)
def test_the_other_examples_hold_a_message_that_is_valid_by_the_schema(path: str) -> None:
    program = (EXAMPLES / path).read_text("utf-8")
    found = message_in(program, worked_out={READ[path]: base64.b64encode(FILE).decode()})
    jsonschema.Draft202012Validator(message.json_schema()).validate(found)


def test_every_example_lets_its_message_wait_for_good() -> None:
    programs = ["python/send.py", "javascript/send.mjs", "cli/send.sh", *READ]
    assert [path for path in programs if not re.search(r"-1\b", (EXAMPLES / path).read_text("utf-8"))] == []


def test_the_python_example_is_installed_with_the_client_that_sendoff_uses() -> None:
    wanted = (EXAMPLES / "python" / "requirements.txt").read_text("utf-8").split()
    assert set(wanted) <= set((environment.ROOT / "requirements.txt").read_text("utf-8").splitlines())
