"""A key of project A meets nothing of project B, whatever route it tries. Spec: lines 140, 152-155.

The routes come from the interface document, so a new one is tried without being named here: with
ids of B in its path, and, where it has none, with a body that names what is B's.
"""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bennu.access import PROJECT_PERMISSIONS
from started import ADMIN_SECRET, StartedServer

#: Ids that both projects hold: what a key of A does to them happens in A.
TRACE, SPAN, SESSION = "cd" * 16, "ef" * 8, "session-of-both"
#: Ids that only one of them holds.
TRACE_OF_A, SPAN_OF_A, SESSION_OF_A = "1a" * 16, "1a" * 8, "session-of-a"
TRACE_OF_B, SPAN_OF_B, SESSION_OF_B = "2b" * 16, "2b" * 8, "session-of-b"
#: Words that only project B holds; an answer with one of them has let something out.
MARK = "marked-for-b-alone"
CONFIG = "config-of-b"
REFUSALS = {400, 403, 404, 405, 409, 415, 422}


def export_to(project: str, name: str, trace: str, span_id: str, session: str) -> bytes:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    span = resource_spans.scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = bytes.fromhex(trace), bytes.fromhex(span_id), name
    span.start_time_unix_nano = span.end_time_unix_nano = 1_700_000_000_000_000_000
    attributes = {"openinference.project.name": project}
    document = "retrieval.documents.0.document.content"
    for target, values in (
        (resource_spans.resource.attributes, attributes),
        (span.attributes, {"session.id": session, document: name}),
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
    for project, name, *ids in (
        ("A", "of a", TRACE, SPAN, SESSION),
        ("A", "of a", TRACE_OF_A, SPAN_OF_A, SESSION_OF_A),
        ("B", MARK, TRACE, SPAN, SESSION),
        ("B", MARK, TRACE_OF_B, SPAN_OF_B, SESSION_OF_B),
    ):
        content = export_to(project, name, *ids)
        headers = {"content-type": "application/x-protobuf"}
        assert client.post("/v1/traces", content=content, headers=headers).status_code == 200
    for kind, _, thing in THINGS_OF_B:
        body = annotation_of(kind, thing)
        said = client.post(f"/v1/{kind}_annotations?sync=true", json=body)
        assert said.status_code == 200, said.text
    config = {"name": CONFIG, "type": "FREEFORM"}
    assert client.post("/v1/annotation_configs", json=config).status_code == 200
    for path, body in (
        ("/v1/projects/B", {"description": MARK}),
        (f"/v1/projects/B/annotation_configs/{CONFIG}", None),
    ):
        described = client.put(path, json=body)
        assert described.status_code in {200, 201, 204}, described.text
    return client


@pytest.fixture(scope="module")
def restricted(server: StartedServer, admin: httpx.Client) -> httpx.Client:
    assert admin
    permissions = sorted(PROJECT_PERMISSIONS)
    return server.client(server.api_key(permissions=permissions, projects=["A"]))


#: What of B can be annotated: the kind, the field that names it, its id.
THINGS_OF_B = (
    ("span", "span_id", SPAN_OF_B),
    ("document", "span_id", SPAN_OF_B),
    ("trace", "trace_id", TRACE_OF_B),
    ("session", "session_id", SESSION_OF_B),
)


def annotation_of(kind: str, thing: str, label: str = MARK) -> dict[str, Any]:
    (field,) = {named for it, named, _ in THINGS_OF_B if it == kind}
    said: dict[str, Any] = {"name": "n", "annotator_kind": "CODE", field: thing}
    said["result"] = {"label": label}
    if kind == "document":
        said["document_position"] = 0
    return {"data": [said]}


def state_of_b(admin: httpx.Client) -> list[str]:
    """Return all that B holds, as whoever may see it reads it."""
    told, words = [], (MARK, TRACE_OF_B, SESSION_OF_B, CONFIG)
    for path in (
        "/v1/projects/B",
        "/v1/projects/B/spans",
        "/v1/projects/B/traces",
        "/v1/projects/B/sessions",
        f"/v1/projects/B/span_annotations?span_ids={SPAN_OF_B}",
        f"/v1/projects/B/trace_annotations?trace_ids={TRACE_OF_B}",
        f"/v1/projects/B/session_annotations?session_ids={SESSION_OF_B}",
        "/v1/annotation_configs",
    ):
        answer = admin.get(path)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        assert any(word in answer.text for word in words), path
        told.append(answer.text)
    return told


def ids_of_b(admin: httpx.Client) -> dict[str, list[str]]:
    """Return what in a path can name something of B, by the word in the braces."""
    project = admin.get("/v1/projects/B").json()["data"]["id"]
    spans = admin.get("/v1/projects/B/spans").json()["data"]
    traces = admin.get("/v1/projects/B/traces").json()["data"]
    sessions = admin.get("/v1/projects/B/sessions").json()["data"]
    configs = admin.get("/v1/annotation_configs").json()["data"]
    return {
        "project": ["B", project],
        "trace": [TRACE, TRACE_OF_B, *(one["id"] for one in traces)],
        "span": [SPAN, SPAN_OF_B, *(one["id"] for one in spans)],
        "session": [SESSION, SESSION_OF_B, *(one["id"] for one in sessions)],
        "config": [CONFIG, *(one["id"] for one in configs)],
    }


def paths(document: dict[str, Any], method: str, named: dict[str, list[str]]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        words = re.findall(r"{(\w+)}", path)
        if method in methods and words and path.startswith("/v1/"):
            for choice in range(4):
                values = {}
                for word in words:
                    options = named.get(word.partition("_")[0], ["x"])
                    values[word] = options[choice % len(options)]
                yield path.format_map(values)


def may_succeed(path: str) -> bool:
    """Whether a path may mean what lies in A: an id of both projects, and no project named."""
    parts = set(path.split("/"))
    return "projects" not in parts and bool(parts & {TRACE, SPAN, SESSION})


@pytest.mark.asvs("8.2.2", "8.4.1")
@pytest.mark.parametrize("method", ["get", "delete", "put", "patch", "post"])
def test_no_path_reads_or_changes_anything_of_another_project(
    admin: httpx.Client, restricted: httpx.Client, method: str
) -> None:
    document = admin.get("/openapi.json").json()
    named, before = ids_of_b(admin), state_of_b(admin)
    tried = 0
    for path in paths(document, method, named):
        body = {"description": "changed", "project_identifier": "B", "data": []}
        answer = restricted.request(method, path, json=None if method == "get" else body)
        told = f"{method} {path}: {answer.status_code} {answer.text[:200]}"
        assert MARK not in answer.text, told
        succeeded = answer.status_code < 300 and may_succeed(path)
        assert succeeded or answer.status_code in REFUSALS, told
        tried += 1
    assert tried > 0
    assert state_of_b(admin) == before


def bodies() -> dict[tuple[str, str], list[tuple[int, Any]]]:
    """Return what routes without an id in their path may be asked: the answer, and the body.

    A route that is not named here must answer 403 to a key of a project, whatever is asked.
    """
    moves = ((TRACE_OF_B, "A"), (TRACE_OF_B, "B"), (TRACE_OF_A, "B"))
    named: dict[tuple[str, str], list[tuple[int, Any]]] = {
        ("post", "/v1/traces"): [(403, export_to("B", "new", "3c" * 16, "3c" * 8, "s"))],
        ("post", "/v1/projects"): [(403, {"name": "C"})],
        ("post", "/v1/annotation_configs"): [(403, {"name": "c", "type": "FREEFORM"})],
        # A project that this key may not see is answered like one that is not there: no rows.
        ("post", "/v1/spans"): [(200, {"queries": [{}], "project_name": "B"})],
        ("post", "/v1/traces/transfer"): [
            (404, {"trace_identifiers": [trace], "destination_project_identifier": project})
            for trace, project in moves
        ],
        # Deleting what is not there is no mistake, and nothing of B is there for this key.
        ("post", "/v1/sessions/delete"): [(204, {"session_identifiers": [SESSION_OF_B]})],
    }
    for kind, field, thing in THINGS_OF_B:
        annotation = annotation_of(kind, thing, "changed")
        named["post", f"/v1/{kind}_annotations?sync=true"] = [(404, annotation)]
        # Without the word it may wait for what is about to come to A; it never reaches B.
        named["post", f"/v1/{kind}_annotations"] = [(200, annotation)]
        if kind != "document":
            named["post", f"/v1/{kind}_notes"] = [(404, {"data": {"note": "new", field: thing}})]
    return named


@pytest.mark.asvs("8.2.2", "8.4.1")
def test_no_body_reads_or_changes_anything_of_another_project(
    admin: httpx.Client, restricted: httpx.Client
) -> None:
    document = admin.get("/openapi.json").json()
    wordless = {
        (method, path)
        for path, methods in document["paths"].items()
        for method in methods
        if method != "get" and "{" not in path and path.startswith("/v1/")
    }
    asked = bodies()
    assert {(method, path.partition("?")[0]) for method, path in asked} <= wordless
    asked |= {route: [(403, {"data": {"name": "B"}})] for route in wordless - set(asked)}
    before = state_of_b(admin)
    for (method, path), requests in asked.items():
        for expected, body in requests:
            answer = send(restricted, method, path, body)
            told = f"{method} {path} {body!r}: {answer.status_code} {answer.text[:200]}"
            assert MARK not in answer.text, told
            assert path != "/v1/spans" or '"data":[]' in answer.text, told
            assert answer.status_code == expected, told
    assert state_of_b(admin) == before


def send(client: httpx.Client, method: str, path: str, body: Any) -> httpx.Response:
    if isinstance(body, bytes):
        headers = {"content-type": "application/x-protobuf"}
        return client.request(method, path, content=body, headers=headers)
    return client.request(method, path, json=body)


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
