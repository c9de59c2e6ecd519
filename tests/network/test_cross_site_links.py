"""A link on another site opens our page with the session's cookies."""

from typing import Any

import pytest

from bennu.access import Permission
from bennu.httpio.respond import empty_answer
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
