"""Span queries over HTTP, read as pandas reads them. Contract: sections 6 and 6.1."""

import json
from io import StringIO
from typing import Any

import httpx
import pandas as pd
import pytest
from pandas.io.json._table_schema import parse_table_schema

from bennu.access import ADMIN, VIEWER
from bennu.kernel.ids import global_id
from bennu.storage.database import Database
from fakes.principals import key_for_projects, user_with_role
from fakes.spans import SECOND_NS, make_span
from fakes.stored import Stored

PATH = "/v1/spans"
DOCUMENTS = {
    "retrieval.documents.0.document.content": "doc A",
    "retrieval.documents.0.document.score": 0.9,
    "retrieval.documents.1.document.content": "doc B",
    "retrieval.documents.1.document.metadata": {"p": 2},
    "input.value": "q",
}

LONG_KEY = ".".join("a" * 17)

pytestmark = pytest.mark.usefixtures("stored")


@pytest.fixture
async def stored(database: Database) -> Stored:
    stored = Stored(database)
    await stored.add(
        "demo",
        make_span(
            1,
            attributes={
                "openinference.span.kind": "CHAIN",
                "metadata": {"tier": "gold", "deep": {"x": [1]}},
                "tag.tags": ["a", "b"],
                "n": 1,
                "flag": True,
                "mixed": 5,
            },
        ),
        make_span(2, parent=1, span_kind="RETRIEVER", attributes=DOCUMENTS),
        make_span(
            3,
            parent=1,
            span_kind="LLM",
            prompt_tokens=10,
            completion_tokens=5,
            start_ns=3 * SECOND_NS + 123_456_789,
            attributes={
                "llm.token_count.total": 15,
                "llm.input_messages.0.message.content": "hi",
                "llm.input_messages.0.message.role": "user",
                "llm.input_messages.1.message.content": "you",
                "mixed": "text",
                "flag": False,
            },
            events=b'[{"name":"e","timestamp":"1970-01-01T00:00:03+00:00","attributes":{}}]',
        ),
        make_span(4, parent=99),
    )
    return stored


def frames_of(answer: httpx.Response) -> list[pd.DataFrame]:
    """Take the tables out of an answer, as the official client does."""
    assert answer.status_code == 200, answer.text
    boundary = "--" + answer.headers["content-type"].split("boundary=")[1]
    parts = answer.text.split(boundary)
    assert parts[0] == ""
    assert parts[-1] == "--\r\n"
    frames = []
    for part in parts[1:-1]:
        head, _, content = part.partition("\r\n\r\n")
        assert "Content-Type: application/json" in head
        frame = parse_table_schema(StringIO(content.strip()).read(), precise_float=False)
        frame.index.names = [name.split("_", 1)[1] for name in frame.index.names]
        frames.append(frame.set_axis([name.split("_", 1)[1] for name in frame.columns], axis=1))
    return frames


async def query(client: httpx.AsyncClient, *queries: Any, **more: Any) -> list[pd.DataFrame]:
    project = {"project_name": more.pop("project", "demo")}
    body = {"queries": queries or [{}], **more}
    return frames_of(await client.post(PATH, params=project, json=body))


async def ids(client: httpx.AsyncClient, *queries: Any, **more: Any) -> list[int]:
    (frame,) = await query(client, *queries, **more)
    return [int(one, 16) for one in frame.index]


async def test_whole_spans(client: httpx.AsyncClient) -> None:
    (frame,) = await query(client)
    assert frame.index.name == "context.span_id"
    assert [int(one, 16) for one in frame.index] == [4, 3, 2, 1]
    assert list(frame.columns[:10]) == [
        "name",
        "span_kind",
        "parent_id",
        "start_time",
        "end_time",
        "status_code",
        "status_message",
        "events",
        "context.span_id",
        "context.trace_id",
    ]
    llm, retriever, root = (frame.iloc[place] for place in (1, 2, 3))
    assert llm["start_time"] == pd.Timestamp("1970-01-01T00:00:03.123456Z")
    assert str(frame["start_time"].dtype).startswith("datetime64[")
    assert llm["attributes.llm.input_messages"] == [
        {"message.content": "hi", "message.role": "user"},
        {"message.content": "you"},
    ]
    assert llm["events"][0]["name"] == "e"
    assert llm["attributes.llm.token_count.total"] == 15
    assert retriever["attributes.retrieval.documents"] == [
        {"document.content": "doc A", "document.score": 0.9},
        {"document.content": "doc B", "document.metadata": {"p": 2}},
    ]
    assert retriever["parent_id"] == f"{1:016x}"
    assert root["attributes.metadata"] == {"tier": "gold", "deep": {"x": [1]}}
    assert root["attributes.tag.tags"] == ["a", "b"]
    assert root["attributes.openinference.span.kind"] == "CHAIN"
    assert pd.isna(root["parent_id"])
    assert [root["attributes.mixed"], llm["attributes.mixed"]] == [5, "text"]
    assert [root["attributes.flag"], llm["attributes.flag"]] == [True, False]


async def test_types_of_columns(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, params={"project_name": "demo"}, json={"queries": [{}]})
    table = json.loads(answer.text.split("\r\n\r\n")[1].rsplit("\r\n--")[0])
    kinds = {
        field["name"].split("_", 1)[1]: {k: v for k, v in field.items() if k != "name"}
        for field in table["schema"]["fields"]
    }
    text = {"type": "string", "extDtype": "str"}
    assert kinds["name"] == kinds["parent_id"] == text
    assert kinds["end_time"] == {"type": "datetime", "tz": "UTC"}
    assert kinds["events"] == kinds["attributes.mixed"] == {"type": "string"}
    assert kinds["attributes.flag"] == {"type": "string"}
    assert kinds["attributes.n"] == {"type": "number"}
    assert table["schema"]["primaryKey"] == ["0_context.span_id"]
    assert table["data"][0]["4_start_time"] == "1970-01-01T00:00:04.000000000Z"


async def test_select_and_rename_and_index(client: httpx.AsyncClient) -> None:
    select = {
        "input.value": {"key": "input.value"},
        "kind": {"key": "span_kind"},
        "total": {"key": "llm.token_count.total"},
        "span_id": {"key": "span_id"},
        "first": {"key": "attributes.llm.input_messages.0.message.content"},
        "latency_ms": {"key": "latency_ms"},
        "tokens": {"key": "cumulative_llm_token_count_total"},
        "nothing": {"key": "no.such.key"},
    }
    (frame,) = await query(
        client,
        {"select": select, "rename": {"input.value": "asked"}, "index": {"key": "trace_id"}},
    )
    assert frame.index.name == "context.trace_id"
    assert list(frame.columns) == ["asked", *list(select)[1:]]
    llm = frame.iloc[1]
    assert (llm["kind"], llm["total"], llm["first"], llm["tokens"]) == ("LLM", 15, "hi", 15)
    assert llm["latency_ms"] == pytest.approx(876.543211)
    assert frame.iloc[2]["asked"] == "q"
    assert frame["nothing"].isna().all()


async def test_filter(client: httpx.AsyncClient) -> None:
    assert await ids(client, {"filter": {"condition": "span_kind == 'LLM'"}}) == [3]
    where = {"condition": "metadata['tier'] == 'gold'", "valid_eval_names": ["x"]}
    assert await ids(client, {"filter": where}) == [1]


async def test_explode(client: httpx.AsyncClient) -> None:
    explode = {
        "key": "retrieval.documents",
        "kwargs": {"doc": "document.content", "score": "document.score"},
    }
    (frame,) = await query(client, {"explode": explode, "index": {"key": "context.span_id"}})
    assert frame.index.names == ["context.span_id", "document_position"]
    assert [(int(one, 16), position) for one, position in frame.index] == [(2, 0), (2, 1)]
    assert list(frame["doc"]) == ["doc A", "doc B"]
    assert frame["score"].iloc[0] == 0.9
    assert pd.isna(frame["score"].iloc[1])
    select = {"q": {"key": "input.value"}}
    bare = {"key": "retrieval.documents"}
    (frame,) = await query(client, {"select": select, "explode": bare})
    assert list(frame["q"]) == ["q", "q"]
    assert list(frame["document.content"]) == ["doc A", "doc B"]
    assert frame["document.metadata"].iloc[1] == {"p": 2}
    (frame,) = await query(client, {"explode": {"key": "tag.tags"}})
    assert frame.index.names == ["context.span_id", "position"]
    assert list(frame["tag.tags"]) == ["a", "b"]


async def test_concat(client: httpx.AsyncClient) -> None:
    concat = {"key": "retrieval.documents", "kwargs": {"all": "document.content"}}
    (frame,) = await query(
        client, {"concat": concat, "filter": {"condition": "span_kind == 'RETRIEVER'"}}
    )
    assert list(frame["all"]) == ["doc A\n\ndoc B"]
    (frame,) = await query(client, {"concat": {**concat, "separator": ", "}})
    assert frame["all"].iloc[2] == "doc A, doc B"
    assert pd.isna(frame["all"].iloc[0])
    (frame,) = await query(client, {"concat": {"key": "tag.tags", "separator": "+"}})
    assert frame["tag.tags"].iloc[3] == "a+b"


async def test_time_limit_and_roots(client: httpx.AsyncClient) -> None:
    assert await ids(client, limit=2) == [4, 3]
    assert await ids(client, start_time="1970-01-01T00:00:03Z") == [4, 3]
    assert await ids(client, end_time="1970-01-01T00:00:03") == [2, 1]
    assert await ids(client, stop_time="1970-01-01T00:00:02+00:00") == [1]
    assert await ids(client, start_time="0001-01-01", end_time="9999-12-31") == [4, 3, 2, 1]
    assert await ids(client, start_time="9999-12-31T23:59:59-12:00") == []
    assert await ids(client, root_spans_only=True) == [4, 1]
    assert await ids(client, root_spans_only=True, orphan_span_as_root_span=False) == [1]
    assert await ids(client, limit=None, start_time=None, root_spans_only=None) == [4, 3, 2, 1]


async def test_several_queries_and_pages(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bennu.traces.dataframes.flow._READ_AT_ONCE", 3)
    monkeypatch.setattr("bennu.traces.dataframes.frame._IN_MEMORY_BYTES", 10)
    monkeypatch.setattr("bennu.traces.dataframes.flow._READ_BYTES_AT_ONCE", 300)
    one, two = await query(client, {}, {"select": {"name": {"key": "name"}}})
    assert len(one) == len(two) == 4
    assert list(two.columns) == ["name"]


async def test_unknown_and_empty_projects_hold_nothing(
    client: httpx.AsyncClient, stored: Stored
) -> None:
    await stored.project("empty")
    for project in ("empty", "nope"):
        (frame,) = await query(client, project=project)
        assert len(frame) == 0
        assert list(frame.columns)[:2] == ["name", "span_kind"]
        (frame,) = await query(client, {"select": {"a": {"key": "x"}}}, project=project)
        assert list(frame.columns) == ["a"]


async def test_the_ways_to_name_a_project(client: httpx.AsyncClient, stored: Stored) -> None:
    body: dict[str, Any] = {"queries": [{}]}
    by_id = await stored.project_id("demo")
    for answer in (
        await client.post(PATH, params={"project-name": "demo"}, json=body),
        await client.post(PATH, headers={"project-name": "demo"}, json=body),
        await client.post(PATH, json={**body, "project_name": "demo"}),
        await client.post(PATH, params={"project_name": by_id}, json=body),
    ):
        assert len(frames_of(answer)[0]) == 4
    assert len(frames_of(await client.post(PATH, json=body))[0]) == 0
    any_media = await client.post(PATH, json=body, headers={"accept": "*/*"})
    assert any_media.headers["content-type"].startswith("multipart/mixed; boundary=")


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"queries": [{"filter": {"condition": "span_kind === 'LLM'"}}]}, "at character 13"),
        ({"queries": [{"filter": {"condition": "nope == 1"}}]}, "unknown name 'nope'"),
        ({"queries": [{"filter": {}}]}, "condition"),
        ({"queries": [{"select": {"a": {"key": ""}}}]}, "key"),
        ({"queries": [{}] * 6}, "queries"),
        ({"queries": [{}], "limit": 0}, "limit"),
        ({"queries": [{}], "start_time": "soon"}, "start_time"),
        ({"queries": [{"select": {"x": {"key": LONG_KEY}}}]}, "at most 16 parts"),
        ({"queries": [{"explode": {"key": LONG_KEY}}]}, "at most 16 parts"),
        ({"queries": [{"explode": {"key": "a", "kwargs": {"x": LONG_KEY}}}]}, "at most 16 parts"),
        ({"queries": [{"concat": {"key": LONG_KEY}}]}, "at most 16 parts"),
        ({"queries": [{"concat": {"key": "a", "kwargs": {"x": LONG_KEY}}}]}, "at most 16 parts"),
        ({"queries": [{"index": {"key": LONG_KEY}}]}, "at most 16 parts"),
        ({"queries": {}}, "queries"),
        ({}, "queries"),
    ],
)
async def test_what_is_refused(client: httpx.AsyncClient, body: Any, what: str) -> None:
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 422
    assert what in answer.text


async def test_viewers_may_query_and_restricted_keys_see_their_projects(
    client: httpx.AsyncClient, stored: Stored, door: Any
) -> None:
    door.principal = user_with_role(VIEWER)
    assert await ids(client) == [4, 3, 2, 1]
    door.principal = key_for_projects(await stored.project("mine"), role=ADMIN)
    for hidden in ("demo", global_id("Project", 2)):
        (frame,) = await query(client, project=hidden)
        assert len(frame) == 0


async def test_an_answer_that_grows_too_large_is_refused(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    select = {"select": {"name": {"key": "name"}}}
    bytes_of_one = len((await client.post(PATH, json={"queries": [select]})).content)
    exploded = {"select": {"all": {"key": "embedding"}}, "explode": {"key": "tag.tags"}}
    monkeypatch.setattr("bennu.traces.dataframes.flow._MOST_BYTES", bytes_of_one)
    params = {"project_name": "demo"}
    one = await client.post(PATH, params=params, json={"queries": [select]})
    assert one.status_code == 200
    for queries in ([select] * 5, [{}], [exploded] * 5):
        answer = await client.post(PATH, params=params, json={"queries": queries})
        assert answer.status_code == 413
        assert "fewer spans" in answer.text
