"""Traces over HTTP: shapes, texts and statuses that clients rely on. Contract: section 7."""

import json
from typing import Any

import httpx
import pytest

from bennu.access import ADMIN, VIEWER
from bennu.kernel.ids import global_id
from bennu.storage.database import Database
from bennu.storage.schema import audit_events, spans, traces
from fakes.principals import key_for_projects, user_with_role
from fakes.spans import SECOND_NS, make_span, trace_id
from fakes.stored import Stored

pytestmark = pytest.mark.usefixtures("stored")

PATH = "/v1/projects/demo/traces"


@pytest.fixture
async def stored(database: Database) -> Stored:
    stored = Stored(database)
    llm = {"span_kind": "LLM", "prompt_tokens": 10, "completion_tokens": 5}
    await stored.add(
        "demo",
        make_span(1, trace=1, session_id="s"),
        make_span(2, trace=1, parent=1, status_code="ERROR", **llm),
        make_span(5, trace=2, end_ns=9 * SECOND_NS),
    )
    return stored


async def test_a_list_with_and_without_spans(client: httpx.AsyncClient, stored: Stored) -> None:
    page = (await client.get(PATH)).json()
    newest, oldest = page["data"]
    assert page["next_cursor"] is None
    assert (newest["trace_id"], newest["spans"]) == (trace_id(2).hex(), None)
    assert oldest == {
        "id": "VHJhY2U6MQ==",
        "trace_id": trace_id(1).hex(),
        "project_id": await stored.project_id("demo"),
        "start_time": "1970-01-01T00:00:01+00:00",
        "end_time": "1970-01-01T00:00:03+00:00",
        "token_count_prompt": 10,
        "token_count_completion": 5,
        "token_count_total": 15,
        "spans": None,
    }
    page = (await client.get(PATH, params={"include_spans": True, "order": "asc"})).json()
    first, second = page["data"][0]["spans"]
    assert first["parent_id"] is None
    assert second == {
        "id": "U3Bhbjoy",
        "span_id": f"{2:016x}",
        "parent_id": f"{1:016x}",
        "name": "span 2",
        "span_kind": "LLM",
        "status_code": "ERROR",
        "start_time": "1970-01-01T00:00:02+00:00",
        "end_time": "1970-01-01T00:00:03+00:00",
    }


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"sort": "latency_ms"}, [2, 1]),
        ({"sort": "latency_ms", "order": "asc"}, [1, 2]),
        ({"error": True}, [1]),
        ({"error": False}, [2]),
        ({"min_latency_ms": 2000.001}, [2]),
        ({"max_latency_ms": 2000}, [1]),
        ({"min_latency_ms": 1e300}, []),
        ({"session_identifier": ["t", "s"]}, [1]),
        ({"session_identifier": "UHJvamVjdFNlc3Npb246MQ=="}, [1]),
        ({"session_identifier": "unknown"}, []),
        ({"start_time": "1970-01-01T00:00:02Z"}, [2]),
        ({"end_time": "1970-01-01T00:00:05"}, [1]),
        ({"filter": "span_count == 2"}, [1]),
        ({"filter": "status_code == 'ERROR' and span_kind == 'LLM'"}, [1]),
        ({"filter": "any(s.name == 'span 5' for s in spans)", "error": False}, [2]),
        ({"filter": "latency_ms > 1", "sort": "latency_ms", "max_latency_ms": 2000}, [1]),
    ],
)
async def test_filters(
    client: httpx.AsyncClient, query: dict[str, Any], numbers: list[int]
) -> None:
    page = (await client.get(PATH, params=query)).json()
    assert [int(trace["trace_id"], 16) for trace in page["data"]] == numbers


@pytest.mark.parametrize("sort", ["start_time", "latency_ms"])
async def test_pages(client: httpx.AsyncClient, stored: Stored, sort: str) -> None:
    await stored.add("demo", *(make_span(n, trace=n) for n in range(10, 15)))
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3, "sort": sort}
    while True:
        page = (await client.get(PATH, params=query)).json()
        seen += [trace["trace_id"] for trace in page["data"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 7


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 1001},
        {"sort": "name"},
        {"order": "up"},
        {"cursor": "zzz"},
        {"cursor": "VHJhY2U6MQ=="},
        {"error": "maybe"},
        {"min_latency_ms": -1},
        {"min_latency_ms": "nan"},
        {"start_time": "yesterday"},
        {"filter": "nope == 1"},
        {"filter": "span_count === 2"},
        {"session_identifier": ["s"] * 1001},
    ],
)
async def test_what_is_refused(client: httpx.AsyncClient, query: dict[str, Any]) -> None:
    assert (await client.get(PATH, params=query)).status_code == 422


async def test_an_unknown_project(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/projects/nope/traces")
    assert (answer.status_code, answer.text) == (404, "Project with name nope not found")


# --- deleting ------------------------------------------------------------------------------


async def test_delete_by_both_ids(client: httpx.AsyncClient, stored: Stored) -> None:
    path = f"/v1/traces/{trace_id(1).hex()}"
    assert (await client.delete(path)).status_code == 204
    again = await client.delete(path)
    assert again.status_code == 404
    assert again.text == f"Trace with trace_id '{trace_id(1).hex()}' not found"
    (left,) = (await client.get(PATH)).json()["data"]
    assert (await client.delete(f"/v1/traces/{left['id']}")).status_code == 204
    for unknown in ("nonsense", "g" * 32, "U3BhbjoxMQ==", global_id("Trace", 999)):
        assert (await client.delete(f"/v1/traces/{unknown}")).status_code == 404
    assert await stored.count(spans) == 0
    assert (await client.get("/v1/projects/demo/sessions")).json()["data"] == []
    first, second = await stored.rows(audit_events)
    assert (first["event"], first["target_kind"], first["target_id"]) == (
        "trace.deleted",
        "trace",
        "VHJhY2U6MQ==",
    )
    assert json.loads(first["before"])["trace_id"] == trace_id(1).hex()
    assert second["target_id"] == left["id"]


async def test_a_trace_id_of_several_projects_is_not_guessed(
    client: httpx.AsyncClient, stored: Stored, door: Any
) -> None:
    await stored.add("other", make_span(1, trace=1))
    path = f"/v1/traces/{trace_id(1).hex()}"
    assert (await client.delete(path)).status_code == 409
    door.principal = key_for_projects(await stored.project("other"))
    assert (await client.delete(path)).status_code == 204
    door.principal = user_with_role(ADMIN)
    assert (await client.delete(path)).status_code == 204


async def test_delete_within_a_time(
    client: httpx.AsyncClient, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bennu.traces.traces.flow._DELETED_AT_ONCE", 2)
    await stored.add("demo", *(make_span(n, trace=n) for n in range(10, 15)))
    query = {"start_time": "1970-01-01T00:00:05Z", "end_time": "1970-01-01T00:00:14Z"}
    assert (await client.delete(PATH, params=query)).status_code == 204
    left = (await client.get(PATH)).json()["data"]
    assert [int(trace["trace_id"], 16) for trace in left] == [14, 1]
    records = await stored.rows(audit_events)
    deleted = [json.loads(row["after"])["deleted"] for row in records]
    assert [part["traces"] for part in deleted] == [2, 2, 1]
    assert {row["target_kind"] for row in records} == {"project"}
    assert (await client.delete(PATH, params=query)).status_code == 204
    assert await stored.count(audit_events) == 3


@pytest.mark.asvs("2.2.3")
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"start_time": "1970-01-01T00:00:00Z"},
        {"start_time": "1970-01-02T00:00:00Z", "end_time": "1970-01-02T00:00:00Z"},
    ],
)
async def test_an_unbounded_or_empty_time_deletes_nothing(
    client: httpx.AsyncClient, stored: Stored, query: dict[str, str]
) -> None:
    assert (await client.delete(PATH, params=query)).status_code == 422
    assert await stored.count(traces) == 2


# --- transfer ------------------------------------------------------------------------------


async def transfer(client: httpx.AsyncClient, to: str, *names: str) -> httpx.Response:
    body = {"trace_identifiers": list(names), "destination_project_identifier": to}
    return await client.post("/v1/traces/transfer", json=body)


async def test_traces_move_with_a_record_each(client: httpx.AsyncClient, stored: Stored) -> None:
    to = await stored.project_id("to")
    both = (trace_id(1).hex(), trace_id(1).hex().upper(), global_id("Trace", 2))
    answer = await transfer(client, "to", *both)
    assert answer.json() == {"data": {"transferred_trace_count": 2, "destination_project_id": to}}
    assert len((await client.get("/v1/projects/to/traces")).json()["data"]) == 2
    assert len((await client.get("/v1/projects/to/spans")).json()["data"]) == 3
    assert (await client.get(PATH)).json()["data"] == []
    assert (await client.get("/v1/sessions/s")).json()["data"]["project_id"] == to
    assert await stored.events() == ["trace.transferred"] * 2
    again = await transfer(client, to, trace_id(1).hex())
    assert again.json()["data"]["transferred_trace_count"] == 0


async def test_a_transfer_that_is_refused_moves_nothing(
    client: httpx.AsyncClient, stored: Stored, door: Any
) -> None:
    await stored.add("to", make_span(7, trace=7), make_span(8, trace=2))
    one = trace_id(1).hex()
    assert (await transfer(client, "nope", one)).status_code == 404
    assert (await transfer(client, "to", one, "unknown")).status_code == 404
    assert (await transfer(client, "to", one, trace_id(7).hex())).status_code == 422
    assert (await transfer(client, "to", global_id("Trace", 2))).status_code == 409
    assert (await transfer(client, "to")).status_code == 422
    door.principal = key_for_projects(await stored.project("demo"))
    assert (await transfer(client, "to", one)).status_code == 404
    assert (await transfer(client, "demo", trace_id(7).hex())).status_code == 404
    assert await stored.events() == []


# --- who may -------------------------------------------------------------------------------


async def test_viewers_read_only(client: httpx.AsyncClient, door: Any) -> None:
    door.principal = user_with_role(VIEWER)
    assert (await client.get(PATH)).status_code == 200
    time = {"start_time": "1970-01-01T00:00:00Z", "end_time": "1971-01-01T00:00:00Z"}
    assert (await client.delete(PATH, params=time)).status_code == 403
    assert (await client.delete(f"/v1/traces/{trace_id(1).hex()}")).status_code == 403
    assert (await transfer(client, "demo", trace_id(1).hex())).status_code == 403


async def test_a_restricted_key_knows_its_projects_only(
    client: httpx.AsyncClient, stored: Stored, door: Any
) -> None:
    door.principal = key_for_projects(await stored.project("mine"), role=ADMIN)
    time = {"start_time": "1970-01-01T00:00:00Z", "end_time": "1971-01-01T00:00:00Z"}
    assert (await client.get(PATH)).status_code == 404
    assert (await client.delete(PATH, params=time)).status_code == 404
    for name in (trace_id(1).hex(), global_id("Trace", 1)):
        assert (await client.delete(f"/v1/traces/{name}")).status_code == 404
    mine = "/v1/projects/mine/traces"
    hidden = {"session_identifier": "UHJvamVjdFNlc3Npb246MQ=="}
    assert (await client.get(mine, params=hidden)).json()["data"] == []
    assert await stored.count(traces) == 2


async def test_a_session_id_that_spells_a_public_id_stands_in_nobodys_place(
    client: httpx.AsyncClient, stored: Stored
) -> None:
    taken = global_id("ProjectSession", 1)
    await stored.add("demo", make_span(20, trace=20, session_id=taken))
    page = (await client.get(PATH, params={"session_identifier": taken})).json()
    assert [trace["trace_id"] for trace in page["data"]] == [trace_id(1).hex()]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"start_time": "0001-01-01", "end_time": "9999-12-31"}, [2, 1]),
        ({"start_time": "9999-12-31", "end_time": "9999-12-31T01:00:00"}, []),
        ({"start_time": "0001-01-01", "end_time": "0001-02-01"}, []),
    ],
)
async def test_times_beyond_all_traces_are_the_whole_of_time_or_none(
    client: httpx.AsyncClient, stored: Stored, query: dict[str, str], numbers: list[int]
) -> None:
    page = (await client.get(PATH, params=query)).json()
    assert [int(trace["trace_id"], 16) for trace in page["data"]] == numbers
    assert (await client.delete(PATH, params=query)).status_code == 204
    assert await stored.count(traces) == 2 - len(numbers)


async def test_reads_that_take_too_long_are_a_503(
    client: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL has a limit of its own")
    monkeypatch.setattr("bennu.storage.deadline.LIMIT_SECONDS", 0.0)
    monkeypatch.setattr("bennu.storage.deadline._OPERATIONS", 1)
    answers = [
        await client.get(f"/v1/projects/demo/{name}") for name in ("spans", "traces", "sessions")
    ]
    query = {"queries": [{}], "project_name": "demo"}
    answers.append(await client.post("/v1/spans", json=query))
    for answer in answers:
        assert answer.status_code == 503
        assert "simpler filter" in answer.text
