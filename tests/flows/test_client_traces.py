"""The official Python client, unmodified, on queries, traces, sessions, annotations and notes."""

import datetime as dt
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from phoenix.client import Client
from phoenix.client.types.spans import SpanQuery
from phoenix.otel import register

from started import StartedServer

TRACE, ROOT, RETRIEVER = "a" * 32, "1" * 16, "2" * 16
NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("traces")) as started:
        yield started


def span(own: str, kind: str, parent: str | None = None, **attributes: Any) -> dict[str, Any]:
    return {
        "name": kind.lower(),
        "context": {"trace_id": TRACE, "span_id": own},
        "span_kind": kind,
        "parent_id": parent,
        "start_time": NOW.isoformat(),
        "end_time": (NOW + dt.timedelta(seconds=1)).isoformat(),
        "status_code": "ERROR" if kind == "LLM" else "OK",
        "attributes": {key.replace("__", "."): value for key, value in attributes.items()},
    }


@pytest.fixture(scope="module")
def client(server: StartedServer) -> Client:
    client = Client(http_client=server.client(server.api_key()))
    documents = [
        {"document": {"content": "doc A", "score": 0.9}},
        {"document": {"content": "doc B"}},
    ]
    client.spans.log_spans(
        project_identifier="demo",
        spans=[
            span(ROOT, "CHAIN", session__id="sess-1", input__value="hi"),
            span(RETRIEVER, "RETRIEVER", ROOT, retrieval__documents=documents),
            span("3" * 16, "LLM", ROOT, llm__token_count__prompt=10, llm__token_count__total=15),
        ],
    )
    return client


def test_dataframes(client: Client) -> None:
    frame = client.spans.get_spans_dataframe(project_identifier="demo", limit=2)
    assert list(frame["span_kind"]) == ["LLM", "RETRIEVER"]
    query = SpanQuery().where("span_kind == 'LLM'").select("input.value", "llm.token_count.total")
    frame = client.spans.get_spans_dataframe(query=query, project_identifier="demo")
    assert list(frame["llm.token_count.total"]) == [15]
    query = SpanQuery().explode(
        "retrieval.documents", doc="document.content", score="document.score"
    )
    frame = client.spans.get_spans_dataframe(query=query, project_name="demo")
    assert list(frame["doc"]) == ["doc A", "doc B"]
    assert frame.index.names == ["context.span_id", "document_position"]
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        client.spans.get_spans_dataframe(
            query=SpanQuery().where("span_kind === 'LLM'"), project_name="demo"
        )


def test_span_annotations_and_notes(client: Client) -> None:
    add = client.spans.add_span_annotation
    add(
        span_id=ROOT,
        annotation_name="correctness",
        annotator_kind="LLM",
        label="correct",
        score=1.0,
        metadata={"m": 1},
        identifier="i1",
        sync=True,
    )
    add(span_id=ROOT, annotation_name="other", label="x")
    client.spans.add_span_note(span_id=ROOT, note="hello")
    found = client.spans.get_span_annotations(span_ids=[ROOT], project_identifier="demo")
    assert {one["name"] for one in found} == {"correctness", "other"}
    frame = client.spans.get_span_annotations_dataframe(
        span_ids=[ROOT], project_identifier="demo", exclude_annotation_names=[]
    )
    assert "hello" in list(frame["result.explanation"])
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        add(span_id="f" * 16, annotation_name="correctness", label="x", sync=True)
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        add(span_id=ROOT, annotation_name="note", label="x", sync=True)


def test_document_annotations(client: Client) -> None:
    def add(position: int) -> None:
        client.spans.add_document_annotation(
            span_id=RETRIEVER,
            document_position=position,
            annotation_name="relevance",
            score=1,
            sync=True,
        )

    add(1)
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        add(9)


def test_an_annotation_waits_for_its_span(server: StartedServer, client: Client) -> None:
    late = "9" * 16
    client.spans.add_span_annotation(span_id=late, annotation_name="early", label="x")
    client.spans.log_spans(project_identifier="demo", spans=[span(late, "TOOL", ROOT)])
    deadline = time.monotonic() + 30
    with server.client(server.env["PHOENIX_ADMIN_SECRET"]) as admin:
        while time.monotonic() < deadline:
            query = {"span_ids": late}
            page = admin.get("/v1/projects/demo/span_annotations", params=query).json()
            if page["data"]:
                break
            time.sleep(0.2)
    assert [one["name"] for one in page["data"]] == ["early"]
    client.spans.delete(span_identifier=late)


def test_traces(client: Client) -> None:
    (trace,) = client.traces.get_traces(
        project_identifier="demo",
        include_spans=True,
        session_id="sess-1",
        sort="latency_ms",
        order="asc",
        error=True,
        min_latency_ms=0,
        max_latency_ms=100_000,
    )
    assert trace["trace_id"] == TRACE
    assert trace["token_count_prompt"] == 10
    assert {one["span_kind"] for one in trace["spans"] or ()} == {"CHAIN", "RETRIEVER", "LLM"}
    client.traces.add_trace_annotation(
        trace_id=TRACE, annotation_name="tq", label="good", score=0.5, sync=True
    )
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        client.traces.add_trace_annotation(
            trace_id="e" * 32, annotation_name="tq", label="good", sync=True
        )


def test_sessions(client: Client) -> None:
    assert [one["session_id"] for one in client.sessions.list(project_name="demo")] == ["sess-1"]
    session = client.sessions.get(session_id="sess-1")
    assert [one["trace_id"] for one in session["traces"]] == [TRACE]
    assert len(client.sessions.get_session_turns(session_id="sess-1")) == 1
    client.sessions.add_session_annotation(
        session_id="sess-1", annotation_name="sq", score=1.0, sync=True
    )
    with pytest.raises(Exception, match=r"nope|404"):
        client.sessions.get(session_id="nope")


def test_exported_sessions_are_deleted_one_and_many(server: StartedServer) -> None:
    key = server.api_key()
    provider = register(
        endpoint=f"{server.base_url}/v1/traces",
        project_name="exported",
        set_global_tracer_provider=False,
        verbose=False,
        headers={"authorization": f"Bearer {key}"},
    )
    tracer = provider.get_tracer("demo")
    for number in (1, 2, 3):
        attributes = {"session.id": f"s-{number}", "metadata": json.dumps({"n": number})}
        tracer.start_span("root", attributes=attributes).end()
    provider.force_flush()
    provider.shutdown()
    client = Client(http_client=server.client(key))
    assert len(client.sessions.list(project_name="exported")) == 3
    client.sessions.delete(session_id="s-1")
    client.sessions.bulk_delete(session_ids=["s-2"])
    assert [one["session_id"] for one in client.sessions.list(project_name="exported")] == ["s-3"]
    assert len(client.spans.get_spans(project_identifier="exported")) == 1
