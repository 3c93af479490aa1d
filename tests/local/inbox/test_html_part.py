import pytest

from local.inbox.html_part import for_frame

BASE = '<base target="_blank">'
IMAGES = {"a@b": "/messages/1/parts/2", "a&b": "/messages/1/parts/3"}


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ('<img src="cid:a@b">', '<img src="/messages/1/parts/2">'),
        ("<img SRC = 'CID:a%40b'>", "<img SRC = '/messages/1/parts/2'>"),
        ("<img src=cid:a@b>", "<img src=/messages/1/parts/2>"),
        ('<img src="cid:a&amp;b">', '<img src="/messages/1/parts/3">'),
        ("<p style=\"background: url('cid:a@b')\">", "<p style=\"background: url('/messages/1/parts/2')\">"),
        ('<td background="cid:a@b">', '<td background="/messages/1/parts/2">'),
        ('<img src="cid:unknown">', '<img src="cid:unknown">'),
        ("<p>cid:a@b</p>", "<p>cid:a@b</p>"),
    ],
)
def test_references_to_inline_images_are_replaced(body: str, shown: str) -> None:
    assert for_frame(body, IMAGES) == BASE + shown


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("<!DOCTYPE html><p>x", f"<!DOCTYPE html>{BASE}<p>x"),
        ('<html><head lang="de"><title>', f'<html><head lang="de">{BASE}<title>'),
        ("<header>x", f"{BASE}<header>x"),
    ],
)
def test_links_open_outside_of_the_frame(body: str, shown: str) -> None:
    assert for_frame(body, {}) == shown
