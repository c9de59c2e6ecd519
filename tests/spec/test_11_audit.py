"""Spec lines 251-260 and 276-279: what people do is recorded, through the doors that they use.

One story is played against one server; each row of ``EXPECTED`` is a record that must come of it.
"""

import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from bennu.audit.events import EventName
from bennu.storage.database import Database
from bennu.storage.migrate import migrate
from bennu.storage.settings import StorageSettings
from fakes.clock import FrozenClock
from fakes.trail import SECRET as TRAIL_SECRET
from fakes.trail import started_trail
from started import ADMIN_EMAIL, ADMIN_SECRET, FIRST_PASSWORD, PASSWORD, StartedServer

AGENT = "person/1.0"
TESTS = Path(__file__).parent.parent
SOURCES = TESTS.parent / "src" / "bennu"
EVE, EVE_PASSWORD = "eve@example.com", "the-Password-of-Eve-7"

OTHER_PROJECT = "restricted key, other project"


@dataclass(frozen=True)
class Expected:
    """A record that the story must leave; only what is named is compared."""

    event: EventName
    target_kind: str
    actor_kind: str = "user"
    credential_kind: str = "session"
    outcome: str = "succeeded"
    reason: str = ""
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    target_name: str = ""
    has_address: bool = field(default=True, kw_only=True)

    def fits(self, record: dict[str, Any]) -> bool:
        wanted = {"event": self.event, "outcome": self.outcome, "reason": self.reason}
        return (
            all(record[name] == value for name, value in wanted.items())
            and (self.before or {}).items() <= (record["before"] or {}).items()
            and (self.after or {}).items() <= (record["after"] or {}).items()
            and record["target"]["kind"] == self.target_kind
            and self.target_name in record["target"]["name"]
            and record["actor"]["kind"] == self.actor_kind
            and record["credential"]["kind"] == self.credential_kind
            and (record["address"] == "127.0.0.1") is self.has_address
        )


ANYBODY = {"actor_kind": "anonymous", "credential_kind": "anonymous"}
FAILED = {"outcome": "failed", **ANYBODY}
DENIED: dict[str, Any] = {"outcome": "denied"}
REFUSED: dict[str, Any] = {**DENIED, **ANYBODY}
BY_KEY = {"actor_kind": "user_key", "credential_kind": "api_key"}
E = EventName
EXPECTED = (
    # Line 257: user login/logout.
    Expected(E.SIGN_IN_SUCCEEDED, "session"),
    Expected(E.SIGN_OUT, "session"),
    Expected(E.SESSION_ENDED, "session"),
    Expected(E.SESSION_ENDED, "user", target_name="eve"),
    Expected(
        E.SESSION_REFRESHED_TWICE,
        "session",
        outcome="denied",
        reason="refresh_token_reused",
        **ANYBODY,
    ),
    # Line 258: failed authentication attempts.
    Expected(E.SIGN_IN_FAILED, "user", reason="wrong_password", **FAILED),
    Expected(E.SIGN_IN_FAILED, "user", reason="unknown_user", **FAILED),
    Expected(E.SIGN_IN_FAILED, "user", reason="deactivated", **FAILED),
    Expected(E.DENIED, "route", reason="not a credential of this server", **REFUSED),
    Expected(E.DENIED, "route", reason="unknown credential", **REFUSED),
    Expected(E.DENIED, "rpc", reason="not a credential of this server", **REFUSED),
    # Line 259: API key creation/deletion.
    Expected(E.API_KEY_CREATED, "api_key", target_name="of a user"),
    Expected(E.API_KEY_CREATED, "api_key", target_name="of the system"),
    Expected(E.API_KEY_ROTATED, "api_key", after={"overlap_minutes": 5}),
    Expected(E.API_KEY_IDENTIFIED, "api_key", target_name="of a user"),
    Expected(E.API_KEY_REVOKED, "api_key", target_name="of a user"),
    Expected(E.API_KEY_REVOKED, "api_key", target_name="of the system"),
    # Line 260: permission changes.
    Expected(E.ROLE_ASSIGNED, "user", before={"role": "MEMBER"}, after={"role": "VIEWER"}),
    Expected(E.ROLE_CREATED, "role"),
    Expected(E.ROLE_CHANGED, "role"),
    Expected(E.ROLE_DELETED, "role"),
    Expected(E.DENIED, "route", reason="missing permission users:read", **DENIED),
    Expected(E.DENIED, "rpc", reason="missing permission traces:ingest", **DENIED, **BY_KEY),
    Expected(E.DENIED, "rpc", reason=OTHER_PROJECT, **DENIED, **BY_KEY),
    # And what else changes who may do what, or what is kept.
    Expected(
        E.USER_CREATED, "user", actor_kind="server", credential_kind="server", has_address=False
    ),
    Expected(E.USER_CREATED, "user", target_name="eve"),
    Expected(E.USER_CHANGED, "user", before={"active": True}, after={"active": False}),
    Expected(E.PASSWORD_CHANGED, "user"),
    Expected(E.USER_DELETED, "user", target_name="eve"),
    Expected(E.SECRET_CHANGED, "secret"),
    Expected(E.SETTINGS_CHANGED, "settings"),
    Expected(E.PROJECT_CREATED, "project", target_name="observed"),
    Expected(E.PROJECT_CHANGED, "project", target_name="observed"),
    Expected(E.PROJECT_DELETED, "project", target_name="observed"),
    Expected(E.SPAN_DELETED, "span"),
    Expected(E.TRACE_DELETED, "trace"),
    Expected(E.TRACE_TRANSFERRED, "trace"),
    Expected(E.SESSION_DELETED, "trace_session"),
    Expected(E.ANNOTATION_DELETED, "project"),
    Expected(E.ANNOTATION_CONFIG_CREATED, "annotation_config"),
    Expected(E.ANNOTATION_CONFIG_CHANGED, "annotation_config"),
    Expected(E.ANNOTATION_CONFIG_ASSIGNED, "project"),
    Expected(E.ANNOTATION_CONFIG_DELETED, "annotation_config"),
    Expected(E.AUDIT_READ, "audit"),
)


class Story:
    """What one admin, Eve and some strangers do to a server."""

    def __init__(self, server: StartedServer) -> None:
        self.server = server
        self.admin = server.admin()
        self.admin.headers["user-agent"] = AGENT
        self.strangers()
        self.eve_id = self.hire_eve()
        self.keys()
        self.roles()
        self.settings()
        self.data()
        self.bad_credentials()
        self.sessions()
        self.dismiss_eve()
        self.records: list[dict[str, Any]] = self.read_trail()

    def good(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.admin.request(method, path, json=body)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json().get("data") if answer.content else None

    def strangers(self) -> None:
        login = self.server.client().post
        for email, password in ((ADMIN_EMAIL, "wrong"), ("nobody@example.com", "x")):
            body = {"email": email, "password": password}
            headers = {"user-agent": "agent\tforged", "x-forwarded-for": "203.0.113.9"}
            assert login("/auth/login", json=body, headers=headers).status_code == 401

    def hire_eve(self) -> str:
        new = {"username": "eve", "email": EVE, "role": "MEMBER", "auth_method": "LOCAL"}
        made = self.good("POST", "/v1/users", {"user": {**new, "password": FIRST_PASSWORD}})
        first = self.server.sign_in(EVE, FIRST_PASSWORD)
        change = {"current_password": FIRST_PASSWORD, "password": EVE_PASSWORD}
        assert first.patch("/v1/user", json=change).status_code == 200
        self.eve = self.server.sign_in(EVE, EVE_PASSWORD)
        assert self.eve.get("/v1/users").status_code == 403
        return str(made["id"])

    def keys(self) -> None:
        mine = self.good("POST", "/v1/user/api_keys", {"data": {"name": "of a user"}})
        system = self.good("POST", "/v1/system/api_keys", {"data": {"name": "of the system"}})
        self.bearer = str(mine["key"])
        self.good("DELETE", f"/v1/system/api_keys/{system['id']}")
        self.mine = str(mine["id"])

    def roles(self) -> None:
        self.good("POST", "/v1/roles", {"name": "AUDITOR", "permissions": ["audit:read"]})
        self.good("PATCH", "/v1/roles/AUDITOR", {"permissions": ["audit:read", "users:read"]})
        self.good("DELETE", "/v1/roles/AUDITOR")
        self.good("PATCH", f"/v1/users/{self.eve_id}", {"role": "VIEWER"})

    def settings(self) -> None:
        smtp = {"hostname": "mail.example.com", "username": "m", "password": "hidden-Mail-Password"}
        self.good("PUT", "/v1/settings/smtp", smtp)
        self.good("PUT", "/v1/secrets", {"secrets": [{"key": "K", "value": "hidden-Value"}]})

    def export(self, bearer: str, number: int = 1, project: str = "observed") -> grpc.StatusCode:
        """Send one span over gRPC; return the status."""
        request = ExportTraceServiceRequest()
        resource_spans = request.resource_spans.add()
        named = resource_spans.resource.attributes.add(key="openinference.project.name")
        named.value.string_value = project
        span = resource_spans.scope_spans.add().spans.add()
        span.trace_id, span.span_id = bytes([number]) * 16, bytes([number]) * 8
        span.name = "a span"
        span.start_time_unix_nano = span.end_time_unix_nano = 1_700_000_000_000_000_000
        session = span.attributes.add(key="session.id")
        session.value.string_value = f"session-{number}"
        metadata = (("authorization", f"Bearer {bearer}"),)
        with grpc.insecure_channel(f"127.0.0.1:{self.server.grpc_port}") as channel:
            try:
                TraceServiceStub(channel).Export(request, metadata=metadata, timeout=30)
            except grpc.RpcError as error:
                status: grpc.StatusCode = error.code()
                return status
        return grpc.StatusCode.OK

    def data(self) -> None:
        self.good("POST", "/v1/projects", {"name": "observed"})
        self.good("PUT", "/v1/projects/observed", {"description": "changed"})
        for number in range(1, 5):
            assert self.export(self.bearer, number) is grpc.StatusCode.OK
        self.annotations("01" * 8)
        self.good("DELETE", "/v1/spans/" + "01" * 8)
        self.good("DELETE", "/v1/traces/" + "02" * 16)
        moved = {"trace_identifiers": ["03" * 16], "destination_project_identifier": "default"}
        self.good("POST", "/v1/traces/transfer", moved)
        self.good("DELETE", "/v1/sessions/session-4")
        self.good("DELETE", "/v1/projects/observed")

    def annotations(self, span_id: str) -> None:
        said = {"name": "n", "annotator_kind": "CODE", "span_id": span_id}
        said_so = {"data": [{**said, "result": {"label": "good"}}]}
        self.good("POST", "/v1/span_annotations?sync=true", said_so)
        self.good("DELETE", "/v1/projects/observed/span_annotations?delete_all=true")
        self.good("POST", "/v1/annotation_configs", {"name": "c", "type": "FREEFORM"})
        self.good("PUT", "/v1/annotation_configs/c", {"name": "d", "type": "FREEFORM"})
        self.good("PUT", "/v1/projects/observed/annotation_configs/d")
        self.good("DELETE", "/v1/annotation_configs/d")

    def bad_credentials(self) -> None:
        denied, unknown = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
        reading = self.server.api_key(self.admin, permissions=["traces:read"])
        assert self.export(reading) is denied
        restricted = self.server.api_key(self.admin, projects=["default"])
        assert self.export(restricted, project="others") is denied
        assert self.export("nonsense") is unknown
        self.good("POST", f"/v1/user/api_keys/{self.mine}/rotate", {"overlap_minutes": 5})
        self.good("POST", "/v1/api_keys/identify", {"key": self.bearer})
        self.good("DELETE", f"/v1/user/api_keys/{self.mine}")
        for bearer in ("nonsense", self.bearer):
            for _ in range(30):
                answer = self.server.client(bearer).get("/v1/projects")
                assert answer.status_code == 401

    def sessions(self) -> None:
        leaving = self.server.sign_in(EVE, EVE_PASSWORD)
        assert leaving.post("/auth/logout").status_code == 204
        copied = self.server.sign_in(EVE, EVE_PASSWORD)
        stolen = httpx.Cookies(copied.cookies)
        assert copied.post("/auth/refresh").status_code == 204
        with sqlite3.connect(self.server.folder / "work" / "bennu.db", timeout=10) as database:
            # As if the twenty seconds were over in which two tabs may refresh together.
            database.execute("UPDATE credentials SET consumed_at = consumed_at - 60000000")
        database.close()
        thief = self.server.client()
        thief.cookies = stolen
        assert thief.post("/auth/refresh").status_code == 401
        assert copied.get("/v1/user").status_code == 401
        own = self.server.sign_in(EVE, EVE_PASSWORD)
        listed = own.get("/v1/user/sessions").json()["data"]
        (current,) = [one["id"] for one in listed if one["current"]]
        assert own.delete(f"/v1/user/sessions/{current}").status_code == 204
        self.server.sign_in(EVE, EVE_PASSWORD)
        assert self.admin.delete(f"/v1/users/{self.eve_id}/sessions").status_code < 300

    def dismiss_eve(self) -> None:
        self.good("PATCH", f"/v1/users/{self.eve_id}", {"active": False})
        body = {"email": EVE, "password": EVE_PASSWORD}
        assert self.server.client().post("/auth/login", json=body).status_code == 401
        self.good("DELETE", f"/v1/users/{self.eve_id}")

    def read_trail(self) -> list[dict[str, Any]]:
        path = "/v1/audit_events?order=asc"
        answer = self.admin.get(path, headers={"accept": "application/x-ndjson"})
        return [json.loads(line) for line in answer.text.splitlines()]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    env = {"PHOENIX_LOGGING_MODE": "structured", "PHOENIX_LOGGING_LEVEL": "info"}
    with StartedServer(tmp_path_factory.mktemp("audit"), env) as server:
        yield Story(server)


@pytest.mark.asvs("16.3.1", "16.3.2")
@pytest.mark.parametrize(
    "expected", EXPECTED, ids=lambda e: f"{e.event}-{e.target_kind}-{e.reason}"
)
def test_what_people_do_is_recorded(story: Story, expected: Expected) -> None:
    of_the_event = [record for record in story.records if record["event"] == expected.event]
    assert any(expected.fits(record) for record in of_the_event), of_the_event


def test_every_event_is_named_by_a_test(story: Story) -> None:
    """Caused here, or named where its feature is tested.

    A reminder for whoever adds an event: that its test also causes it is for a reader to see.
    """
    seen = {record["event"] for record in story.records}
    sources = _texts(SOURCES, but=SOURCES / "audit" / "events.py")
    tests = _texts(TESTS, but=Path(__file__))
    for event in EventName:
        name = f"EventName.{event.name}"
        is_recorded = any(re.search(rf"{name}\b", text) for text in sources)
        is_tested = any(re.search(rf"{name}\b|{event}[\"' ]", text) for text in tests)
        assert not is_recorded or event in seen or is_tested, f"no test names {event}"


def _texts(folder: Path, but: Path) -> list[str]:
    return [path.read_text() for path in folder.rglob("*.py") if path != but]


@pytest.mark.asvs("16.3.2")
def test_a_burst_of_bad_credentials_is_one_record_at_first(story: Story) -> None:
    reasons = [record["reason"] for record in story.records if record["event"] == E.DENIED]
    assert reasons.count("unknown credential") == 1
    story.server.terminate()
    story.server.start()
    folded = story.server.client(ADMIN_SECRET).get(f"/v1/audit_events?event={E.DENIED}").json()
    counts = {r["reason"]: r["count"] for r in folded["data"] if r["count"] > 1}
    assert counts["unknown credential"] == 29


def test_the_trail_of_the_story_verifies(story: Story) -> None:
    assert verified(story.server)["records"] >= len(story.records)


@pytest.mark.asvs("16.2.1", "16.2.2")
def test_each_record_says_who_whence_and_with_what(story: Story) -> None:
    admin = next(r for r in story.records if r["event"] == E.PROJECT_CREATED)
    assert admin["user_agent"] == AGENT
    assert admin["actor"]["name"] == "admin"
    assert admin["credential"]["id"]
    assert re.fullmatch("[0-9a-f]{16}", admin["request_id"])
    ids = [record["id"] for record in story.records]
    assert len(set(ids)) == len(ids)
    assert [record["sequence"] for record in story.records] == list(range(1, len(ids) + 1))
    times = [record["time_utc"] for record in story.records]
    assert times == sorted(times)
    assert all(time.endswith("+00:00") for time in times)


@pytest.mark.asvs("16.2.5")
def test_no_secret_is_in_trail_or_log(story: Story) -> None:
    told = json.dumps(story.records) + story.server.log()
    for secret in (
        *(PASSWORD, FIRST_PASSWORD, EVE_PASSWORD, ADMIN_SECRET, story.bearer),
        *("hidden-Mail-Password", "hidden-Value", story.server.env["PHOENIX_SECRET"]),
        *story.admin.cookies.values(),
    ):
        assert secret not in told


async def write_old_records(path: Path, records: int) -> None:
    settings = StorageSettings(path.parent, sqlite_path=path)
    clock = FrozenClock(datetime(2020, 1, 1, tzinfo=UTC))
    database = Database(settings, clock)
    await database.start()
    await migrate(database, settings)
    await started_trail(database, clock, records)
    await database.stop()


def test_a_started_server_prunes_and_keeps_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "work" / "bennu.db"
    path.parent.mkdir()
    asyncio.run(write_old_records(path, 30))
    with StartedServer(tmp_path, {"PHOENIX_SECRET": TRAIL_SECRET}) as server:
        server.wait_for_log("retention.swept")
        server.wait_for_log("audit.checkpoint")
        listed = server.client(ADMIN_SECRET).get("/v1/audit_events?order=asc").json()["data"]
        assert listed[0]["sequence"] == 31
        (swept,) = [record for record in listed if record["event"] == E.RETENTION_SWEPT]
        assert swept["after"]["deleted"] == 30
        assert verified(server)["records"] == listed[-1]["sequence"] - 30


def verified(server: StartedServer) -> Any:
    """Run ``bennu audit verify``, which must find nothing wrong."""
    command = [sys.executable, "-m", "bennu", "audit", "verify", "--json"]
    env = {**server.env, "PATH": os.defpath}
    done = subprocess.run(command, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- lines of the log ----------------------------------------------------------------------


@pytest.mark.asvs("14.2.4")
def test_each_record_is_a_line_of_the_log_with_ids_and_without_names(story: Story) -> None:
    lines = {r["sequence"]: r for r in story.server.log_records() if "outcome" in r}
    for record in story.records:
        line = lines[record["sequence"]]
        assert line["message"] == record["event"]
        assert line.get("actor", "") == record["actor"]["id"]
        assert line.get("target", "") == record["target"]["id"]
        assert line.get("request_id", "") == record["request_id"]
    # The first line tells the operator how to sign in, hence the fixed name of the first account.
    log = [line for line in story.server.log().splitlines() if "server.first_sign_in" not in line]
    for name in (ADMIN_EMAIL, EVE, "nobody@example.com", "x@example.com"):
        assert not [line for line in log if name in line]


@pytest.mark.asvs("16.2.4")
def test_everything_is_json_start_and_access_lines_included(story: Story) -> None:
    records = story.server.log_records()
    messages = [record["message"] for record in records]
    assert {"server.started", "http.request"} <= set(messages)
    for record in records:
        assert {"timestamp", "level", "logger", "message"} <= record.keys()
        assert "sign_in.succeeded" not in record["message"] or record["logger"] == "bennu.audit"
    access = next(r for r in records if r["message"] == "http.request" and "actor" in r)
    assert {"method", "path", "status", "address", "request_id"} <= access.keys()
