"""The official Python client, unmodified, on projects and spans."""

import datetime as dt
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from phoenix.client import Client
from phoenix.client.resources.spans import SpanCreationError

from started import StartedServer

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("client")) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: StartedServer) -> Client:
    return Client(http_client=server.client(server.api_key()))


def span(trace: str, own: str, name: str = "s", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "context": {"trace_id": trace * 32, "span_id": own * 16},
        "span_kind": "CHAIN",
        "start_time": NOW.isoformat(),
        "end_time": (NOW + dt.timedelta(seconds=1)).isoformat(),
        "status_code": "OK",
        "attributes": {},
        **more,
    }


def test_projects_are_made_found_changed_and_deleted(client: Client) -> None:
    made = client.projects.create(name="p1", description="d")
    assert made["name"] == "p1"
    assert client.projects.get(project_name="p1") == made
    assert client.projects.get(project_id=made["id"]) == made
    assert [p["name"] for p in client.projects.list(name_contains="P1")] == ["p1"]
    assert client.projects.update(project_name="p1", description="d2")["description"] == "d2"
    client.projects.delete(project_name="p1")
    assert "p1" not in {p["name"] for p in client.projects.list()}


def test_a_project_cannot_be_made_twice_and_default_stays(client: Client) -> None:
    client.projects.create(name="twice")
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        client.projects.create(name="twice")
    with pytest.raises(Exception, match=r"nope|404"):
        client.projects.get(project_name="nope")
    with pytest.raises(Exception, match=r"403|default"):
        client.projects.delete(project_name="default")


def test_logged_spans_are_listed_with_every_filter(client: Client) -> None:
    spans = [
        span("a", "1", "root", attributes={"session.id": "s-1", "llm.model_name": "m", "n": 10}),
        span("a", "2", "child", parent_id="1" * 16, span_kind="LLM", status_code="ERROR"),
    ]
    assert client.spans.log_spans(project_identifier="logged", spans=spans)["total_queued"] == 2

    def names(**query: Any) -> list[str]:
        return [s["name"] for s in client.spans.get_spans(project_identifier="logged", **query)]

    assert names() == ["child", "root"]
    assert names(limit=1) == ["child"]
    assert names(trace_ids=["a" * 32], span_kind="LLM") == ["child"]
    assert names(status_code=["OK", "UNSET"]) == ["root"]
    assert names(name="root") == ["root"]
    assert names(parent_id="1" * 16) == ["child"]
    assert names(attributes={"llm.model_name": "m", "n": 10}) == ["root"]
    assert names(attributes={"n": 11}) == []
    assert names(start_time=NOW, end_time=NOW + dt.timedelta(seconds=1)) == ["child", "root"]
    assert names(start_time=NOW + dt.timedelta(seconds=1)) == []
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        names(span_kind="NOPE")


def test_a_span_reads_back_as_it_was_sent(client: Client) -> None:
    event = {"name": "e", "timestamp": NOW.isoformat(), "attributes": {"z": 1}}
    sent = span("b", "3", "whole", attributes={"input.value": "x"}, events=[event])
    client.spans.log_spans(project_identifier="whole", spans=[sent])
    (read,) = client.spans.get_spans(project_identifier="whole")
    assert read["context"] == sent["context"]
    assert read["start_time"] == "2026-03-01T12:00:00+00:00"
    assert read["attributes"] == {"input.value": "x"}
    assert read["events"] == [event]
    assert read["parent_id"] is None


def test_duplicates_and_naive_times_are_refused_as_the_client_expects(client: Client) -> None:
    client.spans.log_spans(project_identifier="dup", spans=[span("c", "4")])
    with pytest.raises(SpanCreationError) as refused:
        client.spans.log_spans(project_identifier="dup", spans=[span("c", "4")])
    assert refused.value.total_duplicates == 1
    naive = span("d", "5", start_time="2024-01-01T00:00:00")
    with pytest.raises(SpanCreationError):
        client.spans.log_spans(project_identifier="dup", spans=[naive])
    assert len(client.spans.get_spans(project_identifier="dup")) == 1


def test_a_deleted_span_is_gone(client: Client) -> None:
    client.spans.log_spans(project_identifier="gone", spans=[span("e", "6")])
    client.spans.delete(span_identifier="6" * 16)
    assert client.spans.get_spans(project_identifier="gone") == []
    with pytest.raises(Exception, match=r"404|not found"):
        client.spans.delete(span_identifier="6" * 16)


def test_the_curl_line_of_the_spec_lists_projects(server: StartedServer) -> None:
    key = server.api_key()
    for prefix in ("/v1", "/api/v1"):
        command = ["curl", "-s", "-H", f"Authorization: Bearer {key}"]
        printed = subprocess.run(
            [*command, f"{server.base_url}{prefix}/projects"], capture_output=True, check=True
        )
        assert b'"name":"default"' in printed.stdout
