"""Projects, sessions, traces and spans."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from bennu.storage.schema.columns import PERSONAL, ROW_ID, metadata, row_id, time_at

_ROOT: Final = text("parent_id IS NULL")
_FILTERED: Final = ("span_kind", "status_code", "parent_id", "name")
_HAS_ERRORS: Final = text("error_count > 0")

projects = Table(
    "projects",
    metadata,
    row_id(),
    Column("name", Text, nullable=False, unique=True),
    Column("description", Text, nullable=True),
    Column("retention_policy_id", ROW_ID, nullable=True),
    time_at("created_at"),
    time_at("updated_at"),
    sqlite_autoincrement=True,
)

trace_sessions = Table(
    "trace_sessions",
    metadata,
    row_id(),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("session_id", Text, nullable=False, info=PERSONAL),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    UniqueConstraint("session_id", "project_id"),
    Index("ix_trace_sessions_project_start", "project_id", "start_ns"),
    Index("ix_trace_sessions_project_row", "project_id", "id"),
    sqlite_autoincrement=True,
)

traces = Table(
    "traces",
    metadata,
    row_id(),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("trace_id", LargeBinary(16), nullable=False),
    Column(
        "session_id",
        ForeignKey("trace_sessions.id", ondelete="SET NULL"),
        nullable=True,
    ),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("latency_ns", BigInteger, Computed("end_ns - start_ns", persisted=True)),
    Column("span_count", Integer, nullable=False),
    Column("error_count", Integer, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    UniqueConstraint("trace_id", "project_id"),
    # As with spans below: what a list may ask for besides stands in the index.
    # The sums by day of the list of projects are read from it alone.
    Index(
        "ix_traces_project_start",
        "project_id",
        "start_ns",
        "id",
        "latency_ns",
        "error_count",
        "prompt_tokens",
        "completion_tokens",
    ),
    Index("ix_traces_project_latency", "project_id", "latency_ns", "id", "start_ns", "error_count"),
    Index(
        "ix_traces_project_errors",
        "project_id",
        "start_ns",
        "id",
        "latency_ns",
        "error_count",
        sqlite_where=_HAS_ERRORS,
        postgresql_where=_HAS_ERRORS,
    ),
    Index("ix_traces_session_start", "session_id", "start_ns"),
    sqlite_autoincrement=True,
)

#: Times are nanoseconds as sent. Attributes and events are payloads with their own codec and
#: key id, so that they can later be encrypted per project or moved elsewhere.
spans = Table(
    "spans",
    metadata,
    row_id(),
    Column("trace_row", ForeignKey("traces.id", ondelete="CASCADE"), nullable=False),
    Column("project_id", ROW_ID, nullable=False),
    Column("span_id", LargeBinary(8), nullable=False),
    Column("parent_id", LargeBinary(8), nullable=True),
    Column("name", Text, nullable=False),
    Column("span_kind", Text, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("status_code", Text, nullable=False),
    Column("status_message", Text, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=True),
    Column("completion_tokens", BigInteger, nullable=True),
    Column("cumulative_error_count", Integer, nullable=False),
    Column("cumulative_prompt_tokens", BigInteger, nullable=False),
    Column("cumulative_completion_tokens", BigInteger, nullable=False),
    Column("sender", Text, nullable=False, default=""),  # public id of the principal
    Column("codec", Integer, nullable=False),  # 0: JSON, 1: JSON under zstd
    Column("key_id", Text, nullable=True),
    Column("attributes", LargeBinary, nullable=False, info=PERSONAL),
    Column("events", LargeBinary, nullable=False, info=PERSONAL),
    UniqueConstraint("span_id", "project_id"),
    # Behind the columns that find rows and give the order stand those that a list may ask for
    # besides, so that rows that do not match are passed over without being read.
    Index("ix_spans_project_start", "project_id", "start_ns", "id", *_FILTERED),
    Index("ix_spans_project_row", "project_id", "id", "start_ns"),
    Index("ix_spans_project_name", "project_id", "name", "id", *_FILTERED[:-1], "start_ns"),
    Index("ix_spans_project_kind", "project_id", "span_kind", "id", "status_code", "start_ns"),
    Index("ix_spans_project_status", "project_id", "status_code", "id", "start_ns"),
    Index(
        "ix_spans_project_roots",
        "project_id",
        "id",
        "start_ns",
        sqlite_where=_ROOT,
        postgresql_where=_ROOT,
    ),
    Index("ix_spans_trace_parent", "trace_row", "parent_id"),
    sqlite_autoincrement=True,
)
