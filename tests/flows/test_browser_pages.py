"""Every page in a real browser: nothing in the console, no other host, open to everybody.

Spec: lines 136-141, 226-239. Source: WCAG 2.2 AA, as far as axe-core can see.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from peers.browser import NARROW, axe_findings, look_of, overflow_of, watched_page
from started import StartedServer
from web.site_world import PROVIDER, SiteWorld, filled_site, page_routes

STRANGERS = ("/login", "/logout", "/forgot-password", "/reset-password-with-token")
#: What pages show only when asked: forms that open, tables, a filter with a mistake.
FURTHER = (
    "/settings/api-keys?new=1",
    "/settings/users?new=1",
    "/settings/roles?new=1",
    "/settings/audit?event=x&from=x",
    "/settings/audit?verify=1",
    "/projects?name_contains=absent",
    "/projects/absent",
    "/no/such/page",
    "/account?done=changed",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteWorld]:
    with StartedServer(tmp_path_factory.mktemp("pages"), PROVIDER) as started:
        yield filled_site(started)


def test_every_page_of_the_route_table_is_walked(world: SiteWorld) -> None:
    assert set(world.addresses) == page_routes()


def all_addresses(world: SiteWorld) -> list[str]:
    project = world.addresses["/projects/{project}"]
    trace = world.addresses["/projects/{project}/traces/{trace_id}"]
    tables = [f"{project}?tab={tab}" for tab in ("spans", "sessions")]
    return [
        *(a for p, a in sorted(world.addresses.items()) if p not in STRANGERS),
        *tables,
        f"{project}?slower_than=x&range=x",
        f"{project}?filter=foo+%3D%3D+1",
        f"{trace}?span={_span_named('answer', world, trace)}",
        f"{trace}?span={_span_named('search', world, trace)}",
        *FURTHER,
    ]


def _span_named(name: str, world: SiteWorld, trace: str) -> str:
    rows = world.server.admin().get(trace).text.split('data-testid="span-row"')
    (row,) = (row for row in rows if f'title">{name}<' in row)
    return row.split("span=")[1].split("#")[0].split("&")[0]


def findings(page: Page) -> list[str]:
    """Return what is wrong with a page, wide and narrow, light and dark."""
    look_of(page)
    found = axe_findings(page)
    look_of(page, is_dark=True)
    found += [f"dark: {line}" for line in axe_findings(page, "color-contrast")]
    look_of(page, width=NARROW)
    found += [f"narrow: {line}" for line in axe_findings(page)]
    if too_wide := overflow_of(page):
        found.append(f"wider than a narrow window by {too_wide} pixels")
    return found


@pytest.mark.asvs("14.2.3")
@pytest.mark.timeout(600)
def test_pages_are_quiet_and_accessible(browser: Browser, world: SiteWorld) -> None:
    found: dict[str, list[str]] = {}
    with watched_page(browser, world.server.base_url, cookies=world.cookies) as page:
        for address in all_addresses(world):
            page.goto(address)
            found[address] = findings(page)
    assert {address: lines for address, lines in found.items() if lines} == {}


@pytest.mark.timeout(600)
def test_the_ways_in_are_quiet_and_accessible(browser: Browser, world: SiteWorld) -> None:
    found: dict[str, list[str]] = {}
    with watched_page(browser, world.server.base_url) as page:
        for path in STRANGERS:
            page.goto(world.addresses[path])
            found[path] = findings(page)
    assert {address: lines for address, lines in found.items() if lines} == {}


def test_pages_are_whole_without_scripts(browser: Browser, world: SiteWorld) -> None:
    site = world.server.base_url
    with watched_page(browser, site, cookies=world.cookies, has_scripts=False) as page:
        for address in all_addresses(world):
            page.goto(address)
            assert page.locator("main h1").count() == 1, address
            assert page.locator("button[data-copy]:visible").count() == 0
