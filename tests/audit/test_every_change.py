"""Every route that changes something leaves a record, and without the record nothing changes."""

import re
import sqlite3
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bennu.app import Application
from bennu.audit.events import EventName
from bennu.audit.log import NOT_RECORDED
from bennu.auth.credential import CredentialKind, make_credential
from bennu.encryption.cipher import Cipher, Keyring
from bennu.httpio.route import Route
from bennu.kernel.env_file import env_of
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.settings import Settings
from started import FIRST_PASSWORD, PASSWORD, SECRET, StartedServer

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


@pytest.mark.asvs("3.5.3")
def test_reading_routes_name_no_events_but_signing_out_by_a_link(
    application: Application,
) -> None:
    reading = {r.path for r in application.routes if not r.changes and r.events}
    assert reading <= {"/auth/logout", "/v1/audit_events", "/oauth2/{provider}/tokens"}


@pytest.fixture
def unwritable(tmp_path: Any) -> Iterator[tuple[StartedServer, httpx.Client, dict[str, str]]]:
    """A server whose audit table takes no rows, an admin signed in before that, and ids."""
    with StartedServer(tmp_path, {"PHOENIX_DISABLE_RATE_LIMIT": "true"}) as server:
        admin = server.admin()
        ids = {**fill_accounts(admin), "reset": reset_credential(server)}
        fill_data(admin)
        ids |= fill_retention(admin)
        # Somebody else's session, which an admin may end.
        server.sign_in("u@example.com", FIRST_PASSWORD)
        database = sqlite3.connect(tmp_path / "work" / "bennu.db", timeout=10)
        database.execute(
            "CREATE TRIGGER no_more BEFORE INSERT ON audit_events "
            "BEGIN SELECT RAISE(ABORT, 'unwritable'); END"
        )
        database.commit()
        database.close()
        yield server, admin, ids


def good(admin: httpx.Client, method: str, path: str, body: Any = None) -> Any:
    answer = admin.request(method, path, json=body)
    assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json()["data"] if answer.content and answer.text != "null" else None


def fill_accounts(admin: httpx.Client) -> dict[str, str]:
    """Make what changes of accounts, keys and settings are done to; return ids."""
    user = {**USER, "email": "u@example.com", "username": "u", "password": FIRST_PASSWORD}
    key = good(admin, "POST", "/v1/user/api_keys", {"data": {"name": "k"}})
    ids = {
        "user": good(admin, "POST", "/v1/users", {"user": user})["id"],
        "key": key["id"],
        "bearer": key["key"],
        "system": good(admin, "POST", "/v1/system/api_keys", {"data": {"name": "s"}})["id"],
        "session": good(admin, "GET", "/v1/user/sessions")[0]["id"],
    }
    good(admin, "POST", "/v1/roles", {"name": "HELD", "permissions": ["audit:read"]})
    good(admin, "PUT", "/v1/settings/smtp", {"hostname": "kept.example.com"})
    good(admin, "PUT", "/v1/settings/oauth2_providers/kept", PROVIDER)
    return ids


def fill_data(admin: httpx.Client) -> None:
    """Make a span with its trace and session, annotations of each, and two configs."""
    good(admin, "POST", "/v1/projects", {"name": "p"})
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
    for kind, about in (("span", "b" * 16), ("trace", "a" * 32), ("session", "s")):
        said = {"name": "n", "annotator_kind": "CODE", f"{kind}_id": about}
        said["result"] = {"label": "good"}  # type: ignore[assignment]
        good(admin, "POST", f"/v1/{kind}_annotations?sync=true", {"data": [said]})
    for name in ("c", "assigned"):
        good(admin, "POST", "/v1/annotation_configs", {"name": name, "type": "FREEFORM"})
    good(admin, "PUT", "/v1/projects/p/annotation_configs/assigned")


def fill_retention(admin: httpx.Client) -> dict[str, str]:
    """Make a policy, and a hold on a project of its own; return their ids."""
    good(admin, "POST", "/v1/projects", {"name": "held"})
    held = good(admin, "POST", "/v1/legal_holds", {"project": "held", "reason": "r"})
    policy = good(admin, "POST", "/v1/retention_policies", POLICY)
    return {"policy": policy["id"], "hold": held["id"]}


def reset_credential(server: StartedServer) -> str:
    """Put a reset link's credential of the new user into the database, as a mail would hold it."""
    credential = make_credential(CredentialKind.RESET, SystemEntropy())
    sealed = Cipher(Keyring.from_secrets(Secret(SECRET))).seal(credential.digest)
    database = sqlite3.connect(server.folder / "work" / "bennu.db", timeout=10)
    database.execute(
        "INSERT INTO credentials (lookup, kind, digest, user_id, created_at, expires_at) "
        "SELECT ?, 'pr', ?, id, created_at, created_at + 600000000 FROM users "
        "WHERE username = 'u'",
        (credential.lookup, sealed),
    )
    database.commit()
    database.close()
    return credential.text.reveal()


#: Every route that changes something and names events: a request that succeeds while records can
#: be written. ``<user>`` and the like stand for the ids of the fixture.
USER = {"email": "v@example.com", "username": "v", "role": "MEMBER", "auth_method": "LOCAL"}
PROVIDER = {"client_id": "c", "client_secret": "s", "oidc_config_url": "https://id.example.com/x"}
POLICY = {"name": "weekly", "rule": {"type": "max_days", "max_days": 0}}
CHANGES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/v1/projects", {"name": "q"}),
    ("PUT", "/v1/projects/p", {"description": "d"}),
    ("DELETE", "/v1/projects/p", None),
    ("DELETE", "/v1/spans/" + "b" * 16, None),
    ("DELETE", "/v1/traces/" + "a" * 32, None),
    ("DELETE", "/v1/sessions/s", None),
    ("POST", "/v1/sessions/delete", {"session_identifiers": ["s"]}),
    ("DELETE", "/v1/projects/p/traces?start_time=2000-01-01&end_time=2100-01-01", None),
    (
        "POST",
        "/v1/traces/transfer",
        {"trace_identifiers": ["a" * 32], "destination_project_identifier": "default"},
    ),
    ("DELETE", "/v1/projects/p/span_annotations?delete_all=true", None),
    ("DELETE", "/v1/projects/p/trace_annotations?delete_all=true", None),
    ("DELETE", "/v1/projects/p/session_annotations?delete_all=true", None),
    ("POST", "/v1/annotation_configs", {"name": "d", "type": "FREEFORM"}),
    ("PUT", "/v1/annotation_configs/c", {"name": "d", "type": "FREEFORM"}),
    ("DELETE", "/v1/annotation_configs/c", None),
    ("PUT", "/v1/projects/p/annotation_configs/c", None),
    ("PUT", "/v1/projects/p/annotation_configs", {"annotation_config_ids": ["c"]}),
    ("DELETE", "/v1/projects/p/annotation_configs/assigned", None),
    ("POST", "/v1/privacy/exports", {}),
    ("POST", "/v1/privacy/erasures", {"subject": {"attribute": "user.id", "value": "a"}}),
    ("POST", "/v1/retention_policies", {**POLICY, "name": "other"}),
    ("PATCH", "/v1/retention_policies/<policy>", {"name": "other"}),
    ("DELETE", "/v1/retention_policies/<policy>", None),
    ("PATCH", "/v1/projects/p/retention", {"policy_id": "<policy>"}),
    ("POST", "/v1/legal_holds", {"project": "p", "reason": "r"}),
    ("DELETE", "/v1/legal_holds/<hold>", None),
    ("POST", "/v1/user/api_keys", {"data": {"name": "q"}}),
    ("DELETE", "/v1/user/api_keys/<key>", None),
    ("POST", "/v1/user/api_keys/<key>/rotate", {"overlap_minutes": 5}),
    ("POST", "/v1/system/api_keys", {"data": {"name": "q"}}),
    ("DELETE", "/v1/system/api_keys/<system>", None),
    ("POST", "/v1/system/api_keys/<system>/rotate", {"overlap_minutes": 0}),
    ("POST", "/v1/api_keys/identify", {"key": "<bearer>"}),
    ("DELETE", "/v1/user/sessions", None),
    ("DELETE", "/v1/user/sessions/<session>", None),
    ("DELETE", "/v1/users/<user>/sessions", None),
    ("POST", "/v1/users", {"user": {**USER, "password": FIRST_PASSWORD}}),
    ("PATCH", "/v1/users/<user>", {"role": "VIEWER"}),
    ("PATCH", "/v1/users/<user>", {"active": False}),
    ("DELETE", "/v1/users/<user>", None),
    ("PATCH", "/v1/user", {"current_password": PASSWORD, "password": "another one 12345x"}),
    ("POST", "/v1/roles", {"name": "R", "permissions": ["audit:read"]}),
    ("PATCH", "/v1/roles/HELD", {"permissions": ["users:read"]}),
    ("DELETE", "/v1/roles/HELD", None),
    ("PUT", "/v1/settings/smtp", {"hostname": "mail.example.com"}),
    ("DELETE", "/v1/settings/smtp", None),
    ("PUT", "/v1/settings/oauth2_providers/new", PROVIDER),
    ("DELETE", "/v1/settings/oauth2_providers/kept", None),
    ("PUT", "/v1/secrets", {"secrets": [{"key": "A", "value": "b"}]}),
    ("POST", "/auth/password-reset", {"token": "<reset>", "password": "another one 12345x"}),
    ("POST", "/auth/login", {"email": "u@example.com", "password": FIRST_PASSWORD}),
    ("POST", "/auth/logout", None),
)
#: Routes that such a request cannot show, and why.
OTHERWISE = {
    ("POST", "/auth/password-reset-email"): "answers alike in any case; writes in the background",
    ("POST", "/oauth2/{provider}/backchannel-logout"): "needs a token that a provider signed",
}
#: Rows that a refused request may leave: what counts attempts, and when something was used.
COUNTING_TABLES = {"sign_in_failures", "known_addresses"}
#: Checkpoints are signed hourly, the first some seconds after the start, with a key of their own.
TIMED_TABLES = {"audit_checkpoints", "purpose_keys"}


def route_of(application: Application, method: str, path: str) -> Route:
    """Return the route that takes a request; fixed words go before names in braces."""
    in_order = sorted(
        (route for route in application.routes if route.method == method),
        key=lambda route: [part[:1] == "{" for part in route.path.split("/")],
    )
    for route in in_order:
        form = re.sub(r"\{\w+:path\}", ".+", route.path)
        form = re.sub(r"\{\w+\}", "[^/]+", form)
        if re.fullmatch(form, path.partition("?")[0]):
            return route
    raise AssertionError(f"no route takes {method} {path}")


def test_each_changing_route_is_tried_below(application: Application) -> None:
    """A new one needs a row of ``CHANGES``, and in the fixture what it is done to."""
    tried = {route_of(application, method, path) for method, path, _ in CHANGES}
    changing = {route for route in application.routes if route.changes and route.events}
    missing = {(r.method, r.path) for r in changing - tried if not r.hidden} - OTHERWISE.keys()
    assert not missing, f"add rows to CHANGES for {sorted(missing)}"
    # Forms of our own pages call the flows that the interface calls.
    shown = {r for r in changing if r in tried or (r.method, r.path) in OTHERWISE}
    events = {event for route in shown for event in route.events}
    assert {event for route in changing if route.hidden for event in route.events} <= events


def everything_stored(server: StartedServer) -> dict[str, list[Any]]:
    """Read all tables but those that count attempts."""
    database = sqlite3.connect(server.folder / "work" / "bennu.db", timeout=10)
    names = [
        row[0]
        for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if row[0] not in COUNTING_TABLES | TIMED_TABLES and not row[0].startswith("sqlite_")
    ]
    tables = {name: database.execute(f"SELECT * FROM {name}").fetchall() for name in names}  # noqa: S608
    database.close()
    return tables


def with_ids(value: Any, ids: dict[str, str]) -> Any:
    """Put ids in place of ``<names>``, in a path or in a body."""
    if isinstance(value, str):
        return re.sub(r"<(\w+)>", lambda match: ids[match[1]], value)
    if isinstance(value, dict):
        return {name: with_ids(inner, ids) for name, inner in value.items()}
    return value


@pytest.mark.asvs("2.3.3", "16.5.3")
def test_without_its_record_no_change_happens(
    unwritable: tuple[StartedServer, httpx.Client, dict[str, str]],
) -> None:
    server, admin, ids = unwritable
    before = everything_stored(server)
    assert {"users", "api_keys", "spans", "audit_events"} <= before.keys()
    for method, path, body in CHANGES:
        client = server.client() if path in {"/auth/login", "/auth/password-reset"} else admin
        answer = client.request(method, with_ids(path, ids), json=with_ids(body, ids))
        assert answer.status_code == 503, f"{method} {path}: {answer.status_code} {answer.text}"
        assert NOT_RECORDED in answer.text
        assert "retry-after" in answer.headers
    after = everything_stored(server)
    for name, rows in before.items():
        assert after[name] == rows, name
    assert admin.get("/v1/user").status_code == 200
