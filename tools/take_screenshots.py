"""Take a picture of every page, light, dark and narrow, of a server that is filled for it.

make screenshots            every page into .work/screenshots, which git ignores
make screenshots DOCS=1     and the small ones of the documents into docs/images
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from peers.browser import CHROMIUM, NARROW, WIDE, look_of  # noqa: E402 - found by the line above
from started import StartedServer  # noqa: E402
from web.site_world import PROVIDER, SiteWorld, filled_site  # noqa: E402

FOLDER = ROOT / ".work" / "screenshots"
IMAGES = ROOT / "docs" / "images"
#: Of the documents: name, path of the route, what is added to the address, theme, width.
SHOWN = (
    ("projects", "/projects", "", False, WIDE),
    ("traces", "/projects/{project}", "", False, WIDE),
    ("trace", "/projects/{project}/traces/{trace_id}", "", False, WIDE),
    ("trace-dark", "/projects/{project}/traces/{trace_id}", "", True, WIDE),
    ("new-key", "/settings/api-keys", "?new=1", False, WIDE),
    ("audit-narrow", "/settings/audit", "", True, NARROW),
)
LOOKS = (("light", WIDE, False), ("dark", WIDE, True), ("narrow", NARROW, False))
STRANGERS = ("/login", "/logout", "/forgot-password", "/reset-password-with-token")
FURTHER = ("/settings/api-keys?new=1", "/settings/users?new=1", "/settings/roles?new=1")


def name_of(address: str) -> str:
    """Return the file name of a page."""
    kept = "".join(c if c.isalnum() else "-" for c in address)
    return kept.strip("-")[:80] or "start"


def take(page: Page, name: str, address: str) -> None:
    """Take one page in every look."""
    page.goto(address)
    for look, width, is_dark in LOOKS:
        look_of(page, width=width, is_dark=is_dark)
        page.screenshot(path=FOLDER / f"{name}.{look}.png", full_page=True)


def take_all(browser: Browser, world: SiteWorld) -> None:
    """Take every page of the route table, and the tables and forms that open on demand."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    site: dict[str, Any] = {"base_url": world.server.base_url, "reduced_motion": "reduce"}
    page = browser.new_context(**site).new_page()
    for path in STRANGERS:
        take(page, name_of(path), world.addresses[path])
    page = signed_in(browser, world, site)
    project = world.addresses["/projects/{project}"]
    for path, address in sorted(world.addresses.items()):
        if path not in STRANGERS:
            take(page, name_of(path), address)
    for address in (*FURTHER, f"{project}?tab=spans", f"{project}?tab=sessions"):
        take(page, name_of(address.replace(project, "project")), address)
    page.goto(world.addresses["/projects/{project}/traces/{trace_id}"])
    page.locator('[data-testid="span-row"] a', has_text="answer").click()
    for look, width, is_dark in LOOKS:
        look_of(page, width=width, is_dark=is_dark)
        page.screenshot(path=FOLDER / f"span-answer.{look}.png", full_page=True)


def take_shown(browser: Browser, world: SiteWorld) -> None:
    """Take the small pictures of the documents."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    site: dict[str, Any] = {"base_url": world.server.base_url, "reduced_motion": "reduce"}
    page = signed_in(browser, world, site)
    for name, path, more, is_dark, width in SHOWN:
        look_of(page, width=width, is_dark=is_dark)
        page.goto(world.addresses[path] + more)
        if path.endswith("{trace_id}"):
            page.locator('[data-testid="span-row"] a', has_text="answer").click()
        page.screenshot(path=IMAGES / f"{name}.jpg", type="jpeg", quality=72)


def signed_in(browser: Browser, world: SiteWorld, site: dict[str, Any]) -> Page:
    """Return a page of a browser that the first admin is signed in with."""
    context = browser.new_context(**site)
    for name, value in world.cookies.items():
        context.add_cookies([{"name": name, "value": value, "url": world.server.base_url}])
    return context.new_page()


def main() -> None:
    """Fill a server and take the pictures."""
    with (
        TemporaryDirectory() as folder,
        StartedServer(Path(folder), PROVIDER) as server,
        sync_playwright() as playwright,
    ):
        world = filled_site(server)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        take_all(browser, world)
        if "--documents" in sys.argv[1:]:
            take_shown(browser, world)
        browser.close()


if __name__ == "__main__":
    main()
