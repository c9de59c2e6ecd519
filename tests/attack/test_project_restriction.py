"""A key of project A meets nothing of project B, whatever route it tries. Spec: lines 140, 152-155.

The routes come from the interface document, so a new one is tried without being named here.
"""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bennu.access import PROJECT_PERMISSIONS
from started import ADMIN_SECRET, StartedServer

TRACE, SPAN, SESSION = "cd" * 16, "ef" * 8, "session-of-b"
#: Words that only project B holds; an answer with one of them has let something out.
MARK = "marked-for-b-alone"


def export_to(project: str, name: str) -> bytes:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    span = resource_spans.scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = bytes.fromhex(TRACE), bytes.fromhex(SPAN), name
    span.start_time_unix_nano = span.end_time_unix_nano = 1_700_000_000_000_000_000
    attributes = {"openinference.project.name": project}
    for target, values in (
        (resource_spans.resource.attributes, attributes),
        (span.attributes, {"session.id": SESSION}),
    ):
        for key, value in values.items():
            attribute = target.add()
            attribute.key, attribute.value.string_value = key, value
    return request.SerializeToString()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("restriction")) as started:
        yield started


@pytest.fixture(scope="module")
def admin(server: StartedServer) -> httpx.Client:
    client = server.client(ADMIN_SECRET)
    for project, name in (("A", "of a"), ("B", MARK)):
        headers = {"content-type": "application/x-protobuf"}
        sent = client.post("/v1/traces", content=export_to(project, name), headers=headers)
        assert sent.status_code == 200
    described = client.put("/v1/projects/B", json={"description": MARK})
    assert described.status_code == 200
    return client


@pytest.fixture(scope="module")
def restricted(server: StartedServer, admin: httpx.Client) -> httpx.Client:
    assert admin
    permissions = sorted(PROJECT_PERMISSIONS)
    return server.client(server.api_key(permissions=permissions, projects=["A"]))


def ids_of_b(admin: httpx.Client) -> dict[str, list[str]]:
    """Return what in a path can name something of B, by the word in the braces."""
    project = admin.get("/v1/projects/B").json()["data"]["id"]
    (span,) = admin.get("/v1/projects/B/spans").json()["data"]
    return {
        "project": ["B", project],
        "trace": [TRACE],
        "span": [SPAN, span.get("id", SPAN)],
        "session": [SESSION],
    }


def paths(document: dict[str, Any], method: str, named: dict[str, list[str]]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        words = re.findall(r"{(\w+)}", path)
        if method in methods and words and path.startswith("/v1/"):
            for choice in range(2):
                values = {}
                for word in words:
                    options = named.get(word.partition("_")[0], ["x"])
                    values[word] = options[choice % len(options)]
                yield path.format_map(values)


@pytest.mark.asvs("8.2.2", "8.4.1")
@pytest.mark.parametrize("method", ["get", "delete", "put", "patch", "post"])
def test_no_route_reads_or_changes_anything_of_another_project(
    admin: httpx.Client, restricted: httpx.Client, method: str
) -> None:
    document = admin.get("/openapi.json").json()
    named = ids_of_b(admin)
    before = [admin.get(f"/v1/projects/B{more}").text for more in ("", "/spans")]
    tried = 0
    for path in paths(document, method, named):
        body = {"description": "changed", "project_identifier": "B", "data": []}
        answer = restricted.request(method, path, json=None if method == "get" else body)
        assert MARK not in answer.text, f"{method} {path}"
        assert answer.status_code in {400, 403, 404, 405, 409, 415, 422} or (
            # Spans and traces of the same ids live in A too.
            not re.search(r"/projects/", path) and answer.status_code < 500
        ), f"{method} {path}: {answer.status_code} {answer.text[:200]}"
        tried += 1
    assert tried > 0 or method == "patch"
    assert before == [admin.get(f"/v1/projects/B{more}").text for more in ("", "/spans")]


def test_lists_show_nothing_of_another_project(
    admin: httpx.Client, restricted: httpx.Client
) -> None:
    document = admin.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        if "get" in methods and "{" not in path:
            assert MARK not in restricted.get(path).text, path
    names = [project["name"] for project in restricted.get("/v1/projects").json()["data"]]
    assert names == ["A"]


def test_its_own_project_is_open(restricted: httpx.Client) -> None:
    assert restricted.get("/v1/projects/A").status_code == 200
    assert restricted.put("/v1/projects/A", json={"description": "d"}).status_code == 200
