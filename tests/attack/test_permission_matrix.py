"""Every route for every kind of caller, as docs/permissions.md says.

The page is made from the table of routes (`make docs`) and is read here as what is expected; the
answers are those of a running application. A caller whom a route lets pass may still be told that
its request is wrong or that there is no such thing: no body is sent, and names lead nowhere.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from tools.generate_permissions import (
    COLUMNS,
    DENIED,
    ENVIRONMENT,
    EXPORT_RPC,
    OPEN,
    RESTRICTED,
    UNKNOWN,
    application_routes,
)

from bennu.app import Application
from bennu.kernel.env_file import env_of
from bennu.settings import Settings

PAGE = Path(__file__).parent.parent.parent / "docs" / "permissions.md"
FIRST, SECOND = "the-first-Password-6", "the-second-Password-7"
CALLER_NAMES = tuple(column.name for column in COLUMNS)
#: A page may send people without a session to its sign-in form instead of answering 401.
TO_THE_FORM = {302, 303}


def rows_of_the_page() -> dict[tuple[str, str], dict[str, str]]:
    """Return (method, path) to what each caller is answered, from the page."""
    _, _, table = PAGE.read_text("utf-8").partition("## Every route")
    heading, *rows = re.findall(r"^\| (.+) \|$", table, re.MULTILINE)
    names = heading.split(" | ")[2:]
    found = {}
    for row in rows[1:]:
        route, _, *cells = row.split(" | ")
        method, path = route.strip("`").split(" ")
        found[method, path] = dict(zip(names, cells, strict=True))
    return found


ROWS = rows_of_the_page()


@pytest.mark.asvs("8.1.1")
def test_the_page_has_a_row_for_each_route_and_a_column_for_each_caller() -> None:
    routes = {(route.method, route.path) for route in application_routes()}
    assert routes | {("gRPC", EXPORT_RPC)} == set(ROWS)
    assert len(routes) > 30
    assert {tuple(row) for row in ROWS.values()} == {CALLER_NAMES}


def rows_where(name: str, cell: str) -> set[str]:
    return {f"{method} {path}" for (method, path), row in ROWS.items() if row[name] == cell}


#: Below these paths the server and other people are administered, or looked at.
ADMINISTRATION = (
    "/v1/api_keys",
    "/v1/audit_events",
    "/v1/roles",
    "/v1/secrets",
    "/v1/settings",
    "/v1/system",
    "/v1/users",
)
#: Below these paths people keep what is their own.
OWN = ("/v1/user", "/account", "/settings/api-keys", "/v1/privacy/exports")
#: Open to any credential and refused within: a key that may do less than its owner exports nothing.
OWN_EXPORT = ("POST", "/v1/privacy/exports")
KEYS_THAT_MAY_LESS = {"restricted key", "ingest-only key"}
#: A query that is a POST because it has a body; it changes nothing.
QUERIES = {("POST", "/v1/spans")}
#: All that a key which only sends spans may ask for; what reads traces never belongs here.
INGEST_ONLY_MAY = {
    "GET /v1/privacy/exports",
    "POST /v1/privacy/exports",
    "GET /v1/privacy/exports/{job_id}",
    "GET /v1/privacy/exports/{job_id}/download",
    "GET /",
    "GET /openapi.json",
    "GET /v1/permissions",
    "GET /v1/user",
    "GET /v1/user/api_keys",
    "POST /account/theme",
    "POST /v1/projects/{project}/spans",
    "POST /v1/traces",
    f"gRPC {EXPORT_RPC}",
}


def is_below(path: str, parts: tuple[str, ...]) -> bool:
    return any(path == part or path.startswith(part + "/") for part in parts)


def test_whoever_is_no_admin_administers_nothing() -> None:
    rows = {key: row for key, row in ROWS.items() if is_below(key[1], ADMINISTRATION)}
    assert len(rows) > 25
    for (method, path), row in rows.items():
        for name in ("VIEWER", "MEMBER", "SYSTEM key", "restricted key", "ingest-only key"):
            assert row[name] == DENIED, f"{method} {path} for {name}"


def test_a_viewer_changes_only_what_is_their_own() -> None:
    allowed = {key for key in ROWS if key[0] != "GET" and ROWS[key]["VIEWER"] == "yes"}
    changed = allowed - QUERIES
    assert {path for _, path in changed if not is_below(path, OWN)} == set()


def test_a_key_that_only_sends_spans_reads_none() -> None:
    assert rows_where("ingest-only key", "yes") <= INGEST_ONLY_MAY


def test_a_restricted_key_changes_nothing() -> None:
    may = rows_where("restricted key", "yes")
    queries = {f"{method} {path}" for method, path in QUERIES}
    changes = {row for row in may if not row.startswith("GET ")} - queries
    assert changes <= {"POST /account/theme", " ".join(OWN_EXPORT)}


@dataclass
class Running:
    """A started application, and its callers by the names of the columns."""

    application: Application
    client: httpx.AsyncClient
    bearers: dict[str, str]
    passwords: dict[str, str]

    async def sign_in(self, name: str) -> None:
        body = {"email": f"{name.lower().replace(' ', '-')}@example.com"}
        answer = await self.client.post(
            "/auth/login", json={**body, "password": self.passwords[name]}
        )
        assert answer.status_code == 204, answer.text
        self.bearers[name] = answer.cookies["phoenix-access-token"]
        self.client.cookies.clear()

    async def call(self, name: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """Send a request as one of the callers, as a browser on the server's own page would."""
        headers = {"sec-fetch-site": "same-origin"}
        if self.bearers[name]:
            headers["authorization"] = f"Bearer {self.bearers[name]}"
        answer = await self.client.request(method, path, json=body, headers=headers)
        self.client.cookies.clear()
        return answer

    async def make(self, name: str, path: str, body: Any) -> dict[str, Any]:
        answer = await self.call(name, "POST", path, body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()["data"]
        return made


async def add_person(running: Running, name: str, role: str) -> None:
    user = {
        "email": f"{name.lower().replace(' ', '-')}@example.com",
        "username": name,
        "role": role,
        "auth_method": "LOCAL",
        "password": FIRST,
    }
    await running.make("admin secret", "/v1/users", {"user": user, "send_welcome_email": False})
    running.passwords[name] = FIRST
    await running.sign_in(name)
    if name == "must change":
        return
    change = {"current_password": FIRST, "password": SECOND}
    assert (await running.call(name, "PATCH", "/v1/user", change)).status_code == 200
    running.passwords[name] = SECOND
    await running.sign_in(name)


async def add_callers(running: Running) -> None:
    running.bearers["none"] = ""
    running.bearers["admin secret"] = ENVIRONMENT["PHOENIX_ADMIN_SECRET"]
    for name, role in (
        ("VIEWER", "VIEWER"),
        ("MEMBER", "MEMBER"),
        ("ADMIN", "ADMIN"),
        ("must change", "ADMIN"),
    ):
        await add_person(running, name, role)
    restricted = {"permissions": sorted(RESTRICTED), "projects": ["default"]}
    for name, more in (
        ("user key", {}),
        ("restricted key", restricted),
        ("ingest-only key", {"permissions": ["traces:ingest"]}),
    ):
        made = await running.make("ADMIN", "/v1/user/api_keys", {"data": {"name": name, **more}})
        running.bearers[name] = made["key"]
    made = await running.make("ADMIN", "/v1/system/api_keys", {"data": {"name": "s"}})
    running.bearers["SYSTEM key"] = made["key"]


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[Running]:
    application = Application(Settings.from_env(env_of(ENVIRONMENT)))
    await application.start()
    transport = httpx.ASGITransport(application.asgi)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:6006") as c:
            made = Running(application, c, {}, {})
            await add_callers(made)
            yield made
    finally:
        await application.stop()


async def answer_of(running: Running, name: str, method: str, path: str) -> httpx.Response:
    """Ask as one caller; a session that the request has ended is opened again."""
    nowhere = re.sub(r"\{(\w+)\}", "x", path)
    answer = await running.call(name, method, nowhere)
    if name in running.passwords and method != "GET":
        if (await running.call(name, "GET", "/v1/user")).status_code == 401:
            await running.sign_in(name)
    elif path == "/auth/logout" and name in running.passwords:
        await running.sign_in(name)
    return answer


def fits(answer: httpx.Response, expected: str) -> bool:
    if expected == UNKNOWN:
        to_form = answer.status_code in TO_THE_FORM and "/login" in answer.headers["location"]
        return to_form or (answer.status_code == 401 and "www-authenticate" in answer.headers)
    if expected == DENIED:
        return answer.status_code == 403
    if answer.status_code == 401:
        # An open route may ask for what is no credential of the caller: a password, a cookie.
        return expected == OPEN and answer.text != "Invalid token"
    return answer.status_code not in {403, 405} and answer.status_code < 500


@pytest.mark.asvs("8.2.1", "8.3.1", "10.3.2")
@pytest.mark.parametrize("name", CALLER_NAMES)
async def test_every_route_answers_a_caller_as_the_page_says(running: Running, name: str) -> None:
    wrong = []
    for (method, path), row in ROWS.items():
        if method == "gRPC":
            continue
        answer = await answer_of(running, name, method, path)
        if (method, path) == OWN_EXPORT and name in KEYS_THAT_MAY_LESS:
            assert answer.status_code == 403
            assert "restricted key" in answer.text
        elif not fits(answer, row[name]):
            told = f"{answer.status_code} {answer.text[:100]}"
            wrong.append(f"{method} {path}: expected {row[name]}, got {told}")
    assert wrong == []


async def test_a_bad_credential_fares_as_none(running: Running) -> None:
    for (method, path), row in ROWS.items():
        if method != "gRPC" and row["none"] != OPEN:
            nowhere = re.sub(r"\{(\w+)\}", "x", path)
            headers = {"authorization": "Bearer bnu_uk_nonsense"}
            answer = await running.client.request(method, nowhere, headers=headers)
            assert answer.status_code == 401, f"{method} {path}"


STATUS_OF_CELL = {
    UNKNOWN: grpc.StatusCode.UNAUTHENTICATED,
    DENIED: grpc.StatusCode.PERMISSION_DENIED,
    "yes": grpc.StatusCode.OK,
}


@pytest.mark.asvs("8.3.1")
async def test_an_export_over_grpc_is_answered_as_the_page_says(running: Running) -> None:
    server = grpc.aio.server(interceptors=running.application.grpc_interceptors())
    running.application.add_grpc_services(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    found = {}
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            export = TraceServiceStub(channel).Export
            for name, bearer in running.bearers.items():
                metadata = [("authorization", f"Bearer {bearer}")] if bearer else []
                call = export(ExportTraceServiceRequest(), metadata=metadata)
                found[name] = await call.code()
    finally:
        await server.stop(None)
    row = ROWS["gRPC", EXPORT_RPC]
    assert found == {name: STATUS_OF_CELL[cell] for name, cell in row.items()}
