"""What the metrics say of the database: how many keys, sessions and accounts are in use.

Spec: line 272.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, or_, select

from bennu.storage.schema import api_keys, sessions, users


@dataclass(frozen=True, slots=True)
class InUse:
    """Counts at one moment; keys by kind (``user``, ``system``)."""

    keys: dict[str, int]
    sessions: int
    users: int


def count_in_use(connection: Connection, now_microseconds: int) -> InUse:
    """Count what may still be used at a moment."""
    counted = select(api_keys.c.kind, func.count()).group_by(api_keys.c.kind)
    not_over = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now_microseconds)
    found: dict[str, int] = {"user": 0, "system": 0}
    found.update((row[0], row[1]) for row in connection.execute(counted.where(not_over)))
    return InUse(
        keys=found,
        sessions=_count(connection, sessions.c.expires_at > now_microseconds),
        users=_count(connection, users.c.active.is_(True) & users.c.is_system.is_(False)),
    )


def _count(connection: Connection, condition: ColumnElement[bool]) -> int:
    return int(connection.execute(select(func.count()).where(condition)).scalar_one())
