# noqa: INP001 - docs is a folder of words, with this one script beside the picture that it makes
"""
Makes docs/images from the real pages: `.venv/bin/python -m docs.picture`.

It starts a stack of its own, signs in for a sender in headless Chromium, puts docs/examples/message.json on
the outbox, and lays three screenshots side by side for demo.png: the account chooser, the page that says who
is connected, and the mail in the inbox. The second of them is connected.png as well.
"""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from local import outbox
from local.ports import Ports
from local.stack import Stack
from local.terminal import Terminal
from shared.core.delivery import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

HERE = Path(__file__).resolve().parent
PICTURE = HERE / "images" / "demo.png"
CONNECTED = HERE / "images" / "connected.png"
MESSAGE = HERE / "examples" / "message.json"
SENDER = "noreply"
# Caption, and width of the screenshot under it in CSS pixels.
FIGURES = (
    ("1  An administrator signs in", 420),
    ("2  The grant is in the vault", 420),
    ("3  A message on the queue became mail", 640),
)

_HEIGHT = 760  # CSS pixels of each screenshot
_SCALE = 1.25  # sharp on most screens at the width that a README has
_LARGEST_BYTES = 400_000  # a page should not be slow to open
_SECONDS = 60  # until the message has settled; it takes about one

_SHEET = """
<!doctype html><meta charset="utf-8"><style>
body { margin: 0; padding: 24px; background: #e9ebef; width: max-content; display: flex; gap: 24px;
  font: 600 20px/1.3 "Segoe UI", system-ui, "Helvetica Neue", Arial, sans-serif; color: #343a44; }
figure { margin: 0; }
figcaption { margin: 0 0 12px 4px; white-space: pre; }
img { display: block; border-radius: 12px; box-shadow: 0 2px 14px rgb(20 25 45 / 18%); }
</style>
"""


def main() -> int:
    """Make the pictures and say how large they are."""
    terminal = Terminal()
    chromium = shutil.which("chromium")
    if chromium is None:
        terminal.bad("there is no chromium on this machine; on Debian and Ubuntu: apt-get install chromium")
        return 1
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        terminal.step("starting the stack")
        stack = Stack.start(Ports.free(), Path(folder), keep_storage=False)
        try:
            # The pages are our own, on loopback, and a container's root cannot use Chromium's sandbox.
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            shots = _shoot(browser, stack, terminal.step)
            _compose(browser, shots)
            CONNECTED.write_bytes(shots[1])
            browser.close()
        finally:
            stack.stop()
    too_large = False
    for picture in (PICTURE, CONNECTED):
        size = picture.stat().st_size
        too_large |= size > _LARGEST_BYTES
        tell = terminal.bad if size > _LARGEST_BYTES else terminal.good
        tell(f"{picture.relative_to(HERE.parent)}, {size:,} bytes of at most {_LARGEST_BYTES:,}")
    return int(too_large)


def _shoot(browser: Browser, stack: Stack, said: Callable[[str], object]) -> list[bytes]:
    """Go the whole way in a browser; returns one PNG for each figure."""
    facts = stack.facts
    context = browser.new_context(
        viewport={"width": FIGURES[0][1], "height": _HEIGHT},
        device_scale_factor=_SCALE,
        color_scheme="light",
        ignore_https_errors=True,  # Chromium does not read the stack's CA file
    )
    page = context.new_page()
    said("signing in")
    page.goto(f"{facts['functions']}/api/oauth/start/{SENDER}?code={facts['key']}")
    shots = [_screenshot(page, 0)]
    page.click(f"#account-{SENDER}")
    page.click("#accept")
    page.wait_for_url("**/api/oauth/redirect*")
    shots.append(_screenshot(page, 1))
    said("sending the message")
    _send(facts["storage"])
    page.goto(facts["inbox"])
    page.click("a.row")
    page.wait_for_load_state("networkidle")
    shots.append(_screenshot(page, 2))
    context.close()
    return shots


def _screenshot(page: Page, figure: int) -> bytes:
    page.set_viewport_size({"width": FIGURES[figure][1], "height": _HEIGHT})
    return page.screenshot(animations="disabled", caret="hide")


def _send(storage: str) -> None:
    message = outbox.read_message(MESSAGE)
    queue_id = outbox.drop(storage, message)
    last = list(outbox.follow(storage, message["id"], queue_id=queue_id, seconds=_SECONDS))[-1]
    if last.state is not State.ACCEPTED:
        raise RuntimeError(f"the message is {last.state.value}: {last.reply or last.reason}")


def _compose(browser: Browser, shots: list[bytes]) -> None:
    """Write the screenshots side by side, with their captions, as one PNG."""
    figures = "".join(
        f'<figure><figcaption>{caption}</figcaption><img width="{width}" alt="" '
        f'src="data:image/png;base64,{base64.b64encode(shot).decode()}"></figure>'
        for (caption, width), shot in zip(FIGURES, shots, strict=True)
    )
    page = browser.new_page(device_scale_factor=_SCALE)
    page.set_content(_SHEET + figures)
    # The page is as wide as its figures, whatever the window is.
    width = int(page.evaluate("document.body.offsetWidth"))
    page.set_viewport_size({"width": width, "height": _HEIGHT})
    PICTURE.parent.mkdir(exist_ok=True)
    page.screenshot(path=PICTURE, full_page=True)
    page.close()


if __name__ == "__main__":
    sys.exit(main())
