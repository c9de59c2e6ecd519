"""New traces are told on the page of a project, with scripts and without. Spec: lines 134-141."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from peers.browser import watched_page
from started import StartedServer
from web.site_world import exporting


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("news")) as started:
        yield started


@pytest.mark.timeout(300)
@pytest.mark.parametrize("has_scripts", [True, False])
def test_new_traces_are_shown_on_demand(
    browser: Browser, server: StartedServer, *, has_scripts: bool
) -> None:
    client, project = server.admin(), f"shop-{has_scripts}"
    provider = exporting(server, server.api_key(client), project)
    tracer = provider.get_tracer("t")
    tracer.start_span("first").end()
    cookies = dict(client.cookies.items())
    with watched_page(browser, server.base_url, cookies=cookies, has_scripts=has_scripts) as page:
        page.goto("/projects")
        page.get_by_role("link", name=project).click()
        page.locator('[data-testid="trace-row"]').wait_for()
        tracer.start_span("second").end()
        name = "1 new trace, show" if has_scripts else "Look for new traces"
        page.get_by_role("link", name=name).click()
        page.get_by_role("link", name="second").wait_for()
        assert page.locator('[data-testid="trace-row"]').count() == 2
    provider.shutdown()
