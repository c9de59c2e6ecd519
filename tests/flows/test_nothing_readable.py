"""An ingest-only key of one project, and what of all credentials used can be read in the database.

Spec: lines 140, 152-155, 164-176.
"""

import base64
import os
import secrets
import sqlite3
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from peers.postgres import PostgresServer, binaries
from started import StartedServer

TRACE = "ab" * 16
EXPORT = {"content-type": "application/x-protobuf"}


def export_to(project: str) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    attribute = resource_spans.resource.attributes.add()
    attribute.key, attribute.value.string_value = "openinference.project.name", project
    span = resource_spans.scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = bytes.fromhex(TRACE), secrets.token_bytes(8), "s"
    span.start_time_unix_nano = span.end_time_unix_nano = 1_700_000_000_000_000_000
    return request


@dataclass
class Place:
    """A server, its database, and every credential that the test has used."""

    server: StartedServer
    postgres: tuple[PostgresServer, str] | None
    used: list[str] = field(default_factory=list)

    def new_password(self) -> str:
        self.used.append(f"pw-{secrets.token_urlsafe(12)}")
        return self.used[-1]

    def sign_in(self, email: str, password: str) -> httpx.Client:
        client = self.server.client()
        answer = client.post("/auth/login", json={"email": email, "password": password})
        assert answer.status_code == 204, answer.text
        self.used += dict(client.cookies).values()
        return client

    def make_key(self, client: httpx.Client, kind: str = "user", **data: Any) -> str:
        body = {"data": {"name": "key", **data}}
        made = client.post(f"/v1/{kind}/api_keys", json=body)
        assert made.status_code == 201, made.text
        self.used.append(made.json()["data"]["key"])
        return self.used[-1]

    def database_bytes(self) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of every file that the database keeps, and of a dump."""
        yield "dump", self._dump()
        folder = self.server.folder
        if self.postgres is not None:
            self.postgres[0].sql("CHECKPOINT")
            folder = self.postgres[0].data
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert len(files) > 1
        for path in files:
            if path != self.server.log_file:
                yield str(path), path.read_bytes()

    def _dump(self) -> bytes:
        if self.postgres is None:
            (path,) = self.server.folder.rglob("*.db")
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                return "\n".join(connection.iterdump()).encode()
        server, name = self.postgres
        found = server.settings_for(name)
        folder = binaries()
        assert folder is not None
        assert found.password is not None
        done = subprocess.run(
            [
                str(folder / "pg_dump"),
                "-h",
                found.host,
                "-p",
                str(found.port),
                "-U",
                found.user,
                name,
            ],
            env={"PATH": os.defpath, "PGPASSWORD": found.password.reveal(), "PGSSLMODE": "require"},
            capture_output=True,
            check=True,
        )
        return done.stdout


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    env, postgres = {}, None
    if request.param == "postgresql":
        env["PHOENIX_SQL_DATABASE_URL"] = request.getfixturevalue("postgres_url")
        settings = request.getfixturevalue("postgres_settings")
        postgres = (request.getfixturevalue("postgres_server"), settings.postgres.database)
    first_password = f"first-{secrets.token_urlsafe(12)}"
    env["PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD"] = first_password
    with StartedServer(tmp_path, env) as server:
        yield Place(server, postgres, [first_password])


def forms_of(secret: str) -> set[bytes]:
    """Return how a secret could stand in a file; of a credential its secret part alone."""
    raw = (secret.split("_")[3] if secret.startswith("bnu_") else secret).encode()
    return {raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"=")}


def test_an_ingest_only_key_stays_inside_and_nothing_used_can_be_read(place: Place) -> None:
    server = place.server
    admin = changed_admin(place)
    for name in ("A", "B"):
        assert admin.post("/v1/projects", json={"name": name}).status_code == 200
    free = place.make_key(admin)
    assert server.client(free).post("/v1/traces", content=_bytes("B"), headers=EXPORT).is_success
    password = place.new_password()
    user = {"email": "ada@example.com", "username": "ada", "role": "MEMBER"}
    body = {"user": {**user, "auth_method": "LOCAL", "password": password}}
    assert admin.post("/v1/users", json=body).status_code == 201
    place.sign_in("ada@example.com", password)
    place.make_key(admin, "system")
    assert admin.post("/auth/refresh").status_code == 204
    place.used += dict(admin.cookies).values()

    key = place.make_key(admin, permissions=["traces:ingest"], projects=["A"])
    outside_is_refused(place, key)
    with server.client(free) as client:
        assert client.get("/v1/projects/new").status_code == 404
        spans = client.get("/v1/projects/A/spans").json()["data"]
        assert [span["name"] for span in spans] == ["s", "s"]

    wanted = {form: secret for secret in place.used for form in forms_of(secret)}
    assert len(wanted) >= 3 * 11
    contents = dict(place.database_bytes())
    assert b"ada@example.com" in contents["dump"]  # such as this is not sealed, and is found
    for name, content in contents.items():
        found = {wanted[form][:6] for form in wanted if form in content}
        assert not found, f"{name} holds {found}"


def changed_admin(place: Place) -> httpx.Client:
    first = place.sign_in("admin@localhost", place.used[0])
    password = place.new_password()
    body = {"current_password": place.used[0], "password": password}
    assert first.patch("/v1/user", json=body).status_code == 200
    return place.sign_in("admin@localhost", password)


def outside_is_refused(place: Place, key: str) -> None:
    with (
        place.server.client(key) as client,
        grpc.insecure_channel(f"127.0.0.1:{place.server.grpc_port}") as channel,
    ):
        stub, metadata = TraceServiceStub(channel), (("authorization", f"Bearer {key}"),)
        assert client.post("/v1/traces", content=_bytes("A"), headers=EXPORT).status_code == 200
        stub.Export(export_to("A"), metadata=metadata)
        both = export_to("A")
        both.MergeFrom(export_to("B"))
        for outside in (export_to("B"), export_to("new"), both):
            sent = outside.SerializeToString()
            assert client.post("/v1/traces", content=sent, headers=EXPORT).status_code == 403
            with pytest.raises(grpc.RpcError) as refused:
                stub.Export(outside, metadata=metadata)
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        for path in reading_paths(place.server):
            assert client.get(path).status_code == 403, path
        assert client.delete(f"/v1/spans/{TRACE[:16]}").status_code == 403


def reading_paths(server: StartedServer) -> list[str]:
    """Return every path that reads traces, with the names of what lives in project B."""
    document = server.client(server.env["PHOENIX_ADMIN_SECRET"]).get("/openapi.json").json()
    values = {"project": "B", "trace": TRACE, "span": TRACE[:16]}
    found = []
    for path, methods in document["paths"].items():
        if "get" in methods and path.split("/")[2:3] in (["projects"], ["traces"], ["spans"]):
            named = path.replace("_identifier", "").replace("_id", "")
            found.append(named.format_map(defaultdict(lambda: "x", values)))
    assert "/v1/projects/B/spans" in found
    return found


def _bytes(project: str) -> bytes:
    return export_to(project).SerializeToString()
