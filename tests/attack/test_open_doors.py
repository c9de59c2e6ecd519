"""Without a credential nothing but the allow-list answers; the walk comes from the route table."""

import re
from collections.abc import Iterator

import httpx
import pytest
from tools.generate_permissions import application_routes

from bennu.httpio.route import Door
from bennu.network.paths import path_pattern
from started import StartedServer

#: What may be open without credentials, and nothing else: the one list, method and path.
OPEN_WITHOUT_CREDENTIALS = frozenset(
    {
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/arize_phoenix_version"),
        ("GET", "/login"),
        ("POST", "/login"),
        ("GET", "/logout"),
        ("POST", "/logout"),
        ("GET", "/forgot-password"),
        ("POST", "/forgot-password"),
        ("GET", "/reset-password-with-token"),
        ("POST", "/reset-password-with-token"),
        ("GET", "/static/{file}"),
        ("GET", "/favicon.ico"),
        ("GET", "/robots.txt"),
        ("GET", "/.well-known/security.txt"),
        ("GET", "/.well-known/oauth-protected-resource"),
        ("POST", "/auth/login"),
        ("POST", "/auth/ldap/login"),
        ("POST", "/auth/refresh"),
        ("POST", "/auth/logout"),
        ("GET", "/auth/logout"),
        ("POST", "/auth/password-reset-email"),
        ("POST", "/auth/password-reset"),
        ("GET", "/oauth2/{provider}/login"),
        ("POST", "/oauth2/{provider}/login"),
        ("GET", "/oauth2/{provider}/tokens"),
        ("POST", "/oauth2/{provider}/backchannel-logout"),
    }
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ROUTES = application_routes()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    env = {"PHOENIX_DISABLE_RATE_LIMIT": "true"}
    with StartedServer(tmp_path_factory.mktemp("open"), env) as started:
        yield started


def addresses() -> list[tuple[str, str]]:
    """Return each path of the table with something in place of its names, aliases included."""
    paths = {route.path for route in ROUTES}
    paths |= {"/api" + path for path in paths if path.startswith("/v1/")}
    return sorted((path, re.sub(r"\{\w+(:path)?\}", "something", path)) for path in paths)


def is_in_the_list(method: str, path: str) -> bool:
    return ("GET" if method == "HEAD" else method, path) in OPEN_WITHOUT_CREDENTIALS


def takes(method: str, path: str) -> bool:
    """Whether the table has a route of this method at this path, or at that of its alias."""
    path = path.removeprefix("/api") if path.startswith("/api/v1/") else path
    return any((route.method, route.path) == (method, path) for route in ROUTES)


def is_page(path: str) -> bool:
    return any(route.path == path and route.on_refusal is not None for route in ROUTES)


@pytest.mark.asvs("6.3.4")
def test_the_table_opens_what_the_list_names_and_nothing_else() -> None:
    opened = {(r.method, r.path) for r in ROUTES if r.permission is Door.OPEN}
    assert opened == OPEN_WITHOUT_CREDENTIALS


@pytest.mark.parametrize("credential", ["", "bnu_uk_nonsense"])
def test_a_walk_without_a_good_credential_opens_only_the_list(
    server: StartedServer, credential: str
) -> None:
    assert len(addresses()) > 60
    with server.client(credential) as client:
        for path, address in addresses():
            for method in METHODS:
                answer = client.request(method, address, follow_redirects=False)
                told = f"{method} {path}: {answer.status_code}"
                assert answer.status_code != 500, told
                if is_in_the_list(method, path):
                    continue
                if is_page(path) and answer.status_code in {302, 303}:
                    assert answer.headers["location"].startswith("/login"), told
                elif takes(method, path):
                    # Not a 404 for want of "something": the credential comes first.
                    assert answer.status_code == 401, told
                else:
                    assert answer.status_code in {401, 404, 405}, told


@pytest.mark.parametrize(
    "path", ["/v1/nope", "/api/v1/nope", "/v1", "/api", "/auth/nope", "/oauth2/x/nope", "/nope"]
)
def test_an_unknown_path_is_a_404_and_never_a_page(server: StartedServer, path: str) -> None:
    answer = server.client().get(path)
    assert answer.status_code == 404
    assert "html" not in answer.headers["content-type"]


def test_no_path_of_the_table_is_met_with_a_line_break_behind_it(server: StartedServer) -> None:
    """Limits and the rule about origins compare whole paths, and so must what is served."""
    patterns = [path_pattern(path) for path, _ in addresses()]
    asked = [
        (path, address)
        for path, address in addresses()
        # A name at the end of a path may hold one, and is met as a whole by all layers.
        if not any(pattern.fullmatch(address + "\n") for pattern in patterns)
    ]
    assert len(asked) > 40
    with server.client() as client:
        for path, address in asked:
            for method in ("GET", "POST"):
                answer = client.request(method, address + "%0A", follow_redirects=False)
                assert answer.status_code == 404, f"{method} {path}: {answer.status_code}"


def test_a_refusal_says_how_to_sign_in(server: StartedServer) -> None:
    answer = server.client().get("/v1/projects")
    assert answer.status_code == 401
    assert answer.text == "Invalid token"
    assert answer.headers["www-authenticate"] == (
        f'Bearer realm="Arize Phoenix", resource_metadata="{server.base_url}'
        '/.well-known/oauth-protected-resource"'
    )


@pytest.mark.asvs("15.3.7")
def test_two_authorization_headers_are_refused(server: StartedServer) -> None:
    key = server.env["PHOENIX_ADMIN_SECRET"]
    request = httpx.Request(
        "GET",
        f"{server.base_url}/v1/projects",
        headers=[("authorization", f"Bearer {key}"), ("authorization", f"Bearer {key}")],
    )
    with httpx.Client() as client:
        assert client.send(request).status_code == 400


def test_a_bad_bearer_is_not_helped_by_a_good_cookie(server: StartedServer) -> None:
    client = server.admin()
    assert client.get("/v1/projects").status_code == 200
    assert client.get("/v1/projects", headers={"authorization": "Bearer x"}).status_code == 401
