"""Consent in headless Chromium, through the real pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.end_to_end.desk import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

    from tests.end_to_end.desk import Desk

NOREPLY = "noreply@contoso.com"
# It stays on this machine, and starts as fast as it can.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium(browser_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def scriptless(chromium: Browser, page: Page) -> Iterator[Page]:
    """The same with scripts switched off."""
    del page  # it puts the people back as they were
    with chromium.new_context(ignore_https_errors=True, java_script_enabled=False) as context:
        page = context.new_page()
        page.set_default_timeout(20_000)
        yield page


@pytest.fixture
def page(chromium: Browser, desk: Desk, connected: Callable[[str], None]) -> Iterator[Page]:
    """An empty browser; nobody has consented before, and the default sender is connected again afterwards."""
    for account in (NOREPLY, "admin@contoso.com", "svc-mail@contoso.com"):
        desk.control.identity({"withdraw_consent": account})
    with chromium.new_context(ignore_https_errors=True) as context:
        page = context.new_page()
        page.set_default_timeout(20_000)
        yield page
    connected("noreply")


def start(page: Page, desk: Desk, sender: str = "noreply") -> None:
    page.goto(f"{desk.facts['functions']}/api/oauth/start/{sender}?code={desk.facts['key']}")
    expect(page.locator("h1")).to_have_text("Pick an account")


def test_whoever_accepts_sees_who_is_connected(page: Page, desk: Desk) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    start(page, desk)
    expect(page.locator("#account-noreply")).to_contain_text("asked for")
    page.click("#account-noreply")
    expect(page.locator("#permissions")).to_contain_text("SMTP AUTH")
    page.click("#accept")
    expect(page.locator("h1")).to_have_text("Connected")
    expect(page.locator(".who strong")).to_have_text("Contoso Notifications")
    expect(page.locator(".who .quiet")).to_have_text(NOREPLY)
    assert page.locator("img.face").evaluate("image => image.naturalWidth") == 96
    assert page.locator(".card").evaluate("card => getComputedStyle(card).borderTopWidth") == "4px"
    assert complaints == []


def test_an_account_without_a_picture_gets_its_initials(page: Page, desk: Desk) -> None:
    start(page, desk, "reports")
    page.click("#account-svc-mail")
    page.click("#accept")
    expect(page.locator("h1")).to_have_text("Connected")
    expect(page.locator("span.face")).to_have_text("MS")
    expect(page.locator("main")).to_contain_text("Mail of the sender reports is now sent with this account.")


def test_a_reload_and_the_back_button_are_harmless(page: Page, desk: Desk) -> None:
    start(page, desk)
    page.click("#account-noreply")
    page.click("#accept")
    expect(page.locator("h1")).to_have_text("Connected")
    after = desk.secrets()
    page.reload()
    expect(page.locator("h1")).to_have_text("Already connected")
    expect(page.locator(".who .quiet")).to_have_text(NOREPLY)
    page.goto(f"{desk.facts['functions']}/api/health")
    page.go_back()
    expect(page.locator("h1")).to_have_text("Already connected")
    assert desk.secrets() == after


def test_another_account_is_turned_away_and_told_which_to_choose(page: Page, desk: Desk) -> None:
    before = desk.secrets()
    start(page, desk)
    page.click("#account-admin")
    page.click("#accept")
    expect(page.locator("h1")).to_have_text("That was another account")
    expect(page.locator("main")).to_contain_text("You signed in as admin@contoso.com")
    expect(page.locator(".next")).to_contain_text(f"choose {NOREPLY}")
    assert desk.secrets() == before


def test_a_no_is_taken_for_a_no_and_the_link_works_again(page: Page, desk: Desk) -> None:
    before = desk.secrets()
    start(page, desk)
    page.click("#account-noreply")
    page.click("#cancel")
    expect(page.locator("h1")).to_have_text("Not connected")
    expect(page.locator("main")).to_contain_text("AADSTS65004")
    assert desk.secrets() == before
    start(page, desk)
    page.click("#account-noreply")
    page.click("#accept")
    expect(page.locator("h1")).to_have_text("Connected")


def test_two_tabs_of_one_browser_do_not_disturb_each_other(page: Page, desk: Desk) -> None:
    start(page, desk)
    other = page.context.new_page()
    start(other, desk)
    for tab in (page, other):
        tab.click("#account-noreply")
        if tab.locator("#accept").is_visible():
            tab.click("#accept")
        expect(tab.locator("h1")).to_have_text("Connected")


def test_a_stranger_who_types_the_address_is_told_what_to_do(page: Page, desk: Desk) -> None:
    page.goto(f"{desk.facts['functions']}/api/oauth/redirect?state=x&code=y")
    expect(page.locator("h1")).to_have_text("No sign-in is under way here")
    expect(page.locator("main")).to_contain_text("Nothing was changed")


def test_the_buttons_need_no_script(scriptless: Page, desk: Desk) -> None:
    page, to = scriptless, f"{new_id('trial')}@example.net"
    start(page, desk)
    page.click("#account-noreply")
    page.click("#accept")
    expect(page.get_by_label("Send a test mail to")).to_have_value(NOREPLY)
    page.get_by_label("Send a test mail to").fill(to)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("h1")).to_have_text("The test mail is on its way")
    expect(page.locator("main")).to_contain_text(f"It goes to {to}")
    assert len(desk.until_mailed("Test mail of the sender noreply", to)) == 1
    page.reload()
    expect(page.locator("h1")).to_have_text("The test mail is on its way")
    page.get_by_role("button", name="Disconnect this account").click()
    expect(page.locator("h1")).to_have_text("Disconnected")
    assert "grant-noreply" not in desk.secrets()
    assert len(desk.until_mailed("Test mail of the sender noreply", to)) == 1


def test_a_keyboard_is_enough(page: Page, desk: Desk) -> None:
    start(page, desk)
    page.locator("#account-noreply").press("Enter")
    page.locator("#accept").press("Enter")
    expect(page.locator("h1")).to_have_text("Connected")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Send a test mail to")).to_be_focused()
    to = f"{new_id('trial')}@example.net"
    page.keyboard.press("Control+A")
    page.keyboard.type(to)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("The test mail is on its way")
    desk.until_mailed("Test mail of the sender noreply", to)
    for name in ("Send a test mail to", "Send", "Disconnect this account"):
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_accessible_name(name)
        assert page.locator(":focus").evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Disconnected")


def test_what_is_no_address_is_said_and_can_be_mended(page: Page, desk: Desk) -> None:
    start(page, desk)
    page.click("#account-noreply")
    page.click("#accept")
    field = page.get_by_label("Send a test mail to")
    field.evaluate("field => { field.type = 'text' }")
    field.fill("<b>nobody</b>")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("h1")).to_have_text("That is no address")
    assert page.locator("main b").count() == 0
    page.get_by_role("button", name="Send").click()
    expect(page.locator("h1")).to_have_text("The test mail is on its way")


@pytest.mark.parametrize("width", [320, 1280])
def test_no_page_is_wider_than_the_screen(page: Page, desk: Desk, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 600})
    start(page, desk)
    page.click("#account-noreply")
    page.click("#accept")
    expect(page.locator("h1")).to_have_text("Connected")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
