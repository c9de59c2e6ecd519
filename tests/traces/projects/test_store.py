"""Rows of projects. Contract: section 5."""

import pytest
from sqlalchemy import select

from bennu.kernel.errors import InvalidError
from bennu.kernel.ids import global_id
from bennu.storage.database import Database
from bennu.storage.schema import spans, trace_sessions, traces
from bennu.traces.projects.store import (
    DuplicateProjectError,
    Project,
    check_project_name,
    delete_project_row,
    find_project,
    find_project_named,
    insert_project,
    newest_projects,
    project_rows_made,
    project_rows_named,
    update_project_description,
)
from bennu.traces.spans.store import SpanBatch, insert_spans
from fakes.spans import make_span


async def make(database: Database, *names: str) -> list[Project]:
    return await database.write(
        lambda c: [insert_project(c, name, f"about {name}", 5) for name in names]
    )


async def test_found_by_id_and_by_name(database: Database) -> None:
    one, other = await make(database, "one", "other")
    for identifier, expected in (
        ("one", one),
        (other.public_id, other),
        ("nope", None),
        (global_id("Project", 99), None),
        (global_id("Span", one.row_id), None),
        ("a\x00b", None),
    ):
        found = await database.read(lambda c, by=identifier: find_project(c, by))
        assert found == expected
    assert one.public_id == global_id("Project", one.row_id)


async def test_a_name_that_looks_like_an_id(database: Database) -> None:
    (one,) = await make(database, "one")
    (odd,) = await make(database, global_id("Project", 99))
    assert await database.read(lambda c: find_project(c, odd.name)) == odd
    (twin,) = await make(database, one.public_id)
    assert await database.read(lambda c: find_project(c, one.public_id)) == one
    assert await database.read(lambda c: find_project_named(c, one.public_id)) == twin


async def test_newest_first_by_key(database: Database) -> None:
    made = await make(database, *"abcde")
    default = await database.read(lambda c: find_project_named(c, "default"))
    assert default is not None
    newest = [*reversed(made), default]
    assert await database.read(lambda c: newest_projects(c, limit=10)) == newest
    assert await database.read(lambda c: newest_projects(c, limit=2)) == newest[:2]
    third = newest[2].row_id
    page = await database.read(lambda c: newest_projects(c, limit=2, newest_row_id=third))
    assert page == newest[2:4]
    seen = frozenset({made[0].row_id, made[3].row_id})
    visible = await database.read(lambda c: newest_projects(c, limit=9, visible_row_ids=seen))
    assert visible == [made[3], made[0]]
    assert await database.read(lambda c: newest_projects(c, limit=9, visible_row_ids=())) == []


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("DEM", ["my demo", "Demo"]),
        ("grüße", ["GRÜSSE"]),
        ("%", ["100%"]),
        ("_", []),
        ("nope", []),
    ],
)
async def test_part_of_a_name(database: Database, part: str, names: list[str]) -> None:
    await make(database, "Demo", "my demo", "GRÜSSE", "100%")
    found = await database.read(lambda c: newest_projects(c, limit=9, name_contains=part))
    assert [project.name for project in found] == names
    if names:
        one = await database.read(lambda c: newest_projects(c, limit=1, name_contains=part))
        assert [project.name for project in one] == names[:1]


async def test_a_name_is_taken_once(database: Database) -> None:
    await make(database, "one")
    with pytest.raises(DuplicateProjectError):
        await make(database, "one")


async def test_get_or_make(database: Database) -> None:
    (one,) = await make(database, "one")
    rows = await database.write(lambda c: project_rows_made(c, ["two", "one", "two"], 7))
    assert rows.keys() == {"one", "two"}
    assert rows["one"] == one.row_id
    assert await database.write(lambda c: project_rows_made(c, ["one", "two"], 9)) == rows
    assert await database.write(lambda c: project_rows_made(c, [], 9)) == {}
    known = await database.read(lambda c: project_rows_named(c, ["two", "three"]))
    assert known == {"two": rows["two"]}


async def test_describe_and_delete(database: Database) -> None:
    one, other = await make(database, "one", "other")
    await database.write(lambda c: update_project_description(c, one.row_id, None, 9))
    found = await database.read(lambda c: find_project(c, "one"))
    assert found == Project(one.row_id, "one", None)
    given = [make_span(n, trace=n, session_id="s") for n in range(1, 6)]
    for project in (one, other):
        batch = SpanBatch(project.row_id, "", given)
        await database.write(lambda c, b=batch: insert_spans(c, [b]))
    await database.write(lambda c: delete_project_row(c, one.row_id))
    assert await database.read(lambda c: find_project(c, "one")) is None
    for table in (traces, spans, trace_sessions):
        left = await database.read(
            lambda c, of=table: set(c.execute(select(of.c.project_id)).scalars())
        )
        assert left == {other.row_id}


async def test_row_numbers_never_come_back(database: Database) -> None:
    (one,) = await make(database, "one")
    await database.write(lambda c: delete_project_row(c, one.row_id))
    (two,) = await make(database, "two")
    assert two.row_id > one.row_id


@pytest.mark.parametrize("name", ["", " ", "\t\n", "a\x00b", "x" * 2_001, "ü" * 1_001])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(InvalidError):
        check_project_name(name)


def test_the_longest_name() -> None:
    check_project_name("ü" * 1_000)
