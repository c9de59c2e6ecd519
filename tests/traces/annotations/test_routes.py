"""Annotations and notes over HTTP, on both databases. Contract: section 9."""

import json
from typing import Any

import httpx
import pytest

from bennu.access import ADMIN, MEMBER, VIEWER, Principal
from bennu.kernel.ids import global_id
from bennu.storage.database import Database
from bennu.storage.schema import (
    audit_events,
    document_annotations,
    session_annotations,
    span_annotations,
    trace_annotations,
    users,
    waiting_annotations,
)
from fakes.clock import FrozenClock
from fakes.principals import key_for_projects, user_with_role
from fakes.spans import make_span, span_id, trace_id
from fakes.stored import Stored

SPAN, TRACE = span_id(1).hex(), trace_id(1).hex()
DOCUMENTS = {"retrieval.documents.0.document.content": "a", "retrieval.documents.1.score": 1}
#: kind, id field, id, kind of the public id of what it is about.
KINDS = (
    ("span", "span_id", SPAN, "Span"),
    ("trace", "trace_id", TRACE, "Trace"),
    ("session", "session_id", "s", "ProjectSession"),
)
SYNC = {"sync": "true"}
NESTED: Any = {}
for _ in range(70):
    NESTED = {"a": NESTED}

pytestmark = pytest.mark.usefixtures("stored")


@pytest.fixture
async def stored(database: Database) -> Stored:
    stored = Stored(database)
    await stored.add(
        "demo",
        make_span(1, session_id="s", attributes=DOCUMENTS),
        make_span(2, parent=1),
    )
    await stored.add("other", make_span(9, trace=9, session_id="t"))
    return stored


def said(field: str, target: str, **changes: Any) -> dict[str, Any]:
    return {"name": "n", "annotator_kind": "LLM", field: target, "result": {"score": 1}, **changes}


async def post(
    client: httpx.AsyncClient, kind: str, *items: dict[str, Any], sync: bool = True
) -> httpx.Response:
    params = SYNC if sync else {}
    return await client.post(f"/v1/{kind}_annotations", json={"data": items}, params=params)


async def listed(client: httpx.AsyncClient, kind: str, **query: Any) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/projects/demo/{kind}_annotations", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


@pytest.mark.parametrize(("kind", "field", "target", "of"), KINDS)
async def test_written_read_and_replaced(
    client: httpx.AsyncClient, clock: FrozenClock, kind: str, field: str, target: str, of: str
) -> None:
    result = {"label": "good", "score": 0.5, "explanation": "why"}
    first = said(field, target, result=result, metadata={"m": {"n": [1]}}, identifier="i")
    second = said(field, global_id(of, 1), identifier="j")
    answer = await post(client, kind, first, second)
    assert answer.status_code == 200, answer.text
    one, other = (item["id"] for item in answer.json()["data"])
    at = clock.now_utc().isoformat()
    assert await listed(client, kind, **{f"{field}s": target, "identifier": "i"}) == [
        {
            "id": one,
            "created_at": at,
            "updated_at": at,
            "source": "API",
            "user_id": None,
            "name": "n",
            "annotator_kind": "LLM",
            "result": result,
            "metadata": {"m": {"n": [1]}},
            "identifier": "i",
            field: target,
        }
    ]
    clock.advance(5)
    again = await post(client, kind, said(field, target, identifier="i", annotator_kind="CODE"))
    assert again.json()["data"] == [{"id": one}]
    newest, oldest = await listed(client, kind, **{f"{field}s": target})
    assert newest["id"] == other
    assert (oldest["created_at"], oldest["annotator_kind"]) == (at, "CODE")
    assert oldest["updated_at"] == clock.now_utc().isoformat()
    assert oldest["result"] == {"label": None, "score": 1.0, "explanation": None}
    assert oldest["metadata"] == {}


async def test_of_equal_ones_in_one_request_the_last_stays(client: httpx.AsyncClient) -> None:
    items = [said("span_id", SPAN, result={"score": n}) for n in (1, 2)]
    one, other = (await post(client, "span", *items)).json()["data"]
    assert one == other
    (left,) = await listed(client, "span", span_ids=SPAN)
    assert left["result"]["score"] == 2


@pytest.mark.parametrize(
    ("kind", "field", "text"),
    [
        ("span", "span_id", "Spans with IDs nope, 00 do not exist."),
        ("trace", "trace_id", "Traces with IDs nope, 00 do not exist."),
        ("session", "session_id", "Sessions with IDs nope, 00 do not exist."),
    ],
)
async def test_what_is_not_there_is_refused_at_once(
    client: httpx.AsyncClient, stored: Stored, kind: str, field: str, text: str
) -> None:
    good = said(field, {"span": SPAN, "trace": TRACE, "session": "s"}[kind])
    answer = await post(client, kind, good, said(field, "nope"), said(field, "00"))
    assert (answer.status_code, answer.text) == (404, text)
    for table in (span_annotations, trace_annotations, session_annotations):
        assert await stored.count(table) == 0


async def test_without_sync_no_ids_and_what_is_there_is_written(
    client: httpx.AsyncClient, stored: Stored
) -> None:
    answer = await post(
        client, "span", said("span_id", SPAN), said("span_id", "ab" * 8), sync=False
    )
    assert (answer.status_code, answer.json()) == (200, {"data": []})
    assert len(await listed(client, "span", span_ids=SPAN)) == 1
    assert await stored.count(waiting_annotations) == 1
    assert (await post(client, "span")).json() == {"data": []}
    # Writing leaves no audit record.
    assert await stored.count(audit_events) == 0


async def test_too_many_do_not_wait(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bennu.traces.annotations.flow.MOST_WAITING", 2)
    items = [said("span_id", f"{n:016x}") for n in (100, 101, 102)]
    assert (await post(client, "span", *items[:2], sync=False)).status_code == 200
    answer = await post(client, "span", items[2], sync=False)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 1001}, "name"),
        ({"identifier": "x" * 1001}, "identifier"),
        ({"annotator_kind": "ROBOT"}, "annotator_kind"),
        ({"result": {"score": "high"}}, "score"),
        ({"result": 5}, "result"),
        ({"metadata": [1]}, "metadata"),
        ({"span_id": 5}, "span_id"),
    ],
)
async def test_what_is_refused_names_its_field(
    client: httpx.AsyncClient, stored: Stored, changes: dict[str, Any], field: str
) -> None:
    for sync in (True, False):
        answer = await post(
            client, "span", said("span_id", SPAN), {**said("span_id", SPAN), **changes}, sync=sync
        )
        assert answer.status_code == 422
        way = answer.json()["detail"][0]["loc"]
        assert way[:3] == ["body", "data", 1]
        assert way[-1] == field
    assert await stored.count(span_annotations) == 0


async def test_metadata_may_not_nest_without_end(client: httpx.AsyncClient) -> None:
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"d": deep}
    assert (await post(client, "span", said("span_id", SPAN, metadata=deep))).status_code == 422


async def test_the_name_of_notes_is_taken(client: httpx.AsyncClient) -> None:
    answer = await post(client, "span", said("span_id", SPAN, name="note"))
    assert answer.status_code == 400


async def test_an_id_of_several_projects_is_not_guessed(
    client: httpx.AsyncClient, stored: Stored, door: Any
) -> None:
    await stored.add("other", make_span(1))
    for sync in (True, False):
        assert (await post(client, "span", said("span_id", SPAN), sync=sync)).status_code == 409
    assert (await post(client, "span", said("span_id", "U3BhbjoxMQ=="))).status_code == 404
    assert (await post(client, "span", said("span_id", global_id("Span", 1)))).status_code == 200
    door.principal = key_for_projects(await stored.project("other"))
    assert (await post(client, "span", said("span_id", SPAN))).status_code == 200


# --- documents -----------------------------------------------------------------------------


async def test_documents(client: httpx.AsyncClient, stored: Stored) -> None:
    items = [said("span_id", SPAN, document_position=n) for n in (0, 1)]
    answer = await post(client, "document", *items)
    assert [one["id"][:20] for one in answer.json()["data"]] == ["RG9jdW1lbnRBbm5vdGF0"] * 2
    rows = await stored.rows(document_annotations)
    assert [row["document_position"] for row in rows] == [0, 1]
    for bad in (
        said("span_id", SPAN, document_position=2),
        said("span_id", SPAN, document_position=-1),
        said("span_id", SPAN, document_position=0, identifier="i"),
        said("span_id", SPAN),
        said("span_id", span_id(2).hex(), document_position=0),
    ):
        assert (await post(client, "document", bad)).status_code == 422
    unknown = said("span_id", "00" * 8, document_position=0)
    assert (await post(client, "document", unknown)).status_code == 404


# --- notes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "field", "target", "of"), KINDS)
async def test_notes_add_up_unless_they_are_named(
    client: httpx.AsyncClient, kind: str, field: str, target: str, of: str
) -> None:
    async def note(**data: str) -> httpx.Response:
        return await client.post(f"/v1/{kind}_notes", json={"data": {field: target, **data}})

    first, second = await note(note=" one "), await note(note="two")
    named, renamed = await note(note="a", identifier="k"), await note(note="b", identifier="k")
    assert first.json()["data"]["id"] != second.json()["data"]["id"]
    assert named.json() == renamed.json()
    notes = await listed(client, kind, **{f"{field}s": target})
    assert [one["result"]["explanation"] for one in notes] == ["b", "two", "one"]
    assert {one["name"] for one in notes} == {"note"}
    assert {one["annotator_kind"] for one in notes} == {"HUMAN"}
    assert notes[2]["identifier"].startswith(f"px-{kind}-note:")
    without = await listed(client, kind, exclude_annotation_names="note", **{f"{field}s": target})
    assert without == []
    assert (await note(note="  ")).status_code == 422
    assert (await note(note="")).status_code == 422
    assert (await note(note="x", identifier="i" * 1001)).status_code == 422
    target = global_id(of, 99)
    assert (await note(note="x")).status_code == 404


# --- lists ---------------------------------------------------------------------------------


async def test_list_filters_and_pages(client: httpx.AsyncClient) -> None:
    names = ("a", "b", "c", "d")
    await post(client, "span", *(said("span_id", SPAN, name=n, identifier="i") for n in names))
    await post(client, "span", said("span_id", span_id(2).hex(), name="a", identifier="j"))

    async def found(**query: Any) -> list[str]:
        return [one["name"] for one in await listed(client, "span", **query)]

    assert await found(span_ids=SPAN) == ["d", "c", "b", "a"]
    assert await found(span_ids=[SPAN, span_id(2).hex(), "nope"]) == ["a", "d", "c", "b", "a"]
    assert await found(identifier=["i", "j"]) == ["a", "d", "c", "b", "a"]
    assert await found(identifier="j") == ["a"]
    assert await found(span_ids=SPAN, identifier="j") == []
    assert await found(span_ids=SPAN, include_annotation_names=["a", "c"]) == ["c", "a"]
    assert await found(span_ids=SPAN, exclude_annotation_names=["a", "c"]) == ["d", "b"]
    query: dict[str, Any] = {"identifier": "i", "limit": 3}
    page = (await client.get("/v1/projects/demo/span_annotations", params=query)).json()
    assert [one["name"] for one in page["data"]] == ["d", "c", "b"]
    query["cursor"] = page["next_cursor"]
    page = (await client.get("/v1/projects/demo/span_annotations", params=query)).json()
    assert ([one["name"] for one in page["data"]], page["next_cursor"]) == (["a"], None)
    assert len(await found(identifier="i", limit=10_000)) == 4
    assert len(await listed(client, "span", span_ids=SPAN, limit=1)) == 1


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 422),
        ({"span_ids": "nope"}, 404),
        ({"span_ids": span_id(9).hex()}, 404),
        ({"span_ids": global_id("Span", 3)}, 404),
        ({"identifier": "none"}, 200),
        ({"span_ids": ["x"] * 1001}, 422),
        ({"identifier": ["x"] * 1001}, 422),
        ({"identifier": "x", "limit": 0}, 422),
        ({"identifier": "x", "limit": 10_001}, 422),
        ({"identifier": "x", "cursor": "zzz"}, 422),
        ({"identifier": "x", "cursor": global_id("TraceAnnotation", 1)}, 422),
    ],
)
async def test_lists_that_find_nothing_or_are_refused(
    client: httpx.AsyncClient, query: dict[str, Any], status: int
) -> None:
    answer = await client.get("/v1/projects/demo/span_annotations", params=query)
    assert answer.status_code == status


# --- deleting ------------------------------------------------------------------------------


async def erase(client: httpx.AsyncClient, kind: str = "span", **query: Any) -> int:
    path = f"/v1/projects/demo/{kind}_annotations"
    return (await client.delete(path, params=query)).status_code


async def left(client: httpx.AsyncClient) -> list[str]:
    return [one["name"] for one in await listed(client, "span", span_ids=SPAN)]


async def test_a_deletion_needs_bounds(client: httpx.AsyncClient, stored: Stored) -> None:
    await post(client, "span", said("span_id", SPAN))
    time = "2000-01-01T00:00:00Z"
    for query in ({}, {"name": "n"}, {"identifier": ""}, {"start_time": time}, {"end_time": time}):
        assert await erase(client, **query) == 422
    assert await erase(client, delete_all="false") == 422
    assert await stored.count(span_annotations) == 1


async def test_deletion_by_every_filter(
    client: httpx.AsyncClient, clock: FrozenClock, stored: Stored
) -> None:
    await post(client, "span", said("span_id", SPAN, name="old"))
    clock.advance(60)
    middle = clock.now_utc().isoformat()
    await post(
        client,
        "span",
        said("span_id", SPAN, name="a", identifier="i"),
        said("span_id", SPAN, name="b", annotator_kind="CODE"),
        said("span_id", SPAN, name="c"),
    )
    await post(client, "trace", said("trace_id", TRACE))
    assert await erase(client, start_time="2000-01-01T00:00:00Z", end_time=middle) == 204
    assert await left(client) == ["c", "b", "a"]
    assert await erase(client, identifier="i", delete_all="true") == 204
    assert await erase(client, annotator_kind="CODE", delete_all="true") == 204
    assert await left(client) == ["c"]
    assert await erase(client, name="other", delete_all="true") == 204
    assert await erase(client, delete_all="true") == 204
    assert await left(client) == []
    assert await stored.count(trace_annotations) == 1
    records = await stored.rows(audit_events)
    assert [json.loads(row["after"])["deleted"] for row in records] == [1, 1, 1, 1]
    assert {row["event"] for row in records} == {"annotation.deleted"}
    assert {row["target_kind"] for row in records} == {"project"}


async def test_many_go_in_several_transactions(
    client: httpx.AsyncClient, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bennu.traces.annotations.flow._DELETED_AT_ONCE", 2)
    await post(client, "span", *(said("span_id", SPAN, identifier=str(n)) for n in range(5)))
    assert await erase(client, delete_all="true") == 204
    assert await left(client) == []
    assert await stored.events() == ["annotation.deleted"] * 3


async def test_who_does_not_administer_deletes_only_his_own(
    client: httpx.AsyncClient, stored: Stored, database: Database, door: Any
) -> None:
    def account(number: int) -> dict[str, Any]:
        at = {"created_at": 1, "updated_at": 1}
        return {"id": number, "username": f"u{number}", "auth_method": "LOCAL", **at}

    await database.write(lambda c: c.execute(users.insert(), [account(71), account(72)]))

    def member(number: int) -> Principal:
        made = user_with_role(MEMBER)
        return Principal(made.kind, f"user:{number}", "", MEMBER, made.permissions, user_id=number)

    for number in (71, 72):
        door.principal = member(number)
        await post(client, "span", said("span_id", SPAN, name=f"of {number}"))
    door.principal = key_for_projects(await stored.project("demo"))
    await post(client, "span", said("span_id", SPAN, name="of a key"))
    door.principal = member(71)
    assert await erase(client, delete_all="true") == 204
    assert await left(client) == ["of a key", "of 72"]
    assert (await listed(client, "span", span_ids=SPAN))[1]["user_id"] == global_id("User", 72)
    door.principal = key_for_projects(await stored.project("demo"))
    assert await erase(client, delete_all="true") == 204
    assert await left(client) == ["of 72"]
    door.principal = user_with_role(ADMIN)
    assert await erase(client, delete_all="true") == 204
    assert await left(client) == []


# --- who may -------------------------------------------------------------------------------


async def test_viewers_read_only(client: httpx.AsyncClient, door: Any) -> None:
    door.principal = user_with_role(VIEWER)
    assert await listed(client, "span", span_ids=SPAN) == []
    assert (await post(client, "span", said("span_id", SPAN))).status_code == 403
    note = {"data": {"span_id": SPAN, "note": "x"}}
    assert (await client.post("/v1/span_notes", json=note)).status_code == 403
    assert await erase(client, delete_all="true") == 403


@pytest.mark.parametrize("about", KINDS)
async def test_a_restricted_key_knows_its_projects_only(
    client: httpx.AsyncClient,
    stored: Stored,
    door: Any,
    about: tuple[str, str, str, str],
) -> None:
    kind, field, target, of = about
    door.principal = key_for_projects(await stored.project("mine"), role=ADMIN)
    for name in (target, global_id(of, 1)):
        assert (await post(client, kind, said(field, name))).status_code == 404
        note = {"data": {field: name, "note": "x"}}
        assert (await client.post(f"/v1/{kind}_notes", json=note)).status_code == 404
        waiting = await post(client, kind, said(field, name), sync=False)
        assert (waiting.status_code, waiting.json()) == (200, {"data": []})
    path = f"/v1/projects/demo/{kind}_annotations"
    assert (await client.get(path, params={f"{field}s": target})).status_code == 404
    assert (await client.delete(path, params={"delete_all": "true"})).status_code == 404
    mine = f"/v1/projects/mine/{kind}_annotations"
    hidden = {f"{field}s": global_id(of, 1)}
    assert (await client.get(mine, params=hidden)).status_code == 404
    assert await stored.count({"span": span_annotations}.get(kind, trace_annotations)) == 0


async def test_a_session_id_that_spells_a_public_id_stands_in_nobodys_place(
    client: httpx.AsyncClient, stored: Stored
) -> None:
    taken = global_id("ProjectSession", 1)
    await stored.add("evil", make_span(20, trace=20, session_id=taken))
    assert (await post(client, "session", said("session_id", taken))).status_code == 200
    (row,) = await stored.rows(session_annotations)
    assert row["session_row"] == 1


async def test_what_waits_is_bounded_in_bytes(client: httpx.AsyncClient, stored: Stored) -> None:
    unknown = span_id(77).hex()
    long = {"explanation": "x" * 65_536}
    for one in (
        said("span_id", unknown, result=long),
        said("span_id", unknown, metadata={"a": "x" * 65_536}),
        said("span_id", "x" * 65_536),
    ):
        answer = await post(client, "span", said("span_id", unknown), one, sync=False)
        assert answer.status_code == 413
        assert "when it is there" in answer.text
    assert await stored.count(waiting_annotations) == 0
    long["explanation"] = "x" * 60_000
    answer = await post(client, "span", said("span_id", unknown, result=long), sync=False)
    assert answer.status_code == 200
    assert (await post(client, "span", said("span_id", SPAN, result=long))).status_code == 200


async def test_too_many_in_one_body_are_refused_before_anything_is_looked_up(
    client: httpx.AsyncClient, stored: Stored
) -> None:
    for kind, field, target in (
        *((k[0], k[1], k[2]) for k in KINDS),
        ("document", "span_id", SPAN),
    ):
        one = said(field, target) | ({"document_position": 0} if kind == "document" else {})
        answer = await post(client, kind, *[one] * 10_001)
        assert answer.status_code == 422
        assert "10000" in answer.text
    many = [said("span_id", SPAN, identifier=str(number)) for number in range(101)]
    answer = await post(client, "span", *many)
    assert len(answer.json()["data"]) == 101
    bad = [*many, said("span_id", SPAN, metadata=NESTED)]
    assert (await post(client, "span", *bad)).status_code == 422
    assert await stored.count(span_annotations) == 101
