"""Rows of projects: find, list, make, change, delete.

Spec: line 148. Source: data-plane contract, section 5.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from bennu.kernel.errors import ConflictError, InvalidError
from bennu.kernel.ids import global_id, row_id_of
from bennu.storage.bulk import BulkStatement, run_with_rows
from bennu.storage.schema import projects
from bennu.storage.upsert import insert_unless_present

KIND: Final = "Project"
DEFAULT_PROJECT_NAME: Final = "default"
#: Names stand in a unique index; PostgreSQL takes no index entry above 2,704 bytes.
MAX_NAME_BYTES: Final = 2_000
_NEWEST: Final = (1 << 63) - 1

_COLUMNS: Final = (projects.c.id, projects.c.name, projects.c.description)
_BY_ID: Final = select(*_COLUMNS).where(projects.c.id == bindparam("row_id"))
_BY_NAME: Final = select(*_COLUMNS).where(projects.c.name == bindparam("name"))
_ROWS_NAMED: Final = BulkStatement(
    "WITH given(name) AS ({given}) "
    "SELECT projects.name, projects.id FROM given JOIN projects ON projects.name = given.name",
    ("text",),
)
_NEWEST_FIRST: Final = (
    select(*_COLUMNS)
    .where(projects.c.id <= bindparam("newest"))
    .order_by(projects.c.id.desc())
    .limit(bindparam("row_count"))
)
_ANY_NEWEST_FIRST: Final = (
    select(*_COLUMNS).where(projects.c.id <= bindparam("newest")).order_by(projects.c.id.desc())
)


class DuplicateProjectError(ConflictError):
    """A project of this name exists already."""


@dataclass(frozen=True, slots=True)
class Project:
    """One project.

    Args:
        row_id: its row; the public id is made from it.
        name: unique; never changes.
        description: for people, or None.
    """

    row_id: int
    name: str
    description: str | None

    @property
    def public_id(self) -> str:
        """The identifier that clients see."""
        return global_id(KIND, self.row_id)


def check_project_name(name: str) -> None:
    """Refuse a name that cannot be stored and found again.

    Raises:
        InvalidError: it is blank, too long, or holds the character NUL.
    """
    if not name.strip():
        raise InvalidError("The name of a project must not be blank")
    if "\x00" in name or len(name.encode()) > MAX_NAME_BYTES:
        raise InvalidError(
            f"The name of a project is at most {MAX_NAME_BYTES} bytes of UTF-8 without NUL"
        )


def _project_of(row: Row[Any, Any, Any]) -> Project:
    row_id, name, description = row
    return Project(row_id, name, description)


def find_project(connection: Connection, identifier: str) -> Project | None:
    """Return the project with this public id or else this name."""
    if "\x00" in identifier:
        return None
    row_id = row_id_of(identifier, KIND)
    if row_id is not None:
        row = connection.execute(_BY_ID, {"row_id": row_id}).one_or_none()
        if row is not None:
            return _project_of(row)
    row = connection.execute(_BY_NAME, {"name": identifier}).one_or_none()
    return None if row is None else _project_of(row)


def newest_projects(
    connection: Connection,
    *,
    limit: int,
    newest_row_id: int | None = None,
    name_contains: str = "",
    visible_row_ids: Collection[int] | None = None,
) -> list[Project]:
    """Return projects, the newest row first.

    Args:
        connection: to read with.
        limit: at most this many.
        newest_row_id: rows above are left out; the row from which a page starts.
        name_contains: part of the name; letter case does not matter, in any script.
        visible_row_ids: only these, or None for all.
    """
    newest = _NEWEST if newest_row_id is None else newest_row_id
    if not name_contains and visible_row_ids is None:
        rows = connection.execute(_NEWEST_FIRST, {"newest": newest, "row_count": limit})
        return [_project_of(row) for row in rows]
    wanted = name_contains.casefold()
    found: list[Project] = []
    # Compared here and not by the database: the two know different letters.
    for row in connection.execute(_ANY_NEWEST_FIRST, {"newest": newest}):
        is_visible = visible_row_ids is None or row.id in visible_row_ids
        if is_visible and wanted in row.name.casefold():
            found.append(_project_of(row))
            if len(found) == limit:
                break
    return found


def insert_project(
    connection: Connection, name: str, description: str | None, now_microseconds: int
) -> Project:
    """Make a project.

    Raises:
        DuplicateProjectError: the name is taken.
    """
    if find_project_named(connection, name) is not None:
        raise DuplicateProjectError(f"A project with the name {name} exists already")
    result = connection.execute(
        insert(projects).returning(projects.c.id),
        {
            "name": name,
            "description": description,
            "created_at": now_microseconds,
            "updated_at": now_microseconds,
        },
    )
    return Project(result.scalar_one(), name, description)


def find_project_named(connection: Connection, name: str) -> Project | None:
    """Return the project with exactly this name, even when it looks like a public id."""
    row = connection.execute(_BY_NAME, {"name": name}).one_or_none()
    return None if row is None else _project_of(row)


def project_rows_named(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """Return name to row of those projects that exist."""
    wanted = [(name,) for name in sorted(set(names))]
    return dict(run_with_rows(connection, _ROWS_NAMED, wanted))


def project_rows_made(
    connection: Connection, names: Iterable[str], now_microseconds: int
) -> Mapping[str, int]:
    """Return name to row, making the projects that do not exist yet.

    Two processes may do this at once: who comes second finds the row of the first.
    """
    wanted = set(names)
    found = project_rows_named(connection, wanted)
    missing = sorted(wanted - found.keys())
    if missing:
        rows = [
            {"name": name, "created_at": now_microseconds, "updated_at": now_microseconds}
            for name in missing
        ]
        insert_unless_present(connection, projects, rows)
        found.update(project_rows_named(connection, missing))
    return found


def update_project_description(
    connection: Connection, row_id: int, description: str | None, now_microseconds: int
) -> None:
    """Change the description of a project."""
    connection.execute(
        update(projects)
        .where(projects.c.id == row_id)
        .values(description=description, updated_at=now_microseconds)
    )


def delete_project_row(connection: Connection, row_id: int) -> None:
    """Delete a project with its sessions, traces and spans."""
    connection.execute(delete(projects).where(projects.c.id == row_id))
