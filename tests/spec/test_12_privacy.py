"""Retention, deletion, export. Spec: lines 261-266; contract, section 11."""

import hashlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import zstandard

from bennu.privacy.export_records import RECORD_TYPES, schema_of
from bennu.storage.settings import StorageSettings
from peers.json_schema import validator_of
from peers.postgres import PostgresServer
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
def administrator(server: StartedServer) -> httpx.Client:
    return server.admin()


@pytest.fixture
def admin(administrator: httpx.Client) -> Iterator[httpx.Client]:
    """An administrator of the shared server; no span of a test is met by the next one."""
    yield administrator
    for hold in administrator.get("/v1/legal_holds").json()["data"]:
        assert administrator.delete(f"/v1/legal_holds/{hold['id']}").status_code == 204
    for project in administrator.get("/v1/projects", params={"limit": 1_000}).json()["data"]:
        if project["name"] != "default":
            assert administrator.delete(f"/v1/projects/{project['id']}").status_code == 204


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


# --- line 265: erasure -------------------------------------------------------------------------

PLANTED = 200
SUBJECT = {"attribute": "user.id", "value": "person-4711@example.com"}


def planted_values() -> list[str]:
    return [f"planted-{number:03d}-{number * 7919:08x}" for number in range(PLANTED)]


def plant(client: httpx.Client, project: str) -> list[str]:
    """Put 200 values of one person into every place that can hold them, others' data around."""
    values = planted_values()
    person = str(SUBJECT["value"])
    for place in range(0, PLANTED, 4):
        one, two, three, four = values[place : place + 4]
        number = 1_000 + place
        root = posted_span(number, **{"user.id": person, "session.id": one, "input.value": two})
        child = posted_span(number + 1, **{"output.value": three})
        child["context"]["trace_id"] = root["context"]["trace_id"]
        child["parent_id"] = root["context"]["span_id"]
        child["name"] = child["status_message"] = f"about {three}"
        other = posted_span(number + 2, **{"user.id": "somebody", "input.value": f"kept {place}"})
        post_spans(client, project, root, child, other)
        about = {"name": "n", "annotator_kind": "HUMAN", "result": {"explanation": four}}
        for kind, target in (
            ("span", child["context"]["span_id"]),
            ("trace", root["context"]["trace_id"]),
            ("session", one),
        ):
            said = {**about, f"{kind}_id": target}
            answer = client.post(f"/v1/{kind}_annotations?sync=true", json={"data": [said]})
            assert answer.status_code == 200, answer.text
    return [*values, person]


def finished(client: httpx.Client, kind: str, identifier: str) -> dict[str, Any]:
    """Wait until a job is over and return it."""
    shown: dict[str, Any] = {}

    def is_over() -> bool:
        shown.update(client.get(f"/v1/privacy/{kind}/{identifier}").json()["data"])
        return shown["status"] in {"done", "failed"}

    wait_for(is_over)
    assert shown["status"] == "done", shown
    return shown


def erase(client: httpx.Client, subject: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = client.post("/v1/privacy/erasures", json={"subject": subject, **more})
    assert answer.status_code == 202, answer.text
    assert answer.json()["data"]["status"] == "queued"
    return finished(client, "erasures", answer.json()["data"]["id"])


def found_in_files(server: StartedServer, values: list[str]) -> set[tuple[str, str]]:
    """Search the bytes of every file of the server, its log included."""
    found = set()
    for path in server.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found |= {(path.name, value) for value in values if value.encode() in content}
    return found


def others_kept(client: httpx.Client, project: str) -> int:
    page = client.get(f"/v1/projects/{project}/spans", params={"limit": 1000}).json()["data"]
    return sum(str(span["attributes"].get("input.value", "")).startswith("kept") for span in page)


def test_265_nothing_of_an_erased_person_is_found_in_any_byte(tmp_path: Path) -> None:
    with StartedServer(tmp_path) as server:
        admin = server.admin()
        values = plant(admin, "p")
        assert found_in_files(server, values)
        counted = erase(admin, SUBJECT, dry_run=True)
        assert counted["receipt"] is None
        assert (counted["counts"]["traces"], counted["counts"]["spans"]) == (50, 100)
        done = erase(admin, SUBJECT)
        assert found_in_files(server, values) == set()
        assert done["counts"] == {"traces": 50, "spans": 100, "annotations": 150, "sessions": 50}
        assert others_kept(admin, "p") == 50
        receipt = tmp_path / "receipt.json"
        receipt.write_text(json.dumps(done["receipt"]))
        assert bennu(server, "privacy", "verify-receipt", "receipt.json").returncode == 0
        forged = {**done["receipt"], "erased": {"traces": 49}}
        (tmp_path / "forged.json").write_text(json.dumps(forged))
        assert bennu(server, "privacy", "verify-receipt", "forged.json").returncode == 1
        assert bennu(server, "audit", "verify").returncode == 0
        event = events_of(admin, "privacy.erased")[-1]
        assert event["after"]["counts"] == done["counts"]
        assert event["actor"]["name"] == "admin"
    assert found_in_files(server, values) == set()


def test_265_three_kills_in_the_middle_change_nothing_in_the_result(tmp_path: Path) -> None:
    server = StartedServer(tmp_path)
    with server:
        admin = server.admin()
        key = server.api_key(admin)
        for start in range(0, 6_000, 1_000):
            numbers = range(start + 1, start + 1_001)
            post_spans(admin, "p", *(posted_span(n, **{"user.id": "x"}) for n in numbers))
        post_spans(admin, "p", *(posted_span(n, **{"user.id": "y"}) for n in range(7_000, 7_100)))
        body = {"subject": {"attribute": "user.id", "value": "x"}}
        job = admin.post("/v1/privacy/erasures", json=body).json()["data"]["id"]
        spans = sqlite3.connect(tmp_path / "work" / "bennu.db", timeout=10)
        for left in (5_500, 3_500, 1_500):
            counted = "SELECT count(*) FROM spans"
            wait_for(lambda: spans.execute(counted).fetchone()[0] <= left + 100)  # noqa: B023
            server.kill()
            server.start()
        spans.close()
        done = finished(server.client(key), "erasures", job)
        assert done["counts"] == {"traces": 6_000, "spans": 6_000}
        assert done["receipt"]["erased"] == done["counts"]
        assert trace_numbers(server.client(key), "p") == list(range(7_000, 7_100))
        assert bennu(server, "audit", "verify").returncode == 0


def test_265_a_restored_older_backup_is_clean_after_its_start(tmp_path: Path) -> None:
    server = StartedServer(tmp_path)
    work = tmp_path / "work"
    with server:
        admin = server.admin()
        values = plant(admin, "p")
        make_user(admin, server, "forgotten-name", "MEMBER")
        server.terminate()
    backup = (work / "bennu.db").read_bytes()
    with server:
        admin = server.admin()
        erase(admin, SUBJECT)
        user = next(u for u in admin.get("/v1/users").json()["data"] if "forgotten" in u["email"])
        assert admin.delete(f"/v1/users/{user['id']}?erase=true").status_code == 204
        server.terminate()
    (work / "bennu.db").write_bytes(backup)
    server.log_file.write_text("")
    with server:
        # Before anybody is answered.
        admin = server.admin()
        assert found_in_files(server, [*values, "forgotten-name"]) == set()
        assert others_kept(admin, "p") == 50
        replayed = events_of(admin, "privacy.erased")[-1]
        assert (replayed["actor"]["kind"], replayed["after"]["state"]) == ("server", "replayed")
        assert bennu(server, "audit", "verify").returncode == 0
        # Somebody new with the number of the erased account is somebody else.
        make_user(admin, server, "newcomer", "MEMBER")
        server.terminate()
    with server:
        names = [user["username"] for user in server.admin().get("/v1/users").json()["data"]]
        assert "newcomer" in names


def test_265_a_user_is_erased_with_all_that_names_them(tmp_path: Path) -> None:
    with StartedServer(tmp_path) as server:
        admin = server.admin()
        name = "very-distinct-name"
        theirs = make_user(admin, server, name, "MEMBER")
        theirs.headers["user-agent"] = "very-distinct-agent"
        key = server.api_key(theirs, name="very-distinct-key")
        post_spans(server.client(key), "p", posted_span(1))
        said = {"name": "n", "annotator_kind": "HUMAN", "result": {"label": "very-distinct-label"}}
        said["span_id"] = f"{1:016x}"
        assert theirs.post("/v1/span_annotations?sync=true", json={"data": [said]}).is_success
        users = admin.get("/v1/users").json()["data"]
        user_id = next(user["id"] for user in users if user["username"] == name)
        subject = {"user_id": user_id}
        assert erase(admin, subject, dry_run=True)["counts"]["annotations"] == 1
        assert theirs.delete(f"/v1/users/{user_id}?erase=true").status_code == 403
        assert admin.delete(f"/v1/users/{user_id}?erase=true").status_code == 204
        assert found_in_files(server, ["very-distinct"]) == set()
        assert server.client(key).get("/v1/projects").status_code == 401
        assert trace_numbers(admin, "p") == [1]
        (event,) = events_of(admin, "user.erased")
        assert event["target"] == {"kind": "user", "id": user_id, "name": ""}
        assert event["after"]["counts"]["accounts"] == 1
        assert bennu(server, "audit", "verify").returncode == 0
        again = admin.post("/v1/privacy/erasures", json={"subject": subject})
        assert again.status_code == 404


def test_265_a_plain_deletion_keeps_annotations_without_their_author(
    server: StartedServer, admin: httpx.Client
) -> None:
    theirs = make_user(admin, server, "leaver", "MEMBER")
    post_spans(theirs, "left", posted_span(1))
    said = {"name": "n", "annotator_kind": "HUMAN", "result": {"label": "good"}}
    said["span_id"] = f"{1:016x}"
    assert theirs.post("/v1/span_annotations?sync=true", json={"data": [said]}).is_success
    users = admin.get("/v1/users").json()["data"]
    user_id = next(user["id"] for user in users if user["username"] == "leaver")
    assert admin.delete(f"/v1/users/{user_id}").status_code == 204
    answer = admin.get("/v1/projects/left/span_annotations", params={"span_ids": said["span_id"]})
    (kept,) = answer.json()["data"]
    assert (kept["result"]["label"], kept.get("user_id")) == ("good", None)
    assert "leaver" not in answer.text


def test_265_what_is_held_is_kept_and_said(admin: httpx.Client) -> None:
    post_spans(admin, "court", *(posted_span(n, **{"user.id": "held-one"}) for n in (1, 2)))
    held = {"project": "court", "trace_id": f"{1:032x}", "reason": "r"}
    assert admin.post("/v1/legal_holds", json=held).status_code == 201
    done = erase(admin, {"attribute": "user.id", "value": "held-one"})
    assert done["receipt"]["kept"] == {"held_traces": 1}
    assert trace_numbers(admin, "court") == [1]


@pytest.mark.parametrize(
    ("subject", "status", "said"),
    [
        ({}, 422, "either a user_id"),
        ({"user_id": "x"}, 422, "id of a user"),
        ({"user_id": "VXNlcjo5OTk5"}, 404, "not found"),
        ({"attribute": "user.id"}, 422, "value"),
        ({"attribute": "user.id", "value": None}, 422, "value"),
        ({"attribute": "user.id", "value": []}, 422, "value"),
        ({"attribute": "user.id", "value": 2**63}, 422, "whole number"),
        ({"user_id": "<self>"}, 403, "themselves"),
        ({"user_id": "<system>"}, 403, "system"),
    ],
)
def test_265_whom_nobody_can_erase(
    admin: httpx.Client, subject: dict[str, Any], status: int, said: str
) -> None:
    own = admin.get("/v1/user").json()["data"]["id"]
    given = {k: {"<self>": own, "<system>": "VXNlcjox"}.get(str(v), v) for k, v in subject.items()}
    answer = admin.post("/v1/privacy/erasures", json={"subject": given})
    assert (answer.status_code, said in answer.text) == (status, True), answer.text


def test_265_members_erase_nobody(server: StartedServer, admin: httpx.Client) -> None:
    member = make_user(admin, server, "eraser", "MEMBER")
    assert member.post("/v1/privacy/erasures", json={"subject": SUBJECT}).status_code == 403
    assert member.get("/v1/privacy/erasures").status_code == 403


def test_265_a_postgresql_dump_after_vacuum_holds_nothing(
    tmp_path: Path,
    postgres_url: str,
    postgres_settings: StorageSettings,
    postgres_server: PostgresServer,
) -> None:
    assert postgres_settings.postgres is not None
    with StartedServer(tmp_path, {"PHOENIX_SQL_DATABASE_URL": postgres_url}) as server:
        admin = server.admin()
        values = plant(admin, "p")
        assert erase(admin, SUBJECT)["counts"]["traces"] == 50
        dump = postgres_server.dump(postgres_settings.postgres.database)
        assert "kept 0" in dump.decode(errors="replace") or b"6b6570742030" in dump
        for value in values:
            text = value.encode()
            assert text not in dump, value
            assert text.hex().encode() not in dump, value
        assert others_kept(admin, "p") == 50


# --- line 266: export --------------------------------------------------------------------------


def export(client: httpx.Client, subject: dict[str, Any] | None = None) -> dict[str, list[Any]]:
    """Export, check everything that an archive says of itself, and return its records."""
    body = {} if subject is None else {"subject": subject}
    answer = client.post("/v1/privacy/exports", json=body)
    assert answer.status_code == 202, answer.text
    done = finished(client, "exports", answer.json()["data"]["id"])
    link = done["download_url"]
    assert client.head(link).status_code == 200
    answer = client.get(link)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert client.get(link).status_code == 404  # once
    again = client.get(f"/v1/privacy/exports/{done['id']}").json()["data"]
    assert again["download_url"] is None
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    manifest = json.loads(archive.read("manifest.json"))
    assert (manifest["format"], manifest["schema_version"]) == ("bennu-export", 1)
    found: dict[str, list[Any]] = {}
    for file in manifest["files"]:
        content = archive.read(file["name"])
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        kind = file["name"].removesuffix(".ndjson")
        lines = content.splitlines()
        assert len(lines) == file["records"] == done["counts"][kind]
        published = json.loads(archive.read(f"schemas/{kind}.json"))
        assert published == schema_of(kind)
        validator = validator_of(published)
        found[kind] = [json.loads(line) for line in lines]
        for line, record in zip(lines, found[kind], strict=True):
            validator.validate(record)
            # Stricter than the schema: made from the same type, no unknown field.
            msgspec.json.decode(line, type=RECORD_TYPES[kind])
    return found


@pytest.mark.parametrize("role", ["VIEWER", "MEMBER", "ADMIN"])
def test_266_everybody_exports_exactly_what_is_theirs(
    server: StartedServer, admin: httpx.Client, role: str
) -> None:
    name = f"exporter-{role.lower()}"
    number = {"VIEWER": 100, "MEMBER": 200, "ADMIN": 300}[role]
    theirs = make_user(admin, server, name, "MEMBER")
    key = server.api_key(theirs, name="mine")
    post_spans(server.client(key), "exported", posted_span(number))
    post_spans(theirs, "exported", posted_span(number + 1))
    post_spans(admin, "exported", posted_span(number + 2, **{"input.value": "not theirs"}))
    for client in (theirs, admin):
        said = {"name": name, "annotator_kind": "HUMAN", "result": {"label": "good"}}
        about = {"data": [{**said, "span_id": f"{number + 2:016x}", "identifier": str(id(client))}]}
        assert client.post("/v1/span_annotations?sync=true", json=about).is_success
    user_id = theirs.get("/v1/user").json()["data"]["id"]
    if role != "MEMBER":
        assert admin.patch(f"/v1/users/{user_id}", json={"role": role}).status_code == 200
        theirs = server.sign_in(f"{name}@example.com", f"password-of-{name}-42")
    found = export(theirs)
    assert [span["context"]["span_id"] for span in found["spans"]] == [
        f"{number:016x}",
        f"{number + 1:016x}",
    ]
    (profile,) = found["profile"]
    assert (profile["id"], profile["role"], profile["username"]) == (user_id, role, name)
    assert [one["name"] for one in found["api_keys"]] == ["mine"]
    assert key not in json.dumps(found)
    assert all(one["address"] == "127.0.0.1" for one in found["sessions"])
    (annotation,) = found["annotations"]
    assert (annotation["name"], annotation["user_id"]) == (name, user_id)
    assert all(user_id in (e["actor"]["id"], e["target"]["id"]) for e in found["audit_events"])
    created = next(e for e in found["audit_events"] if e["event"] == "user.created")
    assert (created["actor"]["name"], created["address"]) == ("", "")
    assert "not theirs" not in json.dumps(found)
    admins = export(admin, {"user_id": user_id})
    assert admins["spans"] == found["spans"]


def test_266_a_person_in_traces_is_exported_with_whole_traces(admin: httpx.Client) -> None:
    person = "subject-of-export"
    root = posted_span(901, **{"user.id": person, "session.id": "se"})
    child = posted_span(902, **{"input.value": "in the same trace"})
    child["context"]["trace_id"] = root["context"]["trace_id"]
    post_spans(admin, "persons", root, child, posted_span(903, **{"user.id": "other"}))
    for kind, target in (("span", f"{902:016x}"), ("trace", f"{901:032x}"), ("session", "se")):
        said = {"name": kind, "annotator_kind": "CODE", "result": {"score": 1.0}}
        said[f"{kind}_id"] = target
        answer = admin.post(f"/v1/{kind}_annotations?sync=true", json={"data": [said]})
        assert answer.status_code == 200, answer.text
    found = export(admin, {"attribute": "user.id", "value": person})
    assert [span["context"]["span_id"] for span in found["spans"]] == [
        f"{901:016x}",
        f"{902:016x}",
    ]
    assert sorted(one["kind"] for one in found["annotations"]) == ["session", "span", "trace"]
    assert len(export(admin, {"attribute": "session.id", "value": "se"})["spans"]) == 2
    erase(admin, {"attribute": "user.id", "value": person})
    assert export(admin, {"attribute": "user.id", "value": person})["spans"] == []


def test_266_nobody_exports_more_than_they_may(server: StartedServer, admin: httpx.Client) -> None:
    member = make_user(admin, server, "curious", "MEMBER")
    own = admin.get("/v1/user").json()["data"]["id"]
    for subject in ({"user_id": own}, {"attribute": "user.id", "value": "x"}):
        refused = member.post("/v1/privacy/exports", json={"subject": subject})
        assert refused.status_code == 403
    job = admin.post("/v1/privacy/exports", json={}).json()["data"]["id"]
    done = finished(admin, "exports", job)
    assert member.get(f"/v1/privacy/exports/{job}").status_code == 404
    assert member.get(done["download_url"]).status_code == 404
    assert server.client().get(done["download_url"]).status_code == 401
    wrong = done["download_url"].rpartition("=")[0] + "=0000"
    assert admin.get(wrong).status_code == admin.head(wrong).status_code == 404
    assert member.head(done["download_url"]).status_code == 404
    assert admin.head(done["download_url"]).status_code == 200
    assert member.get("/v1/privacy/exports").json()["data"] == []
    narrow = server.api_key(member, permissions=["traces:ingest"])
    assert server.client(narrow).post("/v1/privacy/exports", json={}).status_code == 403
    assert admin.get(done["download_url"]).status_code == 200
    states = [e["after"]["state"] for e in events_of(admin, "privacy.exported")[-3:]]
    assert states == ["requested", "done", "fetched"]


def test_266_an_erasure_drops_exports_that_lie_ready(
    server: StartedServer, admin: httpx.Client
) -> None:
    job = admin.post("/v1/privacy/exports", json={}).json()["data"]["id"]
    done = finished(admin, "exports", job)
    assert list((server.folder / "work" / "exports").iterdir())
    erase(admin, {"attribute": "user.id", "value": "nobody"})
    assert not list((server.folder / "work" / "exports").iterdir())
    assert admin.get(done["download_url"]).status_code == 404


def test_266_a_project_is_streamed(server: StartedServer, admin: httpx.Client) -> None:
    post_spans(admin, "streamed", *(posted_span(n) for n in range(1, 1_203)))
    said = {"name": "n", "annotator_kind": "CODE", "result": {"score": 1.0}}
    about = {"data": [{**said, "span_id": f"{7:016x}"}]}
    assert admin.post("/v1/span_annotations?sync=true", json=about).is_success
    viewer = make_user(admin, server, "streamer", "VIEWER")
    plain = viewer.get("/v1/projects/streamed/export")
    assert plain.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in plain.text.splitlines()]
    ids = [int(one["data"]["context"]["span_id"], 16) for one in lines if one["type"] == "span"]
    assert ids == list(range(1, 1_203))
    assert [one["data"]["score"] for one in lines if one["type"] == "annotation"] == [1.0]
    packed = viewer.get("/v1/projects/streamed/export", params={"compression": "zstd"})
    unpacked = zstandard.ZstdDecompressor().decompressobj().decompress(packed.content)
    assert unpacked.decode() == plain.text
    assert viewer.get("/v1/projects/nope/export").status_code == 404
    assert events_of(admin, "privacy.exported")[-1]["target"]["name"] == "streamed"
