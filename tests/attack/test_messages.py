"""Messages of HTTP as an attacker writes them, and what every answer says of itself.

Source: OWASP ASVS 5.0 V1.1, V4, V13.4 and V15.3; RFC 9112 sections 6.1 and 11.2.
"""

import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools.generate_permissions import application_routes

from peers.pki import Pki
from started import ADMIN_SECRET, PASSWORD, StartedServer, tls_context

#: A second request that hides where the first one ends for somebody else.
HIDDEN = b"GET /v1/projects HTTP/1.1\r\nHost: localhost\r\nX-Hidden: 1\r\n\r\n"
HEAD = b"POST /v1/projects HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SMUGGLED = {
    "both lengths": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "both, the other way": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "two lengths": b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + HIDDEN,
    "a list of lengths": b"Content-Length: 0, 5\r\n\r\n" + HIDDEN,
    "a signed length": b"Content-Length: +0\r\n\r\n" + HIDDEN,
    "a length in hex": b"Content-Length: 0x0\r\n\r\n" + HIDDEN,
    "blank before the colon": b"Content-Length : 5\r\n\r\n" + HIDDEN,
    "another coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked is not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a bad size of a chunk": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + HIDDEN,
    "a folded header": b"X-A: b\r\n Content-Length: 5\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "NUL in a header": b"Transfer-Encoding: chun\0ked\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("messages")) as started:
        yield started


def said(server: StartedServer, message: bytes) -> bytes:
    """Send bytes and return everything that comes back until the server closes or is quiet."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as link:
        link.sendall(message)
        link.settimeout(5)
        found = b""
        with contextlib.suppress(TimeoutError):
            while piece := link.recv(65_536):
                found += piece
        return found


@pytest.mark.asvs("4.2.1")
@pytest.mark.parametrize("name", sorted(SMUGGLED))
def test_no_request_hides_in_another(server: StartedServer, name: str) -> None:
    """It is refused, and nothing behind it is taken for a request."""
    bearer = f"Authorization: Bearer {ADMIN_SECRET}\r\n".encode()
    answers = said(server, HEAD + bearer + SMUGGLED[name])
    statuses = re.findall(rb"HTTP/1\.1 (\d{3})", answers)
    assert len(statuses) == 1, answers
    assert statuses[0] in {b"400", b"501"}, answers


def test_two_whole_requests_get_two_answers(server: StartedServer) -> None:
    """Without this the test above would say nothing."""
    last = HIDDEN.replace(b"X-Hidden: 1", b"Connection: close")
    answers = said(server, HEAD + b"Content-Length: 0\r\n\r\n" + last)
    assert len(re.findall(rb"HTTP/1\.1 \d{3}", answers)) == 2, answers


@pytest.mark.asvs("13.4.4")
def test_trace_is_refused(server: StartedServer) -> None:
    with server.client(ADMIN_SECRET) as client:
        for path in ("/", "/v1/projects", "/healthz", "/nowhere"):
            answer = client.request("TRACE", path, headers={"x-told": "back"})
            assert answer.status_code in {404, 405}, path
            assert "back" not in answer.text
            assert answer.headers.get("content-type") != "message/http"
            assert "TRACE" not in answer.headers.get("allow", "")


@pytest.mark.asvs("1.1.1")
def test_a_path_is_decoded_once(server: StartedServer) -> None:
    """What is still encoded after that is part of a name, wherever it is used."""
    with server.client(ADMIN_SECRET) as client:
        for name, encoded in (("a%41b", "a%2541b"), ("x%2fy", "x%252fy"), ("%25", "%2525")):
            made = client.post("/v1/projects", json={"name": name})
            assert made.status_code == 200, made.text
            found = client.get(f"/v1/projects/{encoded}")
            assert found.json()["data"]["name"] == name
            listed = client.get(f"/v1/projects?name_contains={encoded}").json()["data"]
            assert [one["name"] for one in listed] == [name]
        assert client.get("/v1/projects/aAb").status_code == 404
        assert client.get("/%2576%31/projects").status_code == 404


@pytest.mark.asvs("4.1.1")
def test_every_body_says_what_it_is(server: StartedServer) -> None:
    """With a charset for text; JSON needs none, and bytes have none."""
    admin = server.admin()
    paths = {re.sub(r"[{}]|:path", "", one.path) for one in application_routes()}
    seen = set()
    for path in (*sorted(paths - {"/auth/logout", "/logout"}), "/static/bennu.js", "/static/x"):
        for client in (admin, server.client()):
            answer = client.get(path)
            if not answer.content:
                continue
            kind = answer.headers["content-type"]
            seen.add(kind)
            is_text = kind.startswith("text/")
            assert is_text == kind.endswith("; charset=utf-8"), f"{path}: {kind}"
            if kind == "application/json":
                answer.json()
            elif kind.startswith("text/html"):
                assert answer.text.lstrip().lower().startswith("<!doctype html>"), path
            else:
                assert not answer.text.lstrip().startswith(("{", "<!")), f"{path}: {kind}"
    assert {"application/json", "text/html; charset=utf-8"} <= seen
    assert "text/plain; charset=utf-8" in seen


@pytest.mark.asvs("4.1.2", "12.2.1")
def test_clear_text_is_answered_by_no_redirect(tmp_path: Path, pki: Pki) -> None:
    """A client that forgot TLS must notice, before it sends its credential a hundred times."""
    env = {
        "PHOENIX_TLS_ENABLED": "true",
        "PHOENIX_TLS_CERT_FILE": str(pki.server.cert),
        "PHOENIX_TLS_KEY_FILE": str(pki.server.key),
    }
    message = b"GET /v1/projects HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with StartedServer(tmp_path, env, tls=tls_context(pki)) as own:
        for port in (own.port, own.grpc_port):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
                link.sendall(message)
                told = b""
                with contextlib.suppress(ConnectionError):
                    while piece := link.recv(4096):
                        told += piece
            assert b"HTTP/1.1 2" not in told
            assert b"HTTP/1.1 3" not in told
            assert b"location" not in told.lower()
    (tmp_path / "behind").mkdir()
    root = {"PHOENIX_ROOT_URL": "https://phoenix.example.com"}
    with StartedServer(tmp_path / "behind", root) as behind:
        for path in ("/v1/projects", "/v1/traces", "/auth/login", "/healthz", "/openapi.json"):
            answer = behind.client(ADMIN_SECRET).get(path)
            assert not answer.is_redirect, path


@pytest.mark.asvs("13.4.1", "13.4.3")
def test_no_file_beside_the_pages_is_served(server: StartedServer) -> None:
    client = server.admin()
    for path in (
        *("/.git/config", "/.git/HEAD", "/.svn/entries", "/.env", "/bennu.env", "/.hg"),
        *("/static", "/static/", "/static/%2e%2e", "/static/%2e%2e/pages.py"),
        *("/static/.git/config", "/static/..%2f..%2fapp.py", "/work/phoenix.db", "/templates/"),
        *("/pyproject.toml", "/static//etc/passwd", "/docs", "/redoc", "/server-status"),
    ):
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert "Index of" not in answer.text
        assert "import " not in answer.text
    for path in (b"/static/../pages.py", b"/static/../../app.py", b"//static/../.git/config"):
        head = b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert re.match(rb"HTTP/1\.1 40[04] ", said(server, head)), path


@pytest.mark.asvs("15.3.1")
def test_an_account_is_shown_without_its_secrets(server: StartedServer) -> None:
    """Neither to its owner nor to an admin; nor how it would be found by its password."""
    admin = server.admin()
    me = admin.get("/v1/user").json()["data"]
    listed = admin.get("/v1/users").json()["data"]
    for account in (me, *listed):
        for name in account:
            assert not re.search(r"hash|secret|digest|salt|token|row_id|external|subject", name)
        assert not re.search(r"argon2|gAAAAA|bnu_", str(account))
    sessions = admin.get("/v1/user/sessions").json()["data"]
    assert not re.search(r"bnu_|gAAAAA|digest|id_token", str(sessions))


@pytest.mark.asvs("15.3.3")
def test_fields_that_an_action_does_not_have_are_not_set(server: StartedServer) -> None:
    admin = server.admin()
    person = {"email": "eve@example.com", "username": "eve", "role": "VIEWER"}
    person |= {"auth_method": "LOCAL", "password": "Quite-long-4-a-password"}
    extra = {"is_system": True, "id": "VXNlcjox", "created_at": "2000-01-01T00:00:00Z"}
    extra |= {"permissions": ["users:manage"], "password_hash": "x", "must_change_password": False}
    made = admin.post("/v1/users", json={"user": {**person, **extra}, "role": "ADMIN"})
    assert made.status_code in {201, 422}, made.text
    if made.status_code == 422:
        made = admin.post("/v1/users", json={"user": person})
    eve = server.sign_in("eve@example.com", "Quite-long-4-a-password")
    change = {"current_password": "Quite-long-4-a-password", "password": PASSWORD}
    change |= {"role": "ADMIN", "active": False, "email": "admin@localhost", "is_system": True}
    eve.patch("/v1/user", json=change)
    eve = server.sign_in("eve@example.com", PASSWORD)
    eve.patch("/v1/user", json={"username": "eva", "role": "ADMIN", "user": {"role": "ADMIN"}})
    shown = eve.get("/v1/user").json()["data"]
    assert (shown["role"], shown["email"]) == ("VIEWER", "eve@example.com")
    assert shown["id"] != "VXNlcjox"
    assert eve.get("/v1/users").status_code == 403
    key = {"name": "k", "role": "ADMIN", "user_id": "VXNlcjox", "permissions": None, "key": "bnu_x"}
    made = eve.post("/v1/user/api_keys", json={"data": key})
    assert made.status_code in {201, 422}
    if made.status_code == 201:
        assert server.client(made.json()["data"]["key"]).get("/v1/users").status_code == 403
