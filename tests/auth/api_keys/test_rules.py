"""What a new key may be."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from bennu.access import BUILT_IN_ROLES, MEMBER, SYSTEM, VIEWER, Permission
from bennu.auth.api_keys.rules import (
    PROJECTS_LIMIT,
    clean_description,
    clean_expiry,
    clean_name,
    clean_permissions,
    clean_projects,
    clean_role,
)
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import DeniedError, SchemaError
from bennu.kernel.ids import global_id
from bennu.storage.database import Database
from bennu.traces.projects.store import insert_project

NOW = datetime(2026, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)
ALL = frozenset(Permission)


@pytest.mark.parametrize("name", ["", " ", "\n", "n" * 257, "a\0b"])
def test_a_name_is_needed(name: str) -> None:
    with pytest.raises(SchemaError):
        clean_name(name)


def test_a_name_loses_the_blanks_around_it() -> None:
    assert clean_name(" my key ") == "my key"
    assert clean_name("n" * 256) == "n" * 256


def test_a_description_has_a_limit() -> None:
    assert clean_description(None) is None
    assert clean_description("d" * 4096) == "d" * 4096
    for wrong in ("d" * 4097, "a\0b"):
        with pytest.raises(SchemaError):
            clean_description(wrong)


@pytest.mark.parametrize(
    ("wanted", "longest", "found"),
    [
        (None, None, None),
        (NOW + DAY, None, NOW + DAY),
        (None, 30 * DAY, NOW + 30 * DAY),
        (NOW + DAY, 30 * DAY, NOW + DAY),
        (NOW + 30 * DAY, 30 * DAY, NOW + 30 * DAY),
    ],
)
def test_a_key_lives_as_long_as_asked_and_allowed(
    wanted: datetime | None, longest: timedelta | None, found: datetime | None
) -> None:
    expected = None if found is None else to_microseconds(found)
    assert clean_expiry(wanted, NOW, longest) == expected


@pytest.mark.asvs("2.3.2")
@pytest.mark.parametrize("wanted", [NOW, NOW - DAY, NOW + 30 * DAY + timedelta(microseconds=1)])
def test_a_lifetime_in_the_past_or_beyond_the_limit_is_refused(wanted: datetime) -> None:
    with pytest.raises(SchemaError) as refused:
        clean_expiry(wanted, NOW, 30 * DAY)
    assert refused.value.problems[0].loc == ("body", "data", "expires_at")


def test_a_lifetime_ends_while_years_have_four_digits() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    assert clean_expiry(last, NOW, None) == to_microseconds(last)
    beyond = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(-timedelta(hours=10)))
    with pytest.raises(SchemaError) as refused:
        clean_expiry(beyond, NOW, None)
    (problem,) = refused.value.problems
    assert problem.loc == ("body", "data", "expires_at")
    assert problem.msg == "Input should be at most 9999-12-31T23:59:59Z"


@pytest.mark.parametrize("names", [[], ["traces:fly"], ["TRACES:READ"], ["traces:read", ""]])
def test_unknown_permissions_and_none_at_all_are_refused(names: list[str]) -> None:
    with pytest.raises(SchemaError) as refused:
        clean_permissions(names, ALL, None, is_restricted=False)
    assert "traces:ingest" in refused.value.problems[0].msg


def test_permissions_are_a_part_of_the_makers() -> None:
    viewer = BUILT_IN_ROLES[VIEWER]
    assert clean_permissions(None, viewer, None, is_restricted=False) is None
    wanted = ["traces:read", "projects:read", "traces:read"]
    found = clean_permissions(wanted, viewer, None, is_restricted=False)
    assert json.loads(found or "") == ["projects:read", "traces:read"]
    with pytest.raises(DeniedError):
        clean_permissions(["traces:ingest"], viewer, None, is_restricted=False)


def test_permissions_are_a_part_of_the_roles() -> None:
    member = BUILT_IN_ROLES[MEMBER]
    assert clean_permissions(["traces:ingest"], ALL, member, is_restricted=False) is not None
    with pytest.raises(SchemaError):
        clean_permissions(["users:read"], ALL, member, is_restricted=False)


@pytest.mark.asvs("2.2.3")
@pytest.mark.parametrize("name", ["projects:create", "users:manage", "audit:read"])
def test_a_key_of_some_projects_has_no_permission_beyond_projects(name: str) -> None:
    assert clean_permissions([name], ALL, None, is_restricted=False) is not None
    with pytest.raises(SchemaError):
        clean_permissions([name], ALL, None, is_restricted=True)


async def test_a_role_is_known_and_not_above_the_makers(database: Database) -> None:
    assert await database.read(lambda c: clean_role(c, ALL, None)) == SYSTEM
    assert await database.read(lambda c: clean_role(c, ALL, "viewer")) == VIEWER
    with pytest.raises(SchemaError):
        await database.read(lambda c: clean_role(c, ALL, "KING"))
    with pytest.raises(DeniedError):
        await database.read(lambda c: clean_role(c, BUILT_IN_ROLES[MEMBER], "ADMIN"))


async def test_an_id_means_its_project_and_none_that_is_named_like_it(database: Database) -> None:
    one = await database.write(lambda c: insert_project(c, "one", None, 1))
    public_id = global_id("Project", one.row_id)
    twin = await database.write(lambda c: insert_project(c, public_id, None, 1))
    twin_id = global_id("Project", twin.row_id)
    found = await database.read(lambda c: clean_projects(c, [public_id]))
    assert found == {one.row_id}
    assert await database.read(lambda c: clean_projects(c, [twin_id])) == {twin.row_id}
    nobodys = global_id("Project", 10**6)
    named = await database.write(lambda c: insert_project(c, nobodys, None, 1))
    assert await database.read(lambda c: clean_projects(c, [nobodys])) == {named.row_id}


async def test_projects_are_found_by_name_and_by_id(database: Database) -> None:
    one = await database.write(lambda c: insert_project(c, "one", None, 1))
    two = await database.write(lambda c: insert_project(c, "two", None, 1))
    wanted = ["one", global_id("Project", two.row_id)]
    assert await database.read(lambda c: clean_projects(c, None)) is None
    found = await database.read(lambda c: clean_projects(c, wanted))
    assert found == {one.row_id, two.row_id}
    for wrong in ([], ["three"], ["one", "three"], [global_id("Project", 99)]):
        with pytest.raises(SchemaError):
            await database.read(lambda c, names=wrong: clean_projects(c, names))
    with pytest.raises(SchemaError, match="at most"):
        await database.read(lambda c: clean_projects(c, ["one"] * (PROJECTS_LIMIT + 1)))
