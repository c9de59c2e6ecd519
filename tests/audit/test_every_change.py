"""Every route that changes something leaves a record, and without the record nothing changes."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bennu.app import Application
from bennu.audit.events import EventName
from bennu.kernel.env_file import env_of
from bennu.settings import Settings
from started import ADMIN_SECRET, FIRST_PASSWORD, StartedServer

#: What exporters send in numbers is exempt: it is counted, not recorded.
EXEMPT = {("POST", "/v1/traces"), ("POST", "/v1/projects/{project_identifier}/spans")}


@pytest.fixture(scope="module")
def application() -> Application:
    values = {
        "PHOENIX_ENABLE_AUTH": "true",
        "PHOENIX_SECRET": "0123456789abcdef0123456789abcdef",
        "PHOENIX_SQL_DATABASE_URL": "sqlite:///:memory:",
    }
    return Application(Settings.from_env(env_of(values)))


def test_a_changing_route_names_its_events_or_says_why_there_is_none(
    application: Application,
) -> None:
    changing = [route for route in application.routes if route.changes]
    assert len(changing) > 15
    for route in changing:
        name = (route.method, route.path)
        if name in EXEMPT:
            continue
        assert route.events or route.no_event, f"{name} names no audit event"
        assert {str(event) for event in route.events} <= {str(event) for event in EventName}


def test_reading_routes_name_no_events_but_signing_out_by_a_link(
    application: Application,
) -> None:
    reading = {r.path for r in application.routes if not r.changes and r.events}
    assert reading <= {"/auth/logout", "/v1/audit_events", "/oauth2/{provider}/tokens"}


@pytest.fixture
def unwritable(tmp_path: Any) -> Iterator[tuple[StartedServer, httpx.Client, dict[str, str]]]:
    """A server whose audit table takes no rows, an admin signed in before that, and ids."""
    with StartedServer(tmp_path) as server:
        admin = server.admin()
        user = {
            "email": "u@example.com",
            "username": "u",
            "role": "MEMBER",
            "auth_method": "LOCAL",
            "password": FIRST_PASSWORD,
        }
        made = admin.post("/v1/users", json={"user": user}).json()["data"]
        key = admin.post("/v1/user/api_keys", json={"data": {"name": "k"}}).json()["data"]
        system = admin.post("/v1/system/api_keys", json={"data": {"name": "s"}}).json()["data"]
        admin.post("/v1/projects", json={"name": "p"})
        span = {
            "name": "s",
            "context": {"trace_id": "a" * 32, "span_id": "b" * 16},
            "span_kind": "CHAIN",
            "start_time": "2026-01-01T00:00:00Z",
            "end_time": "2026-01-01T00:00:01Z",
            "status_code": "OK",
            "attributes": {"session.id": "s"},
        }
        assert admin.post("/v1/projects/p/spans", json={"data": [span]}).status_code == 202
        said = {"name": "n", "annotator_kind": "CODE", "span_id": "b" * 16}
        path = "/v1/span_annotations?sync=true"
        assert admin.post(path, json={"data": [said]}).status_code == 200
        config = {"name": "c", "type": "FREEFORM"}
        assert admin.post("/v1/annotation_configs", json=config).status_code == 200
        database = sqlite3.connect(tmp_path / "work" / "bennu.db", timeout=10)
        database.execute(
            "CREATE TRIGGER no_more BEFORE INSERT ON audit_events "
            "BEGIN SELECT RAISE(ABORT, 'unwritable'); END"
        )
        database.commit()
        database.close()
        yield server, admin, {"user": made["id"], "key": key["id"], "system": system["id"]}


def state_of(server: StartedServer) -> dict[str, Any]:
    """Read everything that a route could have changed."""
    with server.client(ADMIN_SECRET) as client:
        paths = ("/v1/users", "/v1/projects", "/v1/users/api_keys", "/v1/system/api_keys")
        paths += ("/v1/settings/smtp", "/v1/settings/oauth2_providers", "/v1/projects/p/spans")
        paths += ("/v1/projects/p/span_annotations?span_ids=" + "b" * 16, "/v1/annotation_configs")
        paths += ("/v1/projects/p/annotation_configs",)
        return {path: client.get(path).text for path in paths}


def test_without_its_record_no_change_happens(
    unwritable: tuple[StartedServer, httpx.Client, dict[str, str]],
) -> None:
    server, admin, ids = unwritable
    before = state_of(server)
    new_password = {
        "current_password": "quite-another-Password-5",
        "password": "another one 12345x",
    }
    transfer = {"trace_identifiers": ["a" * 32], "destination_project_identifier": "default"}
    changes: list[tuple[str, str, Any]] = [
        ("POST", "/v1/projects", {"name": "q"}),
        ("PUT", "/v1/projects/p", {"description": "d"}),
        ("DELETE", "/v1/projects/p", None),
        ("DELETE", "/v1/spans/" + "b" * 16, None),
        ("DELETE", "/v1/traces/" + "a" * 32, None),
        ("DELETE", "/v1/sessions/s", None),
        ("POST", "/v1/sessions/delete", {"session_identifiers": ["s"]}),
        ("DELETE", "/v1/projects/p/traces?start_time=2000-01-01&end_time=2100-01-01", None),
        ("POST", "/v1/traces/transfer", transfer),
        ("DELETE", "/v1/projects/p/span_annotations?delete_all=true", None),
        ("POST", "/v1/annotation_configs", {"name": "d", "type": "FREEFORM"}),
        ("PUT", "/v1/annotation_configs/c", {"name": "d", "type": "FREEFORM"}),
        ("DELETE", "/v1/annotation_configs/c", None),
        ("PUT", "/v1/projects/p/annotation_configs/c", None),
        ("PUT", "/v1/projects/p/annotation_configs", {"annotation_config_ids": ["c"]}),
        ("POST", "/v1/user/api_keys", {"data": {"name": "q"}}),
        ("POST", "/v1/system/api_keys", {"data": {"name": "q"}}),
        ("DELETE", f"/v1/user/api_keys/{ids['key']}", None),
        ("DELETE", f"/v1/system/api_keys/{ids['system']}", None),
        ("PATCH", f"/v1/users/{ids['user']}", {"role": "VIEWER"}),
        ("PATCH", f"/v1/users/{ids['user']}", {"active": False}),
        ("DELETE", f"/v1/users/{ids['user']}", None),
        ("PATCH", "/v1/user", new_password),
        ("PUT", "/v1/settings/smtp", {"hostname": "mail.example.com"}),
        ("PUT", "/v1/secrets", {"secrets": [{"key": "A", "value": "b"}]}),
        ("POST", "/auth/logout", None),
    ]
    for method, path, body in changes:
        answer = admin.request(method, path, json=body)
        assert answer.status_code == 503, f"{method} {path}: {answer.status_code} {answer.text}"
        assert "retry-after" in answer.headers
    assert state_of(server) == before
    assert admin.get("/v1/user").status_code == 200
    sign_in = {"email": "u@example.com", "password": FIRST_PASSWORD}
    assert server.client().post("/auth/login", json=sign_in).status_code == 503
