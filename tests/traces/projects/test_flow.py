"""Changes of projects leave audit records in the same transaction. Decision 11."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from bennu.access import ADMIN, EVERYBODY, MEMBER, VIEWER, Caller, Permission
from bennu.audit.log import AuditLog
from bennu.kernel.errors import DeniedError, InvalidError, NotFoundError
from bennu.storage.database import Connection, Database
from bennu.storage.schema import audit_events
from bennu.traces.projects.flow import Projects, visible_project
from bennu.traces.spans.store import SpanBatch, insert_spans
from fakes.clock import FrozenClock
from fakes.principals import key_for_projects, user_with_role
from fakes.spans import make_span

CALLER = Caller(EVERYBODY)


@pytest.fixture
def projects(database: Database, clock: FrozenClock, audit: AuditLog) -> Projects:
    return Projects(database, clock, audit)


async def records(database: Database) -> list[dict[str, Any]]:
    return await database.read(
        lambda c: [
            dict(row) for row in c.execute(select(audit_events).order_by("sequence")).mappings()
        ]
    )


async def test_every_change_is_recorded(projects: Projects, database: Database) -> None:
    made = await projects.create_project(CALLER, "p", "old")
    await projects.describe_project(CALLER, "p", "new")
    await projects.delete_project(CALLER, made.public_id)
    found = await records(database)
    assert [row["event"] for row in found] == [
        "project.created",
        "project.changed",
        "project.deleted",
    ]
    assert {row["target_id"] for row in found} == {made.public_id}
    assert json.loads(found[1]["before"]) == {"description": "old"}
    assert json.loads(found[1]["after"]) == {"description": "new"}


async def test_without_its_record_nothing_changes(
    projects: Projects, database: Database, clock: FrozenClock
) -> None:
    await projects.create_project(CALLER, "kept", None)

    class FullLog:
        def record(self, *_: object) -> None:
            raise RuntimeError("no room for a record")

    flow = Projects(database, clock, FullLog())
    for change in (
        flow.create_project(CALLER, "p", None),
        flow.describe_project(CALLER, "kept", "x"),
        flow.delete_project(CALLER, "kept"),
    ):
        with pytest.raises(RuntimeError):
            await change
    page = await projects.page_of_projects(CALLER, 10, None, "")
    assert [(p.name, p.description) for p in page.projects] == [
        ("kept", None),
        ("default", "Default project"),
    ]


async def test_a_refusal_leaves_no_record(projects: Projects, database: Database) -> None:
    with pytest.raises(DeniedError, match="The default project cannot be deleted"):
        await projects.delete_project(CALLER, "default")
    with pytest.raises(NotFoundError):
        await projects.delete_project(CALLER, "nope")
    with pytest.raises(InvalidError):
        await projects.create_project(CALLER, " ", None)
    for text in ("a\x00b",):
        with pytest.raises(InvalidError):
            await projects.create_project(CALLER, "p", text)
        with pytest.raises(InvalidError):
            await projects.describe_project(CALLER, "default", text)
    assert await records(database) == []


async def test_a_project_larger_than_one_round_is_deleted_whole(
    projects: Projects, database: Database
) -> None:
    made = await projects.create_project(CALLER, "large", None)
    batch = SpanBatch(made.row_id, "", [make_span(n, trace=n) for n in range(1, 601)])
    await database.write(lambda c: insert_spans(c, [batch]))
    await projects.delete_project(CALLER, "large")
    with pytest.raises(NotFoundError):
        await projects.one_project(CALLER, "large")


async def test_permissions_per_use_case(projects: Projects) -> None:
    made = await projects.create_project(CALLER, "p", None)
    member, viewer = Caller(user_with_role(MEMBER)), Caller(user_with_role(VIEWER))
    for caller in (member, viewer):
        assert await projects.one_project(caller, "p") == made
        with pytest.raises(DeniedError):
            await projects.describe_project(caller, "p", "x")
        with pytest.raises(DeniedError):
            await projects.delete_project(caller, "p")
    with pytest.raises(DeniedError):
        await projects.create_project(viewer, "q", None)
    assert (await projects.create_project(member, "q", None)).name == "q"


async def test_a_restricted_key_sees_its_projects_only(projects: Projects) -> None:
    mine = await projects.create_project(CALLER, "mine", None)
    theirs = await projects.create_project(CALLER, "theirs", None)
    caller = Caller(key_for_projects(mine.row_id, role=ADMIN))
    page = await projects.page_of_projects(caller, 10, None, "")
    assert page.projects == (mine,)
    for identifier in ("theirs", theirs.public_id):
        with pytest.raises(NotFoundError):
            await projects.one_project(caller, identifier)
        with pytest.raises(NotFoundError):
            await projects.describe_project(caller, identifier, "x")
        with pytest.raises(NotFoundError):
            await projects.delete_project(caller, identifier)
    with pytest.raises(DeniedError):
        await projects.create_project(caller, "more", None)
    assert (await projects.describe_project(caller, "mine", "x")).description == "x"


async def test_the_permission_comes_before_the_search(database: Database) -> None:
    """Whoever lacks the permission does not learn which projects exist."""
    caller = Caller(user_with_role(VIEWER))

    def work(connection: Connection) -> None:
        visible_project(connection, caller, "nope", Permission.PROJECTS_DELETE)

    with pytest.raises(DeniedError):
        await database.read(work)
