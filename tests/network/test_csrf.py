"""Which requests the origin rule concerns, and how refusals look."""

from typing import Any

import pytest

from bennu.access import Caller, Permission, Principal, PrincipalKind
from bennu.httpio.respond import empty_answer
from bennu.httpio.route import Door, Route
from bennu.network.csrf import CsrfGuard
from bennu.network.settings import NetworkSettings
from fakes.asgi import Behind, ask

EVIL = ("origin", "https://evil.example")
SESSION = ("cookie", "theme=dark; phoenix-access-token=x")
REFRESH = ("cookie", "phoenix-refresh-token=x")
COOKIES = ("phoenix-access-token", "phoenix-refresh-token")


def route(method: str, path: str, permission: Any) -> Route:
    async def handler(_: Any) -> Any:
        return empty_answer()

    return Route(method=method, path=path, handler=handler, permission=permission, summary="s")


ROUTES = (
    route("POST", "/auth/login", Door.OPEN),
    route("POST", "/oauth2/{provider}/login", Door.OPEN),
    route("GET", "/auth/logout", Door.OPEN),
    route("POST", "/v1/projects", Permission.PROJECTS_CREATE),
    route("POST", "/v1/traces", Permission.TRACES_INGEST),
)


class Guarded:
    """A guard with its refusals."""

    def __init__(self, settings: NetworkSettings | None = None, *, with_auth: bool = True) -> None:
        self.behind, self.noted = Behind(), list[str]()

        async def note(_scope: Any, objection: str) -> None:
            self.noted.append(objection)

        cookies = COOKIES if with_auth else ()
        self.guard = CsrfGuard(self.behind, settings or NetworkSettings(), ROUTES, cookies, note)

    async def passes(self, method: str, path: str, *headers: tuple[str, str]) -> bool:
        return (await ask(self.guard, method, path, headers)).status_code == 200


@pytest.mark.asvs("3.5.2")
@pytest.mark.parametrize(
    ("method", "path", "headers", "passes"),
    [
        ("POST", "/v1/projects", [EVIL, SESSION], False),
        ("POST", "/api/v1/projects", [EVIL, SESSION], False),
        ("DELETE", "/v1/projects/x", [EVIL, SESSION], False),
        ("POST", "/auth/refresh", [EVIL, REFRESH], False),
        ("POST", "/auth/login", [EVIL], False),
        ("POST", "/oauth2/google/login", [EVIL], False),
        ("POST", "/v1/traces", [EVIL, SESSION], False),
        ("POST", "/v1/traces", [EVIL], True),
        ("POST", "/v1/projects", [EVIL], True),
        ("POST", "/v1/projects", [EVIL, ("cookie", "theme=dark")], True),
        ("GET", "/v1/projects", [EVIL, SESSION], True),
        ("HEAD", "/v1/projects", [EVIL, SESSION], True),
        ("POST", "/v1/projects", [EVIL, SESSION, ("authorization", "Bearer k")], True),
        ("POST", "/v1/projects", [EVIL, SESSION, ("authorization", "bearer k")], True),
        # A browser may send Basic of its own accord, even from a form of another site.
        ("POST", "/v1/projects", [EVIL, SESSION, ("authorization", "Basic eDp5")], False),
    ],
)
async def test_what_a_browser_could_be_made_to_send_is_concerned(
    method: str, path: str, headers: list[tuple[str, str]], *, passes: bool
) -> None:
    assert await Guarded().passes(method, path, *headers) is passes


@pytest.mark.parametrize(
    ("path", "passes"), [("/v1/projects", False), ("/v1/traces", True), ("/auth/login", False)]
)
async def test_with_authentication_off_nothing_depends_on_a_cookie(
    path: str, *, passes: bool
) -> None:
    guarded = Guarded(with_auth=False)
    assert await guarded.passes("POST", path, EVIL) is passes
    assert await guarded.passes("POST", path, ("origin", "http://bennu.test"))
    assert await guarded.passes("POST", path)


async def test_a_certificate_is_sent_by_a_browser_on_its_own() -> None:
    guarded = Guarded()
    exporter = Caller(Principal(PrincipalKind.CERTIFICATE, "agent-7"))
    refused = await ask(guarded.guard, "POST", "/v1/traces", [EVIL], caller=exporter)
    assert refused.status_code == 403
    assert (await ask(guarded.guard, "POST", "/v1/traces", caller=exporter)).status_code == 200


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        (NetworkSettings(), 403),
        (NetworkSettings(root_url="https://phoenix.example.com"), 403),
        (NetworkSettings(csrf_trusted_origins=("https://a.example",)), 401),
        (NetworkSettings(allowed_origins=("https://a.example",)), 401),
    ],
)
async def test_the_status_tells_whether_a_list_is_set(
    settings: NetworkSettings, status: int
) -> None:
    guarded = Guarded(settings)
    answer = await ask(guarded.guard, "POST", "/auth/login", [EVIL])
    assert (answer.status_code, answer.text) == (status, "untrusted origin")
    assert "www-authenticate" not in answer.headers
    referer = [("referer", "https://evil.example/page")]
    assert (await ask(guarded.guard, "POST", "/auth/login", referer)).text == "untrusted referer"
    assert guarded.noted == ["untrusted origin", "untrusted referer"]
    assert not guarded.behind.was_reached


async def test_the_own_origin_is_the_scheme_and_host_that_the_client_used() -> None:
    guarded = Guarded()
    own = [("host", "phoenix.example.com"), ("origin", "https://phoenix.example.com")]
    assert (await ask(guarded.guard, "POST", "/auth/login", own)).status_code == 403
    by_tls = await ask(guarded.guard, "POST", "/auth/login", own, scheme="https")
    assert by_tls.status_code == 200
