"""Spans over HTTP: shapes, texts and statuses that clients rely on. Contract: section 6."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from bennu.access import ADMIN, VIEWER
from bennu.audit.log import AuditLog
from bennu.storage.database import Database
from bennu.storage.schema import audit_events, projects, spans
from bennu.traces.projects.store import project_rows_named
from bennu.traces.settings import TracesSettings
from bennu.traces.spans.flow import Spans
from bennu.traces.spans.routes import span_routes
from fakes.principals import key_for_projects, user_with_role

PATH = "/v1/projects/demo/spans"


def posted(number: int = 1, trace: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "name": "posted",
        "context": {"trace_id": f"{trace:032x}", "span_id": f"{number:016x}"},
        "span_kind": "CHAIN",
        "start_time": "2026-11-23T22:01:54.626501+00:00",
        "end_time": "2026-11-23T22:01:55.626501+00:00",
        "status_code": "OK",
        "attributes": {"session.id": "sess-rest", "input.value": "x", "docs.0.score": 0.5},
        "events": [
            {
                "name": "e",
                "timestamp": "2026-11-23T22:01:54.626501+00:00",
                "attributes": {"z": 1},
            }
        ],
        **changes,
    }


async def post(client: httpx.AsyncClient, *items: Any, path: str = PATH) -> httpx.Response:
    return await client.post(path, json={"data": list(items)})


async def count(database: Database, table: Any) -> int:
    return await database.read(
        lambda c: int(c.execute(select(func.count()).select_from(table)).scalar_one())
    )


async def test_post_and_read_back(client: httpx.AsyncClient) -> None:
    answer = await post(client, posted(), posted(2, parent_id=f"{1:016x}"))
    assert answer.status_code == 202
    assert answer.json() == {"total_received": 2, "total_queued": 2}
    listed = (await client.get(PATH)).json()
    assert listed["next_cursor"] is None
    newest, oldest = listed["data"]
    assert newest["parent_id"] == f"{1:016x}"
    expected = posted()
    assert oldest == {
        "id": oldest["id"],
        "name": "posted",
        "context": expected["context"],
        "span_kind": "CHAIN",
        "parent_id": None,
        "start_time": expected["start_time"],
        "end_time": expected["end_time"],
        "status_code": "OK",
        "status_message": "",
        "attributes": expected["attributes"],
        "events": expected["events"],
    }


async def test_pages(client: httpx.AsyncClient) -> None:
    await post(client, *(posted(n) for n in range(1, 6)))
    for sort in ("id", "start_time"):
        seen: list[str] = []
        cursor: str | None = None
        while True:
            query: dict[str, Any] = {"limit": 2, "sort": sort, "order": "asc"}
            if cursor is not None:
                query["cursor"] = cursor
            page = (await client.get(PATH, params=query)).json()
            seen += [span["context"]["span_id"] for span in page["data"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == [f"{n:016x}" for n in range(1, 6)]


async def test_a_page_of_many(client: httpx.AsyncClient) -> None:
    await post(client, *(posted(n) for n in range(1, 151)))
    page = (await client.get(PATH, params={"limit": 1000})).json()
    assert len(page["data"]) == 150


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"trace_id": f"{1:032x}"}, [2, 1]),
        ({"trace_id": [f"{1:032X}", f"{2:032x}"]}, [3, 2, 1]),
        ({"trace_id": "nonsense"}, []),
        ({"span_id": f"{3:016x}"}, [3]),
        ({"parent_id": "null"}, [3, 1]),
        ({"parent_id": f"{1:016x}"}, [2]),
        ({"parent_id": "nonsense"}, []),
        ({"parent_id": ""}, []),
        ({"name": "other"}, [2]),
        ({"span_kind": ["llm", "TOOL"]}, [3]),
        ({"status_code": "error"}, [2]),
        ({"start_time": "2026-11-23T22:01:54.626501+00:00"}, [3, 2, 1]),
        ({"start_time": "2026-11-23T22:01:54.626502+00:00"}, []),
        ({"end_time": "2026-11-23T22:01:54.626501"}, []),
        ({"attribute": ["input.value:x", "docs.0.score:0.5"]}, [3, 2, 1]),
        ({"attribute": "session.id:other"}, [3]),
    ],
)
async def test_filters(
    client: httpx.AsyncClient, query: dict[str, Any], numbers: list[int]
) -> None:
    third = {"session.id": "other", "input.value": "x", "docs.0.score": 0.5}
    await post(
        client,
        posted(1),
        posted(2, parent_id=f"{1:016x}", name="other", status_code="ERROR"),
        posted(3, trace=2, span_kind="LLM", attributes=third),
    )
    answer = await client.get(PATH, params=query)
    assert answer.status_code == 200
    found = [int(span["context"]["span_id"], 16) for span in answer.json()["data"]]
    assert found == numbers


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"cursor": "zzz"}, "Invalid cursor format: zzz"),
        ({"cursor": "zzz", "sort": "start_time"}, "Invalid cursor format: zzz"),
        ({"span_kind": "NOPE"}, "Invalid span_kind values: ['NOPE']"),
        ({"status_code": ["OK", "NOPE"]}, "Invalid status_code values: ['NOPE']"),
        ({"attribute": "nocolon"}, "Invalid attribute filter 'nocolon': expected key:value"),
        ({"attribute": ["a:1"] * 21}, "At most 20 attribute filters are allowed"),
    ],
)
async def test_bad_queries_as_text(
    client: httpx.AsyncClient, query: dict[str, Any], text: str
) -> None:
    await post(client, posted())
    answer = await client.get(PATH, params=query)
    assert (answer.status_code, answer.text) == (422, text)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"sort": "name"}, "sort"),
        ({"order": "up"}, "order"),
        ({"start_time": "yesterday"}, "start_time"),
    ],
)
async def test_bad_queries_as_json(
    client: httpx.AsyncClient, query: dict[str, Any], name: str
) -> None:
    answer = await client.get("/v1/projects/default/spans", params=query)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", name]


async def test_unknown_project(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/projects/nope/spans")
    assert (answer.status_code, answer.text) == (404, "Project with name nope not found")


# --- posting -------------------------------------------------------------------------------


async def test_known_and_invalid_spans_are_refused_together_with_the_rest(
    client: httpx.AsyncClient, database: Database
) -> None:
    await post(client, posted())
    answer = await post(client, posted(2), posted())
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")
    assert json.loads(answer.text) == {
        "error": "Request contains invalid or duplicate spans",
        "total_received": 2,
        "total_queued": 0,
        "total_duplicates": 1,
        "total_invalid": 0,
        "duplicate_spans": [{"span_id": f"{1:016x}", "trace_id": f"{1:032x}"}],
        "invalid_spans": [],
    }
    unusable = posted(3, context={"trace_id": "xyz", "span_id": f"{3:016x}"})
    answer = await post(client, posted(4), unusable, path="/v1/projects/new/spans")
    assert answer.status_code == 400
    told = json.loads(answer.text)
    assert (told["total_invalid"], told["total_duplicates"]) == (1, 0)
    assert told["invalid_spans"][0]["trace_id"] == "xyz"
    assert "trace_id" in told["invalid_spans"][0]["error"]
    assert await count(database, spans) == 1
    assert await database.read(lambda c: project_rows_named(c, ["new"])) == {}


async def test_schema_errors_name_the_span(client: httpx.AsyncClient) -> None:
    nameless = posted(2)
    del nameless["name"]
    naive = posted(3, start_time="2024-01-01T00:00:00")
    answer = await post(client, posted(), nameless, naive)
    assert answer.status_code == 422
    places = [problem["loc"] for problem in answer.json()["detail"]]
    assert places == [["body", "data", 1, "name"], ["body", "data", 2]]
    assert "timezone-naive" in answer.json()["detail"][1]["msg"]
    answer = await client.post(PATH, json={})
    assert answer.json()["detail"][0]["loc"] == ["body", "data"]
    assert (await client.post(PATH, content=b"{")).status_code == 400


async def test_an_unknown_name_is_created_and_an_unknown_id_is_not(
    client: httpx.AsyncClient, database: Database
) -> None:
    assert (await post(client, posted(), path="/v1/projects/brand new/spans")).status_code == 202
    rows = await database.read(lambda c: project_rows_named(c, ["brand new"]))
    assert len(rows) == 1
    answer = await post(client, posted(), path="/v1/projects/UHJvamVjdDo5OTk=/spans")
    assert answer.status_code == 404
    answer = await post(client, posted(), path="/v1/projects/UHJvamVjdDox/spans")  # default
    assert answer.status_code == 202
    assert (await post(client, posted(), path="/v1/projects/%20/spans")).status_code == 422
    # Ingest leaves no audit record.
    assert await count(database, audit_events) == 0


@pytest.mark.parametrize("traces_settings", [TracesSettings(max_queue_bytes=2_000)])
async def test_a_full_queue_refuses_before_the_body_is_read(
    client: httpx.AsyncClient, door: Any
) -> None:
    sent = 0

    async def slow() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(50):
            sent += 1
            yield b" " * 1_000
            await asyncio.sleep(0)

    with door.buffer.reserve() as room:
        room.grow(1_500)
        answer = await client.post(PATH, content=slow())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "at capacity" in answer.text
    assert sent <= 1
    assert door.buffer.waiting_bytes == 0
    assert (await post(client, posted())).status_code == 202


@pytest.mark.parametrize("traces_settings", [TracesSettings(max_queue_bytes=1_000)])
async def test_what_is_larger_than_the_queue_is_taken_when_nothing_waits(
    client: httpx.AsyncClient, door: Any
) -> None:
    assert (await post(client, *(posted(number) for number in range(1, 9)))).status_code == 202
    assert door.buffer.waiting_bytes == 0


async def test_a_body_that_never_ends_gives_its_room_back(
    database: Database, audit: AuditLog, door: Any, traces_settings: TracesSettings
) -> None:
    begun, buffer = asyncio.Event(), door.buffer

    async def dawdling() -> AsyncIterator[bytes]:
        yield b"{"
        begun.set()
        await asyncio.sleep(20)

    routes = span_routes(Spans(database, audit), buffer.reserve, traces_settings, body_seconds=0.5)
    transport = httpx.ASGITransport(app=replace(door, routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        posting = asyncio.create_task(client.post(PATH, content=dawdling()))
        await begun.wait()
        assert buffer.waiting_bytes == 1
        answer = await posting
    assert (answer.status_code, answer.text) == (503, "The body took too long to arrive")
    assert buffer.waiting_bytes == 0


async def test_an_empty_list_is_stored_at_once(client: httpx.AsyncClient) -> None:
    answer = await post(client)
    assert (answer.status_code, answer.json()["total_queued"]) == (202, 0)


# --- deleting ------------------------------------------------------------------------------


async def test_delete_by_both_ids(client: httpx.AsyncClient, database: Database) -> None:
    await post(client, posted(1), posted(2))
    assert (await client.delete(f"/v1/spans/{1:016x}")).status_code == 204
    again = await client.delete(f"/v1/spans/{1:016x}")
    assert (again.status_code, again.text) == (404, f"Span with span_id '{1:016x}' not found")
    (left,) = (await client.get(PATH)).json()["data"]
    assert (await client.delete(f"/v1/spans/{left['id']}")).status_code == 204
    for unknown in ("nonsense", "0" * 15 + "g", "UHJvamVjdDox", "U3Bhbjo5OTk="):
        assert (await client.delete(f"/v1/spans/{unknown}")).status_code == 404
    rows = await database.read(
        lambda c: c.execute(
            select(audit_events.c.event, audit_events.c.target_id, audit_events.c.before)
        ).all()
    )
    assert [row.event for row in rows] == ["span.deleted"] * 2
    assert rows[1].target_id == left["id"]
    assert json.loads(rows[0].before)["span_id"] == f"{1:016x}"


async def test_a_span_id_of_several_projects_is_not_guessed(client: httpx.AsyncClient) -> None:
    for project in ("demo", "other"):
        await post(client, posted(), path=f"/v1/projects/{project}/spans")
    assert (await client.delete(f"/v1/spans/{1:016x}")).status_code == 409


# --- who may -------------------------------------------------------------------------------


async def test_viewers_read_only(client: httpx.AsyncClient, door: Any) -> None:
    await post(client, posted())
    door.principal = user_with_role(VIEWER)
    assert (await client.get(PATH)).status_code == 200
    answer = await post(client, posted(2))
    assert (answer.status_code, answer.text) == (403, "Viewers cannot perform this action.")
    assert (await client.delete(f"/v1/spans/{1:016x}")).status_code == 403


async def test_a_restricted_key_knows_its_projects_only(
    client: httpx.AsyncClient,
    door: Any,
    database: Database,
) -> None:
    for project in ("mine", "theirs"):
        await post(
            client, posted(1 if project == "mine" else 2), path=f"/v1/projects/{project}/spans"
        )
    rows = await database.read(lambda c: project_rows_named(c, ["mine", "theirs"]))
    door.principal = key_for_projects(rows["mine"], role=ADMIN)
    assert (await client.get("/v1/projects/mine/spans")).status_code == 200
    assert (await client.get("/v1/projects/theirs/spans")).status_code == 404
    assert (await post(client, posted(3), path="/v1/projects/mine/spans")).status_code == 202
    for outside in ("theirs", "unknown"):
        answer = await post(client, posted(4), path=f"/v1/projects/{outside}/spans")
        assert answer.status_code == 403
    assert (await client.delete(f"/v1/spans/{2:016x}")).status_code == 404
    assert (await client.delete(f"/v1/spans/{1:016x}")).status_code == 204
    assert await count(database, projects) == 3


# --- in the shape of OTLP ------------------------------------------------------------------


async def test_spans_as_otlp(client: httpx.AsyncClient) -> None:
    attributes = {"t": "x", "n": 5, "f": 0.5, "b": True, "l": ["a", 1], "big": 2**70, "e": {}}
    await post(client, posted(1), posted(2, parent_id=f"{1:016x}", attributes=attributes))
    page = (await client.get(f"{PATH}/otlpv1", params={"limit": 1})).json()
    (span,) = page["data"]
    nothing = dict.fromkeys(
        ("array_value", "bool_value", "bytes_value", "double_value", "int_value", "kvlist_value")
    ) | {"string_value": None}
    values = {one["key"]: one["value"] for one in span.pop("attributes")}
    assert values["t"] == {**nothing, "string_value": "x"}
    assert values["n"] == {**nothing, "int_value": 5}
    assert values["f"] == {**nothing, "double_value": 0.5}
    assert values["b"] == {**nothing, "bool_value": True}
    inner = [{**nothing, "string_value": "a"}, {**nothing, "int_value": 1}]
    assert values["l"] == {**nothing, "array_value": {"values": inner}}
    assert values["big"] == {**nothing, "double_value": float(2**70)}
    assert values["e"] == {**nothing, "string_value": "{}"}
    (event,) = span.pop("events")
    assert (event["name"], event["time_unix_nano"]) == ("e", 1795471314626501000)
    assert span == {
        "dropped_attributes_count": None,
        "dropped_events_count": None,
        "dropped_links_count": None,
        "end_time_unix_nano": 1795471315626501000,
        "flags": None,
        "kind": "SPAN_KIND_INTERNAL",
        "links": None,
        "name": "posted",
        "parent_span_id": f"{1:016x}",
        "span_id": f"{2:016x}",
        "start_time_unix_nano": 1795471314626501000,
        "status": {"code": 1, "message": None},
        "trace_id": f"{1:032x}",
        "trace_state": None,
    }
    query = {"cursor": page["next_cursor"], "parent_id": "null"}
    page = (await client.get(f"{PATH}/otlpv1", params=query)).json()
    assert [one["span_id"] for one in page["data"]] == [f"{1:016x}"]
    assert page["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"start_time": "0001-01-01", "end_time": "9999-12-31T23:59:59.999999"}, [1]),
        ({"start_time": "0001-01-01T00:00:00+23:59"}, [1]),
        ({"end_time": "9999-12-31T23:59:59-23:59"}, [1]),
        ({"start_time": "9999-01-01"}, []),
        ({"end_time": "0001-01-01"}, []),
        ({"start_time": "9999-12-31", "end_time": "0001-01-01"}, []),
    ],
)
async def test_times_beyond_all_spans_are_the_whole_of_time_or_none(
    client: httpx.AsyncClient, query: dict[str, str], numbers: list[int]
) -> None:
    await post(client, posted())
    for path in (PATH, f"{PATH}/otlpv1"):
        answer = await client.get(path, params=query)
        assert len(answer.json()["data"]) == len(numbers)


async def test_numbers_beyond_64_bits_and_floats_are_shown(client: httpx.AsyncClient) -> None:
    huge, large = 10**400, 2**63
    attributes = {
        "metadata": {"a": huge, "b": large},
        "openinference.span.kind": "LLM",
        "llm.token_count.total": "9" * 400,
        "llm.token_count.prompt": 1e308,
        "llm.token_count.completion": 1e308,
    }
    event = {"name": "e", "timestamp": "2026-11-23T22:01:54+00:00", "attributes": {"n": huge}}
    changes = {"span_kind": "LLM", "attributes": attributes, "events": [event]}
    assert (await post(client, posted(**changes))).status_code == 202
    assert (await client.get(PATH)).status_code == 200
    answer = await client.get(f"{PATH}/otlpv1")
    assert answer.status_code == 200
    (shown,) = answer.json()["data"]
    values = {one["key"]: one["value"] for one in shown["attributes"]}
    assert values["metadata.a"]["string_value"] == str(huge)
    assert values["metadata.b"]["double_value"] == float(large)
    assert shown["events"][0]["attributes"][0]["value"]["string_value"] == str(huge)


async def test_a_page_of_large_spans_is_shorter_and_the_cursor_leads_on(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = {"input.value": "x" * 1_000}
    await post(client, *(posted(n, attributes=large) for n in range(1, 6)))
    monkeypatch.setattr("bennu.traces.spans.flow._MOST_PAGE_BYTES", 2_500)
    for query in ({}, {"sort": "start_time"}):
        cursor: dict[str, str] = {}
        seen, sizes = [], []
        while True:
            page = (await client.get(PATH, params={**query, **cursor})).json()
            sizes.append(len(page["data"]))
            seen += [span["context"]["span_id"] for span in page["data"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert (len(set(seen)), sizes) == (5, [2, 2, 1])
    monkeypatch.setattr("bennu.traces.spans.flow._MOST_PAGE_BYTES", 1)
    assert len((await client.get(PATH)).json()["data"]) == 1
