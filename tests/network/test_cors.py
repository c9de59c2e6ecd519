"""Cross-origin reading is for listed origins."""

import pytest

from bennu.network.cors import CorsLayer
from fakes.asgi import Behind, ask

APP = "https://app.example.com"
PREFLIGHT = [
    ("origin", APP),
    ("access-control-request-method", "PUT"),
    ("access-control-request-headers", "authorization,content-type"),
]


def layer(*origins: str, headers: dict[str, str] | None = None) -> CorsLayer:
    return CorsLayer(Behind(headers), origins)


async def test_a_listed_origin_may_read_with_credentials() -> None:
    answer = await ask(layer(APP), headers=[("origin", APP)])
    assert answer.text == "reached"
    assert answer.headers["access-control-allow-origin"] == APP
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "retry-after" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "Origin"


@pytest.mark.asvs("3.4.2")
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://app.example.com", APP + ":8443", "null", ""]
)
async def test_another_origin_gets_no_permission(origin: str) -> None:
    answer = await ask(layer(APP), headers=[("origin", origin)])
    assert answer.status_code == 200
    assert not any(name.startswith("access-control") for name in answer.headers)
    assert answer.headers["vary"] == "Origin"


async def test_answers_vary_by_origin_also_without_one() -> None:
    answer = await ask(layer(APP, headers={"vary": "Accept"}))
    assert answer.headers["vary"] == "Accept, Origin"


async def test_a_preflight_says_what_is_allowed() -> None:
    answer = await ask(layer(APP), "OPTIONS", headers=PREFLIGHT)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == APP
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type"
    assert answer.headers["access-control-max-age"] == "600"
    assert "Access-Control-Request-Headers" in answer.headers["vary"]


async def test_a_preflight_of_another_origin_is_refused() -> None:
    answer = await ask(layer("https://other.example"), "OPTIONS", headers=PREFLIGHT)
    assert (answer.status_code, answer.text) == (400, "Disallowed CORS origin")
    assert "access-control-allow-origin" not in answer.headers


async def test_only_names_of_headers_are_echoed() -> None:
    headers = [*PREFLIGHT[:2], ("access-control-request-headers", "x: y")]
    assert (await ask(layer(APP), "OPTIONS", headers=headers)).status_code == 400


@pytest.mark.asvs("3.4.2")
async def test_any_origin_never_comes_with_credentials() -> None:
    for method, headers in (("GET", [("origin", "https://any.example")]), ("OPTIONS", PREFLIGHT)):
        answer = await ask(layer("*"), method, headers=headers)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_listed_origin_beside_any_keeps_its_credentials() -> None:
    answer = await ask(layer("*", APP), headers=[("origin", APP)])
    assert answer.headers["access-control-allow-credentials"] == "true"


async def test_options_that_is_no_preflight_reaches_the_routes() -> None:
    answer = await ask(layer(APP), "OPTIONS", headers=[("origin", APP)])
    assert answer.text == "reached"
