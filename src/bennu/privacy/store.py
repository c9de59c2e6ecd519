"""Rows of retention policies: which projects follow them, and what their sweeps deleted.

Spec: lines 262-264.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, delete, func, insert, or_, select, update

from bennu.privacy.retention import DEFAULT_ROW, Policy, PolicyDraft, Rule
from bennu.storage.schema import meta, projects, retention_policies, retention_sweeps
from bennu.storage.upsert import upsert_row
from bennu.traces.projects.store import Project

_SEEN: Final = "retention:default_days"


def _policy(row: RowMapping) -> Policy:
    return Policy(
        row_id=row["id"],
        name=row["name"],
        cron_expression=row["cron_expression"],
        rule=Rule(row["max_days"] or 0, row["max_count"] or 0),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        last_run_at=row["last_run_at"],
    )


def all_policies(connection: Connection) -> list[Policy]:
    """Return every policy, the default first."""
    statement = select(retention_policies).order_by(retention_policies.c.id)
    return [_policy(row) for row in connection.execute(statement).mappings()]


def find_policy(connection: Connection, row_id: int) -> Policy | None:
    """Return one policy, or None."""
    statement = select(retention_policies).where(retention_policies.c.id == row_id)
    row = connection.execute(statement).mappings().first()
    return None if row is None else _policy(row)


def policy_name_is_taken(connection: Connection, name: str, except_row: int | None = None) -> bool:
    """Whether another policy has this name."""
    statement = select(retention_policies.c.id).where(retention_policies.c.name == name)
    return any(row_id != except_row for row_id in connection.execute(statement).scalars())


def _columns(draft: PolicyDraft) -> dict[str, Any]:
    return {
        "name": draft.name,
        "cron_expression": draft.cron_expression,
        "max_days": draft.rule.max_days,
        "max_count": draft.rule.max_count,
    }


def insert_policy(
    connection: Connection, draft: PolicyDraft, now: int, row_id: int | None = None
) -> Policy:
    """Make a policy; its first run is due at once."""
    given = {} if row_id is None else {"id": row_id}
    values = {**given, **_columns(draft), "created_at": now, "updated_at": now}
    made = connection.execute(
        insert(retention_policies).values(**values).returning(retention_policies.c.id)
    ).scalar_one()
    return Policy(made, draft.name, draft.cron_expression, draft.rule, now, now)


def change_policy_row(connection: Connection, row_id: int, draft: PolicyDraft, now: int) -> None:
    """Change a policy; a run is due at once."""
    connection.execute(
        update(retention_policies)
        .where(retention_policies.c.id == row_id)
        .values(**_columns(draft), updated_at=now, last_run_at=None)
    )


def delete_policy_row(connection: Connection, row_id: int) -> None:
    """Delete a policy; its projects follow the default one again."""
    connection.execute(
        update(projects)
        .where(projects.c.retention_policy_id == row_id)
        .values(retention_policy_id=None)
    )
    connection.execute(delete(retention_policies).where(retention_policies.c.id == row_id))
    make_due(connection, DEFAULT_ROW)


def make_due(connection: Connection, row_id: int) -> None:
    """Let the next look at the clock run this policy."""
    connection.execute(
        update(retention_policies).where(retention_policies.c.id == row_id).values(last_run_at=None)
    )


def note_run(connection: Connection, policy: Policy, began_at: int) -> None:
    """Remember a complete run, unless the policy was changed or made due meanwhile."""
    table = retention_policies
    unchanged = (table.c.id == policy.row_id) & (table.c.updated_at == policy.updated_at)
    same_run = (
        table.c.last_run_at.is_(None)
        if policy.last_run_at is None
        else table.c.last_run_at == policy.last_run_at
    )
    connection.execute(update(table).where(unchanged, same_run).values(last_run_at=began_at))


# --- the variable --------------------------------------------------------------------------


def default_days_seen(connection: Connection) -> str | None:
    """Return the value of the variable at the newest start, or None before the first."""
    statement = select(meta.c.value).where(meta.c.name == _SEEN)
    found = connection.execute(statement).scalar_one_or_none()
    return None if found is None else str(found)


def note_default_days(connection: Connection, days: str) -> None:
    """Remember the value of the variable."""
    upsert_row(connection, meta, {"name": _SEEN}, {"value": days})


# --- projects ------------------------------------------------------------------------------


def project_policy_row(connection: Connection, project_row: int) -> int | None:
    """Return the row of a project's own policy, or None."""
    statement = select(projects.c.retention_policy_id).where(projects.c.id == project_row)
    found: int | None = connection.execute(statement).scalar_one_or_none()
    return found


def assign_policy(connection: Connection, project_row: int, policy_row: int | None) -> None:
    """Let a project follow a policy; None for the default one."""
    connection.execute(
        update(projects).where(projects.c.id == project_row).values(retention_policy_id=policy_row)
    )


def projects_under(connection: Connection, policy_row: int) -> list[Project]:
    """Return the projects that follow a policy, in order of their rows."""
    own = projects.c.retention_policy_id
    follows = or_(own.is_(None), own == DEFAULT_ROW) if policy_row == DEFAULT_ROW else None
    statement = select(projects.c.id, projects.c.name, projects.c.description)
    statement = statement.where(own == policy_row if follows is None else follows)
    return [Project(*row) for row in connection.execute(statement.order_by(projects.c.id))]


def count_projects_by_policy(connection: Connection) -> dict[int, int]:
    """Return how many projects follow each policy, by its row."""
    own = func.coalesce(projects.c.retention_policy_id, DEFAULT_ROW)
    rows = connection.execute(select(own, func.count()).group_by(own))
    return {int(row[0]): int(row[1]) for row in rows}


# --- what sweeps deleted -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep of one project deleted so far.

    Args:
        project_row: of the project.
        policy: name of the policy.
        cutoff_at: traces from before went; None where only their number counts.
        deleted: numbers of traces, spans and sessions.
    """

    project_row: int
    policy: str
    cutoff_at: int | None
    deleted: Mapping[str, int]


def note_swept(connection: Connection, swept: Swept) -> None:
    """Add a batch to what the sweep of its project deleted; in the transaction of the batch."""
    table = retention_sweeps
    known = (
        connection.execute(select(table).where(table.c.project_id == swept.project_row))
        .mappings()
        .first()
    )
    counts = {
        name: number + (known[name] if known is not None else 0)
        for name, number in swept.deleted.items()
    }
    values = {"policy": swept.policy, "cutoff_at": swept.cutoff_at, **counts}
    upsert_row(connection, table, {"project_id": swept.project_row}, values)


def take_swept(connection: Connection, project_row: int | None = None) -> list[Swept]:
    """Take out what was deleted and not recorded; of one project or of all."""
    table = retention_sweeps
    chosen = (
        table.c.project_id.is_not(None)
        if project_row is None
        else (table.c.project_id == project_row)
    )
    rows = connection.execute(select(table).where(chosen)).mappings().all()
    connection.execute(delete(table).where(chosen))
    return [
        Swept(
            row["project_id"],
            row["policy"],
            row["cutoff_at"],
            {name: row[name] for name in ("traces", "spans", "sessions")},
        )
        for row in rows
    ]
