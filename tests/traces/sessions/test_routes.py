"""Sessions over HTTP: shapes, texts and statuses that clients rely on. Contract: section 8."""

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from bennu.access import ADMIN, VIEWER
from bennu.kernel.ids import global_id
from bennu.storage.database import Database
from bennu.storage.schema import audit_events, spans, trace_sessions
from fakes.principals import key_for_projects, user_with_role
from fakes.spans import make_span, trace_id
from fakes.stored import Stored

pytestmark = pytest.mark.usefixtures("stored")

PATH = "/v1/projects/demo/sessions"


@pytest.fixture
async def stored(database: Database) -> Stored:
    stored = Stored(database)
    llm = {"prompt_tokens": 10, "completion_tokens": 5}
    await stored.add("demo", make_span(3, trace=2, session_id="s", **llm))
    await stored.add("demo", make_span(1, trace=1, session_id="s", **llm))
    await stored.add("demo", make_span(5, trace=3, session_id="path/of a?session"))
    return stored


async def test_a_session_and_its_traces(client: httpx.AsyncClient, stored: Stored) -> None:
    whole = {
        "id": "UHJvamVjdFNlc3Npb246MQ==",
        "session_id": "s",
        "project_id": await stored.project_id("demo"),
        "start_time": "1970-01-01T00:00:01+00:00",
        "end_time": "1970-01-01T00:00:04+00:00",
        "traces": [
            {
                "id": "VHJhY2U6Mg==",
                "trace_id": trace_id(1).hex(),
                "start_time": "1970-01-01T00:00:01+00:00",
                "end_time": "1970-01-01T00:00:02+00:00",
            },
            {
                "id": "VHJhY2U6MQ==",
                "trace_id": trace_id(2).hex(),
                "start_time": "1970-01-01T00:00:03+00:00",
                "end_time": "1970-01-01T00:00:04+00:00",
            },
        ],
        "token_count_prompt": 20,
        "token_count_completion": 10,
        "token_count_total": 30,
    }
    for name in ("s", "UHJvamVjdFNlc3Npb246MQ=="):
        assert (await client.get(f"/v1/sessions/{name}")).json() == {"data": whole}
    page = (await client.get(PATH)).json()
    assert page["data"][0] == whole
    assert [one["session_id"] for one in page["data"]] == ["s", "path/of a?session"]
    odd = await client.get("/v1/sessions/path%2Fof%20a%3Fsession")
    assert len(odd.json()["data"]["traces"]) == 1


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages(client: httpx.AsyncClient, stored: Stored, order: str) -> None:
    for number in range(10, 13):
        await stored.add("demo", make_span(number, trace=number, session_id=f"s{number}"))
    query: dict[str, Any] = {"limit": 2, "order": order}
    seen: list[str] = []
    while True:
        page = (await client.get(PATH, params=query)).json()
        seen += [session["session_id"] for session in page["data"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    ascending = ["s", "path/of a?session", "s10", "s11", "s12"]
    assert seen == (ascending if order == "asc" else ascending[::-1])
    assert len((await client.get(PATH, params={"limit": 5000})).json()["data"]) == 5


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"order": "up"},
        {"cursor": "zzz"},
        {"cursor": "VHJhY2U6MQ=="},
        {"filter": "nope == 1"},
        {"filter": "trace_count >"},
    ],
)
async def test_what_is_refused(client: httpx.AsyncClient, query: dict[str, Any]) -> None:
    assert (await client.get(PATH, params=query)).status_code == 422


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("trace_count == 2", ["s"]),
        ("'/of' in session_id", ["path/of a?session"]),
        ("any(t.token_count_total > 10 for t in traces)", ["s"]),
        ("name == 'span 5'", ["path/of a?session"]),
        ("False", []),
    ],
)
async def test_filter(client: httpx.AsyncClient, written: str, found: list[str]) -> None:
    page = (await client.get(PATH, params={"filter": written})).json()
    assert [session["session_id"] for session in page["data"]] == found


async def test_what_is_not_there(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/sessions/nope")
    assert (answer.status_code, answer.text) == (404, "Session with session_id nope not found")
    assert (await client.get(f"/v1/sessions/{global_id('ProjectSession', 99)}")).status_code == 404
    assert (await client.get(f"/v1/sessions/{global_id('Trace', 1)}")).status_code == 404
    assert (await client.get("/v1/projects/nope/sessions")).status_code == 404


# --- deleting ------------------------------------------------------------------------------


async def test_delete_one(client: httpx.AsyncClient, stored: Stored) -> None:
    assert (await client.delete("/v1/sessions/s")).status_code == 204
    assert (await client.delete("/v1/sessions/s")).status_code == 404
    assert await stored.count(spans) == 1
    (record,) = await stored.rows(audit_events)
    assert (record["event"], record["target_kind"]) == ("session.deleted", "trace_session")
    assert json.loads(record["after"]) == {"deleted": {"traces": 2, "spans": 2}}


async def test_delete_several(client: httpx.AsyncClient, stored: Stored) -> None:
    async def delete(*names: str) -> int:
        body = {"session_identifiers": list(names)}
        return (await client.post("/v1/sessions/delete", json=body)).status_code

    assert await delete() == 422
    assert await delete("s", global_id("ProjectSession", 2)) == 422
    assert await delete(*(str(n) for n in range(1001))) == 422
    assert await stored.count(trace_sessions) == 2
    assert await delete("unknown") == 204
    assert await delete("s", "s", "unknown", "with \x00") == 422
    assert await delete("s", "s", "unknown") == 204
    (left,) = await stored.rows(trace_sessions)
    ids = [global_id("ProjectSession", row) for row in (left["id"], 99)]
    assert await delete(*ids) == 204
    assert await stored.count(trace_sessions) == 0
    assert await stored.events() == ["session.deleted"] * 2


async def test_a_session_id_of_several_projects_is_not_guessed(
    client: httpx.AsyncClient, stored: Stored, door: Any
) -> None:
    await stored.add("other", make_span(1, trace=1, session_id="s"))
    body = {"session_identifiers": ["s"]}
    assert (await client.get("/v1/sessions/s")).status_code == 409
    assert (await client.delete("/v1/sessions/s")).status_code == 409
    assert (await client.post("/v1/sessions/delete", json=body)).status_code == 409
    assert (await client.get(f"/v1/sessions/{global_id('ProjectSession', 1)}")).status_code == 200
    door.principal = key_for_projects(await stored.project("other"))
    found = (await client.get("/v1/sessions/s")).json()["data"]
    assert found["project_id"] == await stored.project_id("other")


async def test_each_project_has_the_session_of_its_own_traces(
    client: httpx.AsyncClient, stored: Stored
) -> None:
    """The reference counts a trace of one project in the session of another."""
    await stored.add("other", make_span(1, trace=1, session_id="s"))
    (session,) = (await client.get("/v1/projects/other/sessions")).json()["data"]
    assert (session["session_id"], len(session["traces"])) == ("s", 1)


# --- who may -------------------------------------------------------------------------------


async def test_viewers_read_only(client: httpx.AsyncClient, door: Any) -> None:
    door.principal = user_with_role(VIEWER)
    assert (await client.get(PATH)).status_code == 200
    assert (await client.get("/v1/sessions/s")).status_code == 200
    assert (await client.delete("/v1/sessions/s")).status_code == 403
    body = {"session_identifiers": ["s"]}
    assert (await client.post("/v1/sessions/delete", json=body)).status_code == 403


async def test_a_restricted_key_knows_its_projects_only(
    client: httpx.AsyncClient, stored: Stored, door: Any
) -> None:
    door.principal = key_for_projects(await stored.project("mine"), role=ADMIN)
    assert (await client.get(PATH)).status_code == 404
    for name in ("s", global_id("ProjectSession", 1)):
        assert (await client.get(f"/v1/sessions/{name}")).status_code == 404
        assert (await client.delete(f"/v1/sessions/{name}")).status_code == 404
        body = {"session_identifiers": [name]}
        assert (await client.post("/v1/sessions/delete", json=body)).status_code == 204
    assert await stored.count(trace_sessions) == 2


async def test_a_session_id_that_spells_a_public_id_stands_in_nobodys_place(
    client: httpx.AsyncClient, stored: Stored, database: Database
) -> None:
    taken = global_id("ProjectSession", 1)
    await stored.add("evil", make_span(20, trace=20, session_id=taken))
    assert (await client.get(f"/v1/sessions/{taken}")).json()["data"]["session_id"] == "s"
    unused = global_id("ProjectSession", 1_000)
    await stored.add("evil", make_span(21, trace=21, session_id=unused))
    assert (await client.get(f"/v1/sessions/{unused}")).json()["data"]["session_id"] == unused
    assert (await client.delete(f"/v1/sessions/{taken}")).status_code == 204
    left = await database.read(
        lambda c: c.execute(select(trace_sessions.c.session_id)).scalars().all()
    )
    assert sorted(left) == sorted(["path/of a?session", taken, unused])
