"""Reads the audit trail: filtered, a page at a time, in the shape that is shown and exported.

Spec: lines 256-260.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, select

from bennu.kernel.clock import from_microseconds
from bennu.kernel.log_text import json_on_one_line
from bennu.storage.schema import audit_events

MOST_RECORDS: Final = 1_000
_TEXTS: Final = ("event", "outcome", "actor_id", "target_id")


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which records are wanted; None asks for nothing in particular.

    Args:
        event: name of the event.
        outcome: how it ended.
        actor_id: public id of who did it.
        target_id: public id of what it was done to.
        start_at: recorded then or later, microseconds since 1970 UTC.
        end_at: recorded before, microseconds since 1970 UTC.
        is_oldest_first: the order; otherwise the newest come first.
    """

    event: str | None = None
    outcome: str | None = None
    actor_id: str | None = None
    target_id: str | None = None
    start_at: int | None = None
    end_at: int | None = None
    is_oldest_first: bool = False


def read_records(
    connection: Connection, wanted: AuditFilter, limit: int, beyond: int | None = None
) -> list[dict[str, Any]]:
    """Return records in the order of the filter.

    Args:
        connection: may be read-only.
        wanted: which and in which order.
        limit: how many at most.
        beyond: sequence of the last record that is known already.
    """
    sequence = audit_events.c.sequence
    conditions = _conditions(wanted)
    if beyond is not None:
        conditions.append(sequence > beyond if wanted.is_oldest_first else sequence < beyond)
    order = sequence.asc() if wanted.is_oldest_first else sequence.desc()
    statement = select(audit_events).where(*conditions).order_by(order).limit(limit)
    return [_shown(row) for row in connection.execute(statement).mappings()]


def record_line(record: Mapping[str, Any]) -> bytes:
    """Write one record as a line of NDJSON; what it holds is escaped and forges no line."""
    return json_on_one_line(msgspec.json.encode(record).decode()).encode() + b"\n"


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    found = [
        # PostgreSQL refuses NUL in a text; records hold the replacement for it.
        audit_events.c[name] == text.replace("\0", "\ufffd")
        for name in _TEXTS
        if (text := getattr(wanted, name)) is not None
    ]
    if wanted.start_at is not None:
        found.append(audit_events.c.time_at >= wanted.start_at)
    if wanted.end_at is not None:
        found.append(audit_events.c.time_at < wanted.end_at)
    return found


def _shown(row: RowMapping) -> dict[str, Any]:
    personal = _decoded(row["personal"])
    names = personal if isinstance(personal, dict) else {}
    return {
        "id": row["id"],
        "sequence": row["sequence"],
        "time_utc": from_microseconds(row["time_at"]).isoformat(),
        "event": row["event"],
        "outcome": row["outcome"],
        "reason": row["reason"],
        "actor": {
            "kind": row["actor_kind"],
            "id": row["actor_id"],
            "name": names.get("actor_name", ""),
        },
        "credential": {"kind": row["credential_kind"], "id": row["credential_id"]},
        "address": names.get("address", ""),
        "user_agent": names.get("user_agent", ""),
        "request_id": row["request_id"],
        "target": {
            "kind": row["target_kind"],
            "id": row["target_id"],
            "name": names.get("target_name", ""),
        },
        "before": _decoded(row["before"]),
        "after": _decoded(row["after"]),
        "count": row["count"],
    }


def _decoded(text: str | None) -> object:
    """Read stored JSON; what somebody broke in the database is shown as it stands there."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
