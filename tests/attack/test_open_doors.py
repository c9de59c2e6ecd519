"""Without a credential nothing but the allow-list answers; the walk comes from the route table."""

from collections.abc import Iterator

import httpx
import pytest

from started import StartedServer

#: The open routes of this version: those of the interface that exist so far.
OPEN_WITHOUT_CREDENTIALS = frozenset(
    {
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/arize_phoenix_version"),
        ("GET", "/robots.txt"),
        ("GET", "/.well-known/oauth-protected-resource"),
        ("POST", "/auth/login"),
        ("POST", "/auth/refresh"),
        ("POST", "/auth/logout"),
        ("GET", "/auth/logout"),
        ("GET", "/oauth2/provider/login"),
        ("POST", "/oauth2/provider/login"),
        ("GET", "/oauth2/provider/tokens"),
        ("POST", "/oauth2/provider/backchannel-logout"),
    }
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("open")) as started:
        yield started


def paths_of(server: StartedServer) -> list[str]:
    document = server.client(server.env["PHOENIX_ADMIN_SECRET"]).get("/openapi.json").json()
    paths = [path.replace("{", "").replace("}", "") for path in document["paths"]]
    return paths + ["/api" + path for path in paths if path.startswith("/v1/")]


def test_a_walk_without_credentials_opens_only_the_allow_list(server: StartedServer) -> None:
    paths = paths_of(server)
    assert len(paths) > 20
    with server.client() as client:
        for path in paths:
            for method in METHODS:
                answer = client.request(method, path, follow_redirects=False)
                asked = ("GET" if method == "HEAD" else method, path)
                is_open = asked in OPEN_WITHOUT_CREDENTIALS
                assert is_open or answer.status_code >= 400, f"{method} {path} is open"
                assert answer.status_code != 500, f"{method} {path}"


def test_a_walk_with_a_bad_credential_opens_no_more(server: StartedServer) -> None:
    with server.client("bnu_uk_nonsense") as client:
        for path in paths_of(server):
            answer = client.get(path, follow_redirects=False)
            assert ("GET", path) in OPEN_WITHOUT_CREDENTIALS or answer.status_code in {401, 405}


@pytest.mark.parametrize(
    "path", ["/v1/nope", "/api/v1/nope", "/v1", "/api", "/auth/nope", "/oauth2/x/nope", "/nope"]
)
def test_an_unknown_path_is_a_404_and_never_a_page(server: StartedServer, path: str) -> None:
    answer = server.client().get(path)
    assert answer.status_code == 404
    assert "html" not in answer.headers["content-type"]


def test_a_refusal_says_how_to_sign_in(server: StartedServer) -> None:
    answer = server.client().get("/v1/projects")
    assert answer.status_code == 401
    assert answer.text == "Invalid token"
    assert answer.headers["www-authenticate"] == (
        f'Bearer realm="Arize Phoenix", resource_metadata="{server.base_url}'
        '/.well-known/oauth-protected-resource"'
    )


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
