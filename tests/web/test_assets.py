"""Files of the pages: kept by browsers for ever, and never an old one."""

import gzip
import re

import pytest
from starlette.requests import Request

from bennu.kernel.errors import NotFoundError
from bennu.web.assets import Assets, asset_routes

ASSETS = Assets()


async def fetched(name: str, accept: str = "") -> tuple[int, dict[str, str], bytes]:
    route = next(r for r in asset_routes(ASSETS) if r.path == "/static/{file}")
    headers = [(b"accept-encoding", accept.encode())]
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/static/{name}",
        "path_params": {"file": name},
        "headers": headers,
        "query_string": b"",
        "server": ("test", 80),
    }
    answer = await route.handler(Request(scope))
    return answer.status_code, dict(answer.headers), bytes(answer.body)


async def test_an_address_with_a_digest_may_be_kept() -> None:
    address = ASSETS.address_of("bennu.css")
    assert re.fullmatch(r"/static/bennu\.[0-9a-f]{10}\.css", address)
    status, headers, body = await fetched(address.removeprefix("/static/"))
    assert status == 200
    assert headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in headers["cache-control"]
    assert b"--accent" in body


async def test_the_plain_name_is_asked_for_again() -> None:
    _, headers, _ = await fetched("bennu.css")
    assert headers["cache-control"] == "no-cache"


async def test_it_is_sent_compressed_to_those_who_can() -> None:
    _, headers, body = await fetched("bennu.css", "gzip, br")
    assert headers["content-encoding"] == "gzip"
    assert b"--accent" in gzip.decompress(body)


@pytest.mark.asvs("13.4.3")
@pytest.mark.parametrize("name", ["", "..", "../pages.py", "%2e%2e/pages.py", "bennu.css.map"])
def test_nothing_else_is_served(name: str) -> None:
    with pytest.raises(NotFoundError):
        ASSETS.find(name)


def test_the_first_visit_is_small() -> None:
    names = ("bennu.css", "bennu.js", "icon.svg")
    total = sum(len(ASSETS.find(name).compressed) for name in names)
    assert total < 100_000


@pytest.mark.asvs("14.2.3")
def test_nothing_is_loaded_from_another_host() -> None:
    for name in ("bennu.css", "bennu.js"):
        content = ASSETS.find(name).content
        assert b"//" not in content.replace(b"// ", b"")
        assert b"@import" not in content
        assert b"url(" not in content
