"""Rows of annotation configs and of their assignment to projects.

Source: data-plane contract, section 9.
"""

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from bennu.kernel.errors import ConflictError
from bennu.storage.schema import annotation_configs, project_annotation_configs
from bennu.storage.upsert import insert_unless_present
from bennu.traces.annotation_configs.model import (
    ConfigGiven,
    StoredConfig,
    fields_of,
    row_of_config,
    type_of,
)

_CONFIG = (
    annotation_configs.c.id,
    annotation_configs.c.name,
    annotation_configs.c.type,
    annotation_configs.c.config,
)


class DuplicateConfigError(ConflictError):
    """A config of this name exists already."""


def newest_configs(
    connection: Connection,
    *,
    newest_row: int | None,
    limit: int,
    project_rows: Collection[int] | None = None,
) -> list[StoredConfig]:
    """Return configs, the newest row first.

    Args:
        connection: to read with.
        newest_row: rows above are left out; None for none.
        limit: at most this many.
        project_rows: only those assigned to one of these projects, or None for all.
    """
    conditions: list[ColumnElement[bool]] = []
    if newest_row is not None:
        conditions.append(annotation_configs.c.id <= newest_row)
    if project_rows is not None:
        conditions.append(_is_assigned_to(project_rows))
    statement = select(*_CONFIG).where(*conditions).order_by(annotation_configs.c.id.desc())
    return [_config_of(row) for row in connection.execute(statement.limit(limit))]


def find_config(
    connection: Connection, identifier: str, project_rows: Collection[int] | None = None
) -> StoredConfig | None:
    """Return the config with this public id or else this name, if it may be seen."""
    if "\x00" in identifier:
        return None
    row = row_of_config(identifier)
    named: ColumnElement[bool] = annotation_configs.c.name == identifier
    if row is not None:
        named = or_(named, annotation_configs.c.id == row)
    statement = select(*_CONFIG).where(named)
    if project_rows is not None:
        statement = statement.where(_is_assigned_to(project_rows))
    found = [_config_of(one) for one in connection.execute(statement)]
    # A public id wins over a name that looks like one.
    return max(found, key=lambda config: config.row_id == row, default=None)


def _is_assigned_to(project_rows: Collection[int]) -> ColumnElement[bool]:
    assigned = select(project_annotation_configs.c.config_id).where(
        project_annotation_configs.c.project_id.in_(project_rows)
    )
    return annotation_configs.c.id.in_(assigned)


def _config_of(row: Any) -> StoredConfig:  # noqa: ANN401 - a row of _CONFIG
    return StoredConfig(row.id, row.name, row.type, msgspec.json.decode(row.config))


def insert_config(connection: Connection, given: ConfigGiven, now_microseconds: int) -> int:
    """Make a config; return its row.

    Raises:
        DuplicateConfigError: the name is taken.
    """
    values = {**_values(given, now_microseconds), "created_at": now_microseconds}
    try:
        made = insert(annotation_configs).values(values).returning(annotation_configs.c.id)
        return int(connection.execute(made).scalar_one())
    except IntegrityError as error:
        raise _name_is_taken() from error


def update_config(
    connection: Connection, row: int, given: ConfigGiven, now_microseconds: int
) -> None:
    """Replace a config.

    Raises:
        DuplicateConfigError: the name is another one's.
    """
    changed = update(annotation_configs).where(annotation_configs.c.id == row)
    try:
        connection.execute(changed.values(_values(given, now_microseconds)))
    except IntegrityError as error:
        raise _name_is_taken() from error


def _values(given: ConfigGiven, now_microseconds: int) -> dict[str, Any]:
    return {
        "name": given.name,
        "type": type_of(given),
        "config": msgspec.json.encode(fields_of(given)).decode(),
        "updated_at": now_microseconds,
    }


def _name_is_taken() -> DuplicateConfigError:
    return DuplicateConfigError("The name of the annotation configuration is already taken")


def delete_config(connection: Connection, row: int) -> None:
    """Delete a config and its assignments; annotations of its name stay."""
    connection.execute(delete(annotation_configs).where(annotation_configs.c.id == row))


def assign_config(connection: Connection, project_row: int, config_row: int) -> None:
    """Assign a config to a project; twice is once."""
    pair = {"project_id": project_row, "config_id": config_row}
    insert_unless_present(connection, project_annotation_configs, [pair])


def unassign_configs(
    connection: Connection, project_row: int, config_row: int | None = None
) -> int:
    """Take one config, or all, away from a project; return how many it had of them."""
    table = project_annotation_configs
    gone = delete(table).where(table.c.project_id == project_row)
    if config_row is not None:
        gone = gone.where(table.c.config_id == config_row)
    return connection.execute(gone).rowcount
