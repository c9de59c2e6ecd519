"""What a user reads when the endpoint is wrong or the key is refused.

Spec: lines 146-151.
"""

import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from peers.pki import Pki
from sdk.conftest import UserPython
from started import ADMIN_SECRET, StartedServer, free_port, tls_context

#: Makes a client and asks for the projects, in both kinds of code; prints the error.
TRY = """
import asyncio, json
import httpx
import phoenix as px
arguments = {arguments!r}
def told(error):
    kinds = [kind.__name__ for kind in type(error).__mro__]
    return {{"error": kinds, "text": str(error)}}
def plain():
    try:
        return {{"names": [p["name"] for p in px.Client(**arguments).projects.list()]}}
    except Exception as error:
        return told(error)
async def waiting():
    try:
        client = px.AsyncClient(**arguments)
        return {{"names": [p["name"] for p in await client.projects.list()]}}
    except Exception as error:
        return told(error)
print(json.dumps([plain(), asyncio.run(waiting())]))
"""


def attempt(user: UserPython, variables: dict[str, str] | None = None, **arguments: Any) -> Any:
    """Use both clients; return what both said, which must be the same."""
    one, other = user.run(TRY.format(arguments=arguments), **(variables or {}))
    assert _without_details(one) == _without_details(other)
    return one


def _without_details(said: dict[str, Any]) -> dict[str, Any]:
    """Leave out what stands in parentheses: there the two kinds of code word it differently."""
    return {**said, "text": re.sub(r"\(.*?\)", "", said.get("text", ""))}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.mark.parametrize("path", ["", "/", "/v1/traces", "/v1/"])
def test_a_good_endpoint_and_key(user: UserPython, server: StartedServer, path: str) -> None:
    found = attempt(user, endpoint=server.base_url + path, api_key=ADMIN_SECRET)
    assert found == {"names": ["default"]}


def test_both_may_come_from_the_environment(user: UserPython, server: StartedServer) -> None:
    variables = {"PHOENIX_COLLECTOR_ENDPOINT": server.base_url, "PHOENIX_API_KEY": ADMIN_SECRET}
    assert attempt(user, variables) == {"names": ["default"]}
    found = attempt(
        user, endpoint=server.base_url, headers={"Authorization": f"Bearer {ADMIN_SECRET}"}
    )
    assert found == {"names": ["default"]}


@pytest.mark.parametrize(
    "endpoint", ["phoenix.example.com", "ftp://x", "http://", "", "localhost:6006"]
)
def test_what_is_no_address_is_told_at_once(user: UserPython, endpoint: str) -> None:
    found = attempt(user, endpoint=endpoint)
    assert found["error"][:2] == ["EndpointError", "ValueError"]
    assert "https://phoenix.example.com" in found["text"]


def test_two_endpoints_are_one_too_many(user: UserPython) -> None:
    found = attempt(user, endpoint="http://one", base_url="http://two")
    assert found["error"][0] == "EndpointError"


def test_nothing_answers(user: UserPython) -> None:
    origin = f"http://127.0.0.1:{free_port()}"
    found = attempt(user, endpoint=origin, api_key="k")
    assert "ConnectError" in found["error"]
    assert f"Nothing answers at {origin}" in found["text"]
    found = attempt(user, endpoint="http://no-such-host.invalid", api_key="k")
    assert "Nothing answers at http://no-such-host.invalid" in found["text"]


def test_a_refused_key(user: UserPython, server: StartedServer) -> None:
    found = attempt(user, endpoint=server.base_url, api_key="mistyped")
    assert found["error"][:2] == ["RefusedKeyError", "HTTPStatusError"]
    assert "does not accept the API key: Invalid token" in found["text"]
    assert "mistyped, expired or revoked" in found["text"]


def test_no_key(user: UserPython, server: StartedServer) -> None:
    found = attempt(user, endpoint=server.base_url)
    assert found["error"][0] == "RefusedKeyError"
    assert "asks for an API key" in found["text"]
    assert "PHOENIX_API_KEY" in found["text"]


def test_a_key_that_may_not_do_this(user: UserPython, server: StartedServer) -> None:
    made = server.client(ADMIN_SECRET).post(
        "/v1/system/api_keys", json={"data": {"name": "none", "permissions": ["traces:ingest"]}}
    )
    found = attempt(user, endpoint=server.base_url, api_key=made.json()["data"]["key"])
    assert found["error"][:2] == ["PermissionDeniedError", "HTTPStatusError"]
    assert "accepts the API key, which may not do this (GET /v1/projects)" in found["text"]


def test_what_answers_is_another_server(user: UserPython, tmp_path: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        found = attempt(user, endpoint=f"http://127.0.0.1:{other.server_port}", api_key="k")
        other.shutdown()
        thread.join()
    assert found["error"][:2] == ["NotAServerError", "HTTPStatusError"]
    assert "is no Phoenix or Bennu server" in found["text"]


def test_a_certificate_that_is_not_trusted(user: UserPython, tmp_path: Path, pki: Pki) -> None:
    env = {
        "PHOENIX_TLS_ENABLED_FOR_HTTP": "true",
        "PHOENIX_TLS_CERT_FILE": str(pki.server.cert),
        "PHOENIX_TLS_KEY_FILE": str(pki.server.key),
    }
    with StartedServer(tmp_path, env, tls=tls_context(pki)) as server:
        found = attempt(user, endpoint=server.base_url, api_key=ADMIN_SECRET)
        assert f"The certificate of {server.base_url} is not trusted" in found["text"]
        trusting = {"SSL_CERT_FILE": str(pki.authority.cert)}
        found = attempt(user, trusting, endpoint=server.base_url, api_key=ADMIN_SECRET)
        assert found == {"names": ["default"]}


def test_an_unknown_name_of_the_package_is_told(user: UserPython) -> None:
    code = """
import json, phoenix
try:
    phoenix.launch_app
except AttributeError as error:
    print(json.dumps([str(error), "Client" in dir(phoenix)]))
"""
    text, is_listed = user.run(code)
    assert "phoenix.client and phoenix.otel" in text
    assert is_listed
