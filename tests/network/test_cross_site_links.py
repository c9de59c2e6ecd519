"""A link on another site opens our page with the session's cookies."""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from bennu.access import Permission
from bennu.httpio.respond import empty_answer, page_answer
from bennu.httpio.route import Door, Route
from bennu.network.cross_site_links import HTML, CrossSiteLinks, signed_in_pages
from fakes.asgi import Behind, ask

LINK = [
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
]


def route(path: str, permission: Any, media: str = HTML) -> Route:
    async def handler(_: Any) -> Any:
        return empty_answer()

    return Route(
        method="GET",
        path=path,
        handler=handler,
        permission=permission,
        summary="s",
        responses_media=media,
    )


ROUTES = (
    route("/projects/{id}", Permission.TRACES_READ),
    route("/", Permission.TRACES_READ),
    route("/login", Door.OPEN),
    route("/v1/projects", Permission.TRACES_READ, ""),
)


def layer() -> CrossSiteLinks:
    return CrossSiteLinks(Behind(), signed_in_pages(ROUTES), ["phoenix-access-token"])


@pytest.mark.parametrize("path", ["/projects/1", "/"])
async def test_the_page_is_opened_again_from_our_own_site(path: str) -> None:
    answer = await ask(layer(), path=path, headers=LINK)
    assert '<meta http-equiv="refresh" content="0">' in answer.text
    assert "script" not in answer.text
    mark = answer.headers["set-cookie"]
    assert "SameSite=Lax" in mark
    assert "HttpOnly" in mark
    again = await ask(layer(), path=path, headers=[*LINK, ("cookie", mark.partition(";")[0])])
    assert again.text == "reached"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/projects/1", []),
        ("/projects/1", [("sec-fetch-site", "same-origin"), *LINK[1:]]),
        ("/projects/1", [("sec-fetch-site", "none"), *LINK[1:]]),
        ("/projects/1", [*LINK[:2], ("sec-fetch-dest", "iframe")]),
        ("/projects/1", [LINK[0], ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")]),
        ("/projects/1", [*LINK, ("cookie", "phoenix-access-token=x")]),
        ("/login", LINK),
        ("/v1/projects", LINK),
        ("/nope", LINK),
    ],
)
async def test_everything_else_passes(path: str, headers: list[tuple[str, str]]) -> None:
    assert (await ask(layer(), path=path, headers=headers)).text == "reached"


# --- in a real browser ---------------------------------------------------------------------


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """Serve an application on a free port of this machine."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none", interface="asgi3")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield listener.getsockname()[1]
    finally:
        await server.shutdown(sockets=[listener])


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium: make setup-test")
async def test_in_chromium_a_link_on_another_site_opens_signed_in(tmp_path: Path) -> None:
    """``localhost`` and ``127.0.0.1`` are different sites for a browser."""
    addresses: dict[str, str] = {}
    opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def ours(scope: Any, receive: Any, send: Any) -> None:
        cookie = dict(scope["headers"]).get(b"cookie", b"").decode()
        headers = {}
        text = f"cookies: {cookie}"
        if scope["path"] == "/projects/1" and not opened.done():
            opened.set_result(cookie)
        if scope["path"] == "/sign-in":
            headers = {"set-cookie": "phoenix-access-token=abc; SameSite=Strict; HttpOnly; Path=/"}
            text = f'<meta http-equiv="refresh" content="0;url={addresses["wiki"]}">'
        await page_answer(text, headers=headers)(scope, receive, send)

    async def wiki(scope: Any, receive: Any, send: Any) -> None:
        text = f'<script>location = "{addresses["page"]}"</script>'
        await page_answer(text)(scope, receive, send)

    guarded = CrossSiteLinks(ours, signed_in_pages(ROUTES), ["phoenix-access-token"])
    async with serving(guarded) as our_port, serving(wiki) as wiki_port:
        addresses["page"] = f"http://127.0.0.1:{our_port}/projects/1"
        addresses["wiki"] = f"http://localhost:{wiki_port}/"
        browser = await asyncio.create_subprocess_exec(
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu"),
            *(f"--user-data-dir={tmp_path}", "--remote-debugging-port=0"),
            f"http://127.0.0.1:{our_port}/sign-in",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            cookie = await asyncio.wait_for(opened, 90)
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            await browser.wait()
    assert "phoenix-access-token=abc" in cookie
