"""How a client finds out what this server is. Source: RFC 9728, RFC 9309."""

from collections.abc import Sequence

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from bennu.access import EVERYBODY, Caller, Principal, PrincipalKind
from bennu.httpio.discovery import discovery_routes
from bennu.httpio.dispatch import application_of
from bennu.httpio.frame import FrameOptions, RequestFrame
from bennu.httpio.request import CALLER
from bennu.httpio.route import Door, Limit, Route
from bennu.httpio.security_txt import SecurityContactSettings
from fakes.clock import FrozenClock
from fakes.entropy import RepeatableEntropy

pytestmark = pytest.mark.anyio
NOBODY = Principal(PrincipalKind.ANONYMOUS)
CONTACT = SecurityContactSettings(("mailto:security@example.com",))


async def ask(
    path: str,
    principal: Principal = NOBODY,
    root_url: str | None = None,
    contact: SecurityContactSettings = CONTACT,
    **headers: str,
) -> httpx.Response:
    def table() -> Sequence[Route]:
        return routes

    routes = discovery_routes(table, contact, FrozenClock())
    inner = application_of(routes)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CALLER] = Caller(principal)
        await inner(scope, receive, send)

    options = FrameOptions(root_url=root_url)
    frame = RequestFrame(app, FrozenClock(), RepeatableEntropy(), options)
    transport = httpx.ASGITransport(frame)
    async with httpx.AsyncClient(transport=transport, base_url="http://bennu.test") as client:
        return await client.get(path, headers=headers)


async def test_the_version_is_the_one_that_clients_know() -> None:
    answer = await ask("/arize_phoenix_version")
    assert (answer.status_code, answer.text) == (200, "20.26.1")
    assert answer.headers["x-phoenix-server-version"] == "20.26.1"


@pytest.mark.asvs("13.4.5")
async def test_the_interface_is_for_those_who_signed_in() -> None:
    assert (await ask("/openapi.json")).status_code == 401
    document = (await ask("/openapi.json", EVERYBODY)).json()
    assert "/openapi.json" in document["paths"]
    assert document["info"]["version"] == "20.26.1"


async def test_where_to_present_a_credential() -> None:
    path = "/.well-known/oauth-protected-resource"
    told = (await ask(path)).json()
    assert told["resource"] == "http://bennu.test"
    assert told["bearer_methods_supported"] == ["header"]
    named = (await ask(path, root_url="https://traces.example.com/")).json()
    assert named["resource"] == "https://traces.example.com"
    # A host that is none is not echoed.
    forged = (await ask(path, host='x"><script>')).json()
    assert forged["resource"] == "http://localhost"


async def test_crawlers_are_asked_to_stay_away() -> None:
    assert (await ask("/robots.txt")).text == "User-agent: *\nDisallow: /\n"


async def test_whom_to_tell_of_a_vulnerability_is_open_to_everybody() -> None:
    path = "/.well-known/security.txt"
    answer = await ask(path)
    assert (answer.status_code, answer.headers["content-type"]) == (
        200,
        "text/plain; charset=utf-8",
    )
    assert "Contact: mailto:security@example.com\n" in answer.text
    # The Host header, which a stranger writes, never becomes the canonical address.
    assert "Canonical" not in answer.text
    named = await ask(path, root_url="https://traces.example.com/")
    assert f"Canonical: https://traces.example.com{path}\n" in named.text


async def test_without_a_contact_there_is_no_such_file() -> None:
    answer = await ask("/.well-known/security.txt", contact=SecurityContactSettings())
    assert (answer.status_code, answer.text) == (404, "Not Found")


def test_only_the_interface_document_needs_a_credential_and_nothing_is_limited() -> None:
    routes = {route.path: route for route in discovery_routes(lambda: (), CONTACT, FrozenClock())}
    closed = {path for path, route in routes.items() if route.permission is not Door.OPEN}
    assert closed == {"/openapi.json"}
    assert all(routes[path].limit is Limit.NONE for path in routes.keys() - closed)
