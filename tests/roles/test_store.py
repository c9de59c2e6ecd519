"""Rows of roles."""

from sqlalchemy import Connection, update

from bennu.access import BUILT_IN_ROLES, MEMBER, Permission
from bennu.roles.model import Role
from bennu.roles.store import (
    defined_roles,
    delete_role_row,
    find_role,
    insert_role,
    permissions_of_role,
    role_name_of,
    update_role,
)
from bennu.storage.database import Database
from bennu.storage.schema import roles

READS = frozenset({Permission.TRACES_READ})


async def test_a_role_is_found_by_id_and_by_name_in_any_case(database: Database) -> None:
    def work(c: Connection) -> None:
        row_id = insert_role(c, Role("Auditor", READS, "d"), now=7)
        expected = Role("Auditor", READS, "d", row_id, 7, 7)
        assert find_role(c, row_id=row_id) == expected
        assert find_role(c, name="AUDITOR") == expected
        assert find_role(c, name="") is None
        assert find_role(c, row_id=row_id + 1, name="auditor") is None
        assert role_name_of(c, "auditor") == "Auditor"
        assert role_name_of(c, "member") == MEMBER
        assert role_name_of(c, "nope") is None
        assert permissions_of_role(c, "Auditor") == READS
        assert permissions_of_role(c, MEMBER) == BUILT_IN_ROLES[MEMBER]
        assert permissions_of_role(c, "nope") is None

    await database.write(work)


async def test_a_role_changes_and_goes(database: Database) -> None:
    def work(c: Connection) -> None:
        row_id = insert_role(c, Role("b", READS), now=7)
        insert_role(c, Role("a", READS), now=7)
        wider = READS | {Permission.PROJECTS_READ}
        update_role(c, Role("c", wider, None, row_id), "b", now=9)
        assert [(r.name, r.permissions, r.updated_at) for r in defined_roles(c)] == [
            ("a", READS, 7),
            ("c", wider, 9),
        ]
        delete_role_row(c, row_id)
        assert [r.name for r in defined_roles(c)] == ["a"]

    await database.write(work)


async def test_a_permission_that_this_version_does_not_know_allows_nothing(
    database: Database,
) -> None:
    def work(c: Connection) -> None:
        insert_role(c, Role("a", READS), now=7)
        c.execute(update(roles).values(permissions='["traces:read", "moon:land"]'))
        assert permissions_of_role(c, "a") == READS

    await database.write(work)
