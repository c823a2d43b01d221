"""A real browser for the page: Chromium through playwright, where both are there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Error, Page

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: What a test may leave behind: a theme, a dialog, a message.
_LEFT = "localStorage.length || document.querySelector('dialog, .toast') !== null"


@pytest.fixture(scope="module")  # its event loop must not run on into tests that have loops of their own
def browser() -> Iterator[Browser]:
    """Chromium. The environment variable CHROMIUM names its file if it is not on the path."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is missing: pip install -e '.[browser]'"
    )
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("there is no Chromium here: apt-get install chromium, or name its file in CHROMIUM")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=list(_OPTIONS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def shared_page(browser: Browser) -> Iterator[Page]:
    """One page for a whole module: opening another one takes longer than most tests."""
    context = browser.new_context()
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def page(shared_page: Page) -> Iterator[Page]:
    """The module's page as if it were new; the test fails if anything on it raises or is refused by its policy."""
    problems: list[str] = []

    def on_error(error: Error) -> None:
        problems.append(str(error))

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            problems.append(message.text)

    shared_page.set_viewport_size({"width": 1360, "height": 860})
    shared_page.emulate_media(color_scheme="light")
    shared_page.on("pageerror", on_error)
    shared_page.on("console", on_console)
    yield shared_page
    shared_page.remove_listener("pageerror", on_error)
    shared_page.remove_listener("console", on_console)
    if shared_page.url != "about:blank" and shared_page.evaluate(_LEFT):
        shared_page.evaluate("localStorage.clear()")
        shared_page.goto("about:blank")
    # A host that is stopped or started anew under the page is part of some tests.
    assert not [each for each in problems if "ERR_" not in each and "403" not in each], problems
