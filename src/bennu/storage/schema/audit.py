"""The audit trail, its head and its checkpoints.

Spec: lines 256-260.

"""

from sqlalchemy import (
    Column,
    Index,
    Integer,
    Table,
    Text,
)

from bennu.storage.schema.columns import PERSONAL, ROW_ID, metadata, time_at

audit_events = Table(
    "audit_events",
    metadata,
    Column("sequence", ROW_ID, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    time_at("time_at"),
    Column("event", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False, default=""),
    Column("credential_kind", Text, nullable=False, default=""),
    Column("credential_id", Text, nullable=False, default=""),
    Column("request_id", Text, nullable=False, default=""),
    Column("target_kind", Text, nullable=False, default=""),
    Column("target_id", Text, nullable=False, default=""),
    Column("before", Text, nullable=True),
    Column("after", Text, nullable=True),
    Column("count", Integer, nullable=False, default=1),
    Column("personal", Text, nullable=True, info=PERSONAL),  # JSON: names, address, user agent
    Column("personal_salt", Text, nullable=True),
    Column("personal_hash", Text, nullable=False),
    Column("chain_hash", Text, nullable=False),
    Index("ix_audit_events_time", "time_at"),
    Index("ix_audit_events_event", "event", "sequence"),
    Index("ix_audit_events_actor", "actor_id", "sequence"),
    Index("ix_audit_events_target", "target_id", "sequence"),
)

#: One row: the newest sequence and hash with a MAC, and where a retention sweep cut the chain.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", ROW_ID, nullable=False),
    Column("chain_hash", Text, nullable=False),
    Column("first_sequence", ROW_ID, nullable=False),
    Column("base_hash", Text, nullable=False),
    Column("mac", Text, nullable=False),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("sequence", ROW_ID, primary_key=True, autoincrement=False),
    Column("chain_hash", Text, nullable=False),
    time_at("time_at"),
    Column("signature", Text, nullable=False),
)
