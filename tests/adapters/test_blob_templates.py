"""Templates in their container, against Azurite."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob import ContainerClient

from shared.adapters.blob_container import BlobContainer, Text
from shared.adapters.blob_templates import BlobTemplates
from shared.adapters.storage_account import Account
from shared.core.rendering import Template
from shared.errors import MessageError
from tests.twins import Clock

if TYPE_CHECKING:
    from local.azurite import Azurite

MINUTE = timedelta(minutes=1)


class Counted(BlobContainer):
    """The container, with every look at a file noted: its path, and whether it came anew."""

    def __init__(self, name: str, *, connection_string: str) -> None:
        super().__init__(name, Account(connection_string))
        self.asked: list[tuple[str, str]] = []

    def text_if_changed(self, path: str, etag: str) -> Text | None:
        try:
            found = super().text_if_changed(path, etag)
        except LookupError:
            self.asked.append((path, "missing"))
            raise
        self.asked.append((path, "fetched" if found else "unchanged"))
        return found

    def took(self) -> list[tuple[str, str]]:
        taken, self.asked = self.asked, []
        return taken


class Shelf:
    """Templates with a clock that stands still, and an administrator's way to change them."""

    def __init__(self, connection_string: str, name: str) -> None:
        self.client = ContainerClient.from_connection_string(connection_string, name)
        self.client.create_container()
        self.container = Counted(name, connection_string=connection_string)
        self.clock = Clock()
        self.templates = BlobTemplates(self.container, clock=self.clock)

    def upload(self, **files: str) -> None:
        for path, text in files.items():
            self.client.upload_blob(path, text.encode(), overwrite=True)

    def order(self, language: str | None = None) -> Template | None:
        return self.templates.find("order", language)


@pytest.fixture
def shelf(azurite: Azurite, unique_name: str) -> Shelf:
    return Shelf(azurite.connection_string, unique_name)


def test_without_a_container_there_is_no_template(azurite: Azurite, unique_name: str) -> None:
    container = BlobContainer(unique_name, Account(azurite.connection_string))
    assert BlobTemplates(container, clock=Clock()).find("order", "de-AT") is None


def test_a_template_is_what_of_its_files_is_there(shelf: Shelf) -> None:
    shelf.upload(
        **{
            "order/default/subject.txt": "Order",
            "order/default/body.html": "<p>",
            "order/default/body.txt": "text",
            "order/de/body.txt": "nur Text",
            "order/fr/subject.txt": "sans corps",
        }
    )
    assert shelf.order() == Template("order", "default", "Order", "<p>", "text")
    assert shelf.order("de") == Template("order", "de", None, None, "nur Text")
    # A folder without a body is no template.
    assert shelf.order("fr") == Template("order", "default", "Order", "<p>", "text")
    assert shelf.templates.find("other", None) is None


@pytest.mark.parametrize(
    ("language", "there", "found"),
    [
        ("de-AT", ["de-AT", "de", "default"], "de-AT"),
        ("de-AT", ["de", "default"], "de"),
        ("de-AT", ["default", "en"], "default"),
        ("de-AT", ["de-CH"], None),
        ("zh-Hant-TW", ["zh-Hant", "zh"], "zh-Hant"),
        ("zh-Hant-TW", ["zh"], "zh"),
        ("de", ["de-AT", "default"], "default"),
        (None, ["de", "default"], "default"),
        (None, ["de"], None),
        ("default", ["default"], "default"),
    ],
)
def test_a_language_falls_back_to_its_base_and_then_to_the_default(
    shelf: Shelf, language: str | None, there: list[str], found: str | None
) -> None:
    shelf.upload(**{f"order/{folder}/body.txt": folder for folder in there})
    template = shelf.order(language)
    assert (template.text if template else None) == found
    assert (template.language if template else None) == found


def files(
    folder: str, state: str, *, subject: str = "missing", html: str = "missing"
) -> list[tuple[str, str]]:
    return [
        (f"order/{folder}/subject.txt", subject),
        (f"order/{folder}/body.html", html),
        (f"order/{folder}/body.txt", state),
    ]


def test_within_a_minute_nothing_is_asked_again(shelf: Shelf) -> None:
    shelf.upload(**{"order/default/body.txt": "one"})
    assert shelf.order("de")
    assert shelf.container.took() == [*files("de", "missing"), *files("default", "fetched")]
    shelf.upload(**{"order/default/body.txt": "two", "order/de/body.txt": "zwei"})
    shelf.clock.advance(MINUTE - timedelta(seconds=1))
    for _ in range(3):
        template = shelf.order("de")
        assert template is not None
        assert template.text == "one"
    assert shelf.container.took() == []


def test_after_a_minute_only_what_changed_comes_again(shelf: Shelf) -> None:
    shelf.upload(**{"order/default/body.txt": "one", "order/default/body.html": "<p>"})
    shelf.order()
    shelf.container.took()
    shelf.clock.advance(MINUTE)
    template = shelf.order()
    assert template == Template("order", "default", None, "<p>", "one")
    assert shelf.container.took() == files("default", "unchanged", html="unchanged")
    shelf.upload(**{"order/default/body.txt": "two"})
    shelf.clock.advance(MINUTE)
    template = shelf.order()
    assert template == Template("order", "default", None, "<p>", "two")
    assert shelf.container.took() == files("default", "fetched", html="unchanged")


def test_what_comes_and_goes_is_noticed_after_a_minute(shelf: Shelf) -> None:
    shelf.upload(**{"order/default/body.txt": "one"})
    shelf.order("de")
    shelf.upload(**{"order/de/body.txt": "eins"})
    shelf.clock.advance(MINUTE)
    template = shelf.order("de")
    assert template is not None
    assert template.text == "eins"
    shelf.client.delete_blob("order/de/body.txt")
    shelf.clock.advance(MINUTE)
    template = shelf.order("de")
    assert template is not None
    assert template.text == "one"


def test_a_file_that_is_no_text_is_a_refusal_that_names_it(shelf: Shelf, unique_name: str) -> None:
    shelf.client.upload_blob("order/default/body.html", "<p>Grüße".encode("utf-16"))
    with pytest.raises(MessageError) as refused:
        shelf.order()
    assert refused.value.problems == (
        "template: order/default/body.html in the container mail-templates is not UTF-8 text",
    )
    assert unique_name not in str(refused.value)


def test_what_is_kept_has_bounds(shelf: Shelf) -> None:
    shelf.upload(**{"order/default/body.txt": "one"})
    shelf.order()
    for number in range(167):  # of three files each, 501 in all
        assert shelf.templates.find(f"other-{number}", None) is None
    shelf.container.took()
    shelf.order()
    assert ("order/default/body.txt", "fetched") in shelf.container.took()
