"""Debian's Chromium, driven by Playwright; every page it opens is watched.

What a watched page must not do: write an error to the console, break the policy of its content,
ask another host for anything, let a text that somebody sent run as a script.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

CHROMIUM: Final = "/usr/bin/chromium"
#: Widths of windows, in CSS pixels.
WIDE: Final = 1_280
NARROW: Final = 360
#: A function that hostile texts call; nothing else does.
TRAP: Final = "pwned"
_AXE: Final = Path(__file__).parent.parent / "node" / "node_modules" / "axe-core" / "axe.min.js"
_RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_TIMEOUT_MS: Final = 60_000
#: Listens before anything of the page runs; what it hears is read from outside.
_LISTENER: Final = f"""
globalThis.heard = [];
addEventListener("securitypolicyviolation", (event) =>
  heard.push(`policy: ${{event.violatedDirective}} ${{event.blockedURI}} ${{event.sample}}`));
globalThis.{TRAP} = (...what) => heard.push(`ran: ${{what}}`);
for (const name of ["alert", "confirm", "prompt"]) globalThis[name] = globalThis.{TRAP};
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of one file; an event loop of its own ends with it."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield launched
        finally:
            launched.close()


@dataclass
class Watch:
    """What went wrong on the pages of one window."""

    home: str
    problems: list[str] = field(default_factory=list)
    _refused: set[str] = field(default_factory=set)

    def on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and address.netloc != self.home:
            self.problems.append(f"asks another host: {request.url}")

    def on_response(self, answer: Response) -> None:
        # A form that is refused answers with a page and a status, which the console mentions.
        if answer.request.is_navigation_request() and 400 <= answer.status < 500:
            self._refused.add(answer.url)

    def on_console(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        if message.location["url"] in self._refused and "Failed to load" in message.text:
            return
        self.problems.append(f"console: {message.text} ({message.location['url']})")

    def on_error(self, error: object) -> None:
        self.problems.append(f"script: {error}")


@contextmanager
def watched_page(
    browser: Browser,
    base_url: str,
    *,
    cookies: dict[str, str] | None = None,
    has_scripts: bool = True,
) -> Iterator[Page]:
    """Open a window of its own; when it closes, nothing that was watched for may have happened.

    Args:
        browser: of the fixture.
        base_url: of the server; every other host is another.
        cookies: of somebody who is signed in.
        has_scripts: whether scripts run.
    """
    context = browser.new_context(
        base_url=base_url,
        java_script_enabled=has_scripts,
        viewport={"width": WIDE, "height": 900},
        reduced_motion="reduce",
        timezone_id="Europe/Berlin",
        locale="en-GB",
    )
    context.set_default_timeout(_TIMEOUT_MS)
    context.add_init_script(_LISTENER)
    for name, value in (cookies or {}).items():
        context.add_cookies([{"name": name, "value": value, "url": base_url}])
    watch = Watch(urlsplit(base_url).netloc)
    context.on("request", watch.on_request)
    context.on("response", watch.on_response)
    context.on("console", watch.on_console)
    context.on("weberror", lambda problem: watch.on_error(problem.error))
    page = context.new_page()
    try:
        yield page
        assert not watch.problems, watch.problems
        assert not has_scripts or heard_on(page) == []
    finally:
        context.close()


def heard_on(page: Page) -> list[str]:
    """Return which texts ran as scripts on this page, and how its policy was broken."""
    found: list[str] = page.evaluate("globalThis.heard ?? []")
    return found


@cache
def _axe_source() -> str:
    return _AXE.read_text()


def axe_findings(page: Page, *rules: str) -> list[str]:
    """Return what axe-core says against this page, one line for each element.

    Args:
        page: that is open.
        rules: only these; without any, all of WCAG 2.2 AA and of good practice.
    """
    page.evaluate(_axe_source())
    kind, values = ("rule", rules) if rules else ("tag", _RULES)
    wanted = {"runOnly": {"type": kind, "values": values}, "resultTypes": ["violations"]}
    found = page.evaluate(f"axe.run(document, {json.dumps(wanted)})")
    return [
        f"{rule['id']} ({rule['impact']}): {' '.join(map(str, node['target']))}: "
        f"{node['html'][:160]}: {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def look_of(page: Page, *, width: int = WIDE, is_dark: bool = False) -> None:
    """Show the page in a window of this width, under a system of this theme."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if is_dark else "light")


def overflow_of(page: Page) -> int:
    """Return by how many pixels the page is wider than its window."""
    found: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return found
