"""Retention, deletion, export. Spec: lines 261-266; contract, section 11."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from started import FIRST_PASSWORD, StartedServer

DAYS = "PHOENIX_DEFAULT_RETENTION_POLICY_DAYS"
WAIT_SECONDS = 60


def posted_span(number: int, days: float = 0, **attributes: Any) -> dict[str, Any]:
    """Return a span, alone in its trace, that began so many days ago."""
    start = datetime.now(UTC) - timedelta(days=days)
    return {
        "name": "s",
        "context": {"trace_id": f"{number:032x}", "span_id": f"{number:016x}"},
        "span_kind": "CHAIN",
        "start_time": start.isoformat(),
        "end_time": (start + timedelta(seconds=1)).isoformat(),
        "status_code": "OK",
        "attributes": attributes,
    }


def post_spans(client: httpx.Client, project: str, *given: dict[str, Any]) -> None:
    answer = client.post(f"/v1/projects/{project}/spans", json={"data": list(given)})
    assert answer.status_code == 202, answer.text


def trace_numbers(client: httpx.Client, project: str) -> list[int]:
    answer = client.get(f"/v1/projects/{project}/traces", params={"limit": 1000})
    return sorted(int(trace["trace_id"], 16) for trace in answer.json()["data"])


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


def events_of(client: httpx.Client, event: str) -> list[dict[str, Any]]:
    answer = client.get("/v1/audit_events", params={"event": event, "order": "asc"})
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def make_user(admin: httpx.Client, server: StartedServer, name: str, role: str) -> httpx.Client:
    """Make an account that has changed its first password; return a client that is signed in."""
    email = f"{name}@example.com"
    user = {
        "email": email,
        "username": name,
        "role": role,
        "auth_method": "LOCAL",
        "password": FIRST_PASSWORD,
    }
    assert admin.post("/v1/users", json={"user": user}).status_code == 201
    password = f"password-of-{name}-42"
    change = {"current_password": FIRST_PASSWORD, "password": password}
    first = server.sign_in(email, FIRST_PASSWORD)
    assert first.patch("/v1/user", json=change).status_code == 200
    return server.sign_in(email, password)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("privacy")) as started:
        yield started


@pytest.fixture(scope="module")
def admin(server: StartedServer) -> httpx.Client:
    return server.admin()


# --- line 264: retention -----------------------------------------------------------------------


def bennu(server: StartedServer, *arguments: str) -> "subprocess.CompletedProcess[str]":
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PHOENIX_")}
    return subprocess.run(
        [sys.executable, "-m", "bennu", *arguments],
        env={**kept, **{k: v for k, v in server.env.items() if v}},
        cwd=server.folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_264_the_variable_counts_from_each_start_and_a_missed_run_is_caught_up(
    tmp_path: Path,
) -> None:
    server = StartedServer(tmp_path, {DAYS: "90"})
    with server:
        client = server.admin()
        post_spans(client, "p", posted_span(1, 100), posted_span(2, 50), posted_span(3, 1))
    with server:
        # The run that these spans need was missed while the server was down.
        client = server.admin()
        wait_for(lambda: trace_numbers(client, "p") == [2, 3])
    server.env[DAYS] = "30"
    with server:
        preview = bennu(server, "retention", "preview", "--json")
        assert preview.returncode == 0, preview.stderr
        client = server.admin()
        wait_for(lambda: trace_numbers(client, "p") == [3])
        default = client.get("/v1/retention_policies").json()["data"][0]
        assert default["rule"] == {"type": "max_days", "max_days": 30.0}
        assert (default["is_default"], default["name"]) == (True, "Default")
        wait_for(lambda: len(events_of(client, "retention.swept")) == 2)
        swept = events_of(client, "retention.swept")[0]
        assert swept["after"]["deleted"] == {"traces": 1, "spans": 1, "sessions": 0}
        assert (swept["actor"]["kind"], swept["target"]["name"]) == ("server", "p")


def test_264_a_policy_takes_effect_at_once_and_a_held_trace_stays(
    server: StartedServer, admin: httpx.Client
) -> None:
    post_spans(admin, "kept", *(posted_span(n, n) for n in range(1, 7)))
    held = {"project": "kept", "trace_id": f"{6:032x}", "reason": "a law suit"}
    hold = admin.post("/v1/legal_holds", json=held)
    assert hold.status_code == 201
    body = {"name": "short", "rule": {"type": "max_days_or_count", "max_days": 4.5, "max_count": 3}}
    policy = admin.post("/v1/retention_policies", json=body).json()["data"]
    assert (policy["cron_expression"], policy["project_count"]) == ("0 0 * * 0", 0)
    answer = admin.patch("/v1/projects/kept/retention", json={"policy_id": policy["id"]})
    project_id = answer.json()["data"]["project_id"]
    assert answer.json() == {"data": {"project_id": project_id, "policy_id": policy["id"]}}
    followed = admin.get(f"/v1/projects/{project_id}/retention").json()["data"]
    assert (followed["name"], followed["rule"]) == ("short", body["rule"])
    wait_for(lambda: trace_numbers(admin, "kept") == [1, 2, 3, 6])
    # What is held, nobody deletes by hand either.
    assert admin.delete(f"/v1/traces/{6:032x}").status_code == 409
    assert admin.delete("/v1/projects/kept").status_code == 409
    assert admin.delete(f"/v1/spans/{6:016x}").status_code == 409
    change = {"rule": {"type": "max_days", "max_days": 2.5}}
    changed = admin.patch(f"/v1/retention_policies/{policy['id']}", json=change)
    assert changed.json()["data"]["project_count"] == 1
    wait_for(lambda: trace_numbers(admin, "kept") == [1, 2, 6])
    preview = json.loads(bennu(server, "retention", "preview", "--json").stdout)
    (shown,) = [one for one in preview if one["project_name"] == "kept"]
    assert (shown["traces"], shown["held_traces"], shown["policy_name"]) == (0, 1, "short")
    previewed = admin.get("/v1/retention/preview").json()["data"]
    assert [one["traces"] for one in previewed if one["project_name"] == "kept"] == [0]
    assert admin.delete(f"/v1/legal_holds/{hold.json()['data']['id']}").status_code == 204
    assert admin.delete(f"/v1/traces/{6:032x}").status_code == 204
    assert admin.delete(f"/v1/retention_policies/{policy['id']}").status_code == 204
    assert admin.get("/v1/projects/kept/retention").json()["data"]["policy_id"] is None
    names = [event["event"] for event in admin.get("/v1/audit_events").json()["data"]]
    assert {"retention.changed", "hold.set", "hold.released"} <= set(names)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("PATCH", "/v1/projects/default/retention", {}, 422, "policy_id"),
        ("PATCH", "/v1/projects/default/retention", {"policy_id": "x"}, 422, "Invalid"),
        ("PATCH", "/v1/projects/nope/retention", {"policy_id": None}, 404, "not found"),
        ("GET", "/v1/projects/nope/retention", None, 404, "not found"),
        ("PATCH", "/v1/projects/default/retention", {"policy_id": "UHJvamVjdDox"}, 422, "Invalid"),
        ("POST", "/v1/retention_policies", {"name": "a"}, 422, "rule"),
        (
            "POST",
            "/v1/retention_policies",
            {"name": "a", "rule": {"type": "max_days"}},
            422,
            "max_days",
        ),
        (
            "POST",
            "/v1/retention_policies",
            {"name": "a", "rule": {"type": "max_days", "max_days": 1}, "cron_expression": "1 * *"},
            422,
            "cron_expression",
        ),
        (
            "POST",
            "/v1/retention_policies",
            {"name": "Default", "rule": {"type": "max_days", "max_days": 1}},
            409,
            "exists already",
        ),
        ("PATCH", "/v1/retention_policies/<default>", {"name": "x"}, 403, "renamed"),
        ("DELETE", "/v1/retention_policies/<default>", None, 403, "deleted"),
        ("GET", "/v1/retention_policies/<none>", None, 404, "not found"),
        ("PATCH", "/v1/retention_policies/<none>", {"name": "x"}, 404, "not found"),
        ("GET", "/v1/retention_policies/x", None, 422, "Invalid"),
        ("POST", "/v1/legal_holds", {"project": "default", "reason": " "}, 422, "reason"),
        ("POST", "/v1/legal_holds", {"project": "nope", "reason": "r"}, 404, "not found"),
        (
            "POST",
            "/v1/legal_holds",
            {"project": "default", "reason": "r", "trace_id": "zz"},
            404,
            "no such trace",
        ),
        (
            "POST",
            "/v1/legal_holds",
            {"project": "default", "reason": "r", "session_id": "s"},
            404,
            "no such session",
        ),
        (
            "POST",
            "/v1/legal_holds",
            {"project": "default", "reason": "r", "session_id": "s", "trace_id": "t"},
            422,
            "not both",
        ),
        ("DELETE", "/v1/legal_holds/x", None, 422, "Invalid"),
        ("DELETE", "/v1/legal_holds/TGVnYWxIb2xkOjk5", None, 404, "not found"),
    ],
)
def test_264_what_is_wrong_is_said(
    admin: httpx.Client, method: str, path: str, body: Any, status: int, said: str
) -> None:
    default = "UHJvamVjdFRyYWNlUmV0ZW50aW9uUG9saWN5OjA="
    none = "UHJvamVjdFRyYWNlUmV0ZW50aW9uUG9saWN5Ojk5"
    asked = path.replace("<default>", default).replace("<none>", none)
    answer = admin.request(method, asked, json=body)
    assert answer.status_code == status, answer.text
    assert said in answer.text


def test_264_members_and_viewers_change_no_retention(
    server: StartedServer, admin: httpx.Client
) -> None:
    for role in ("MEMBER", "VIEWER"):
        client = make_user(admin, server, f"retention-{role.lower()}", role)
        refused = client.patch("/v1/projects/default/retention", json={"policy_id": None})
        assert refused.status_code == 403
        assert refused.text == "Only admin or system users can perform this action."
        assert client.get("/v1/retention_policies").status_code == 403
        assert client.get("/v1/legal_holds").status_code == 403
        assert client.get("/v1/projects/default/retention").status_code == 200


def test_264_space_is_given_back(server: StartedServer) -> None:
    """The file can shrink: it was made with ``auto_vacuum = INCREMENTAL``."""
    database = sqlite3.connect(server.folder / "work" / "bennu.db")
    assert database.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    database.close()
