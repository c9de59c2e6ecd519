"""A real browser: Debian's Chromium, headless, driven by Playwright."""

import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

#: The network is closed but for loopback, so nothing is looked up or fetched beside the pages.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for the tests of a module; each test takes a context of its own."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is needed: make setup-test")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def browsing(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """A browser without cookies."""
    context = await chromium.new_context()
    context.set_default_timeout(30_000)
    yield context
    await context.close()


@pytest.fixture
async def tab(browsing: BrowserContext) -> Page:
    """An empty page of a browser without cookies."""
    return await browsing.new_page()
