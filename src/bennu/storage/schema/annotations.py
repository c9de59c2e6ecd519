"""What people, code and models say about spans, traces, sessions and documents, and its forms.

Each table refers to what it is about by row, so that an annotation goes with it. The project
stands beside that, so that lists and deletions by project find their rows by index.

Source: data-plane contract, sections 4 and 9.
"""

from typing import Any

from sqlalchemy import (
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from bennu.storage.schema.columns import PERSONAL, metadata, row_id, time_at


def _annotation_table(name: str, target: str, target_column: str, *keys: Column[Any]) -> Table:
    """Make the table of the annotations of one kind of thing.

    Args:
        name: of the table.
        target: column that it refers to, as ``table.column``.
        target_column: its own column for that.
        keys: further columns that belong to the key.
    """
    unique = (target_column, *(key.name for key in keys), "name", "identifier")
    return Table(
        name,
        metadata,
        row_id(),
        Column("project_id", ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
        Column(target_column, ForeignKey(target, ondelete="CASCADE"), nullable=False),
        *keys,
        Column("name", Text, nullable=False),
        Column("identifier", Text, nullable=False),
        Column("annotator_kind", Text, nullable=False),  # LLM, CODE, HUMAN
        Column("label", Text, nullable=True, info=PERSONAL),
        Column("score", Double, nullable=True),
        Column("explanation", Text, nullable=True, info=PERSONAL),
        Column("metadata", Text, nullable=False, info=PERSONAL),  # JSON object
        Column("source", Text, nullable=False),  # API, APP
        Column("sender", Text, nullable=False),  # public id of the principal
        Column("user_id", ForeignKey("users.id", ondelete="SET NULL"), nullable=True, index=True),
        time_at("created_at"),
        time_at("updated_at"),
        UniqueConstraint(*unique, name=f"uq_{name}_target"),
        Index(f"ix_{name}_project_identifier", "project_id", "identifier", "id"),
        Index(f"ix_{name}_project_created", "project_id", "created_at"),
        sqlite_autoincrement=True,
    )


span_annotations = _annotation_table("span_annotations", "spans.id", "span_row")
trace_annotations = _annotation_table("trace_annotations", "traces.id", "trace_row")
session_annotations = _annotation_table("session_annotations", "trace_sessions.id", "session_row")
document_annotations = _annotation_table(
    "document_annotations",
    "spans.id",
    "span_row",
    Column("document_position", Integer, nullable=False),
)

#: Annotations that came before what they are about; taken out when it arrives, or too late.
waiting_annotations = Table(
    "waiting_annotations",
    metadata,
    row_id(),
    Column("kind", Text, nullable=False),  # span, trace, session, document
    Column("target", Text, nullable=False),  # the id that its sender gave, in its written form
    Column("project_ids", Text, nullable=True),  # JSON list the sender is restricted to
    Column("content", Text, nullable=False, info=PERSONAL),  # JSON of the annotation
    Column("sender", Text, nullable=False),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=True, index=True),
    time_at("created_at"),
    Index("ix_waiting_annotations_created", "created_at"),
    sqlite_autoincrement=True,
)

annotation_configs = Table(
    "annotation_configs",
    metadata,
    row_id(),
    Column("name", Text, nullable=False, unique=True),
    Column("type", Text, nullable=False),  # CATEGORICAL, CONTINUOUS, FREEFORM
    Column("config", Text, nullable=False),  # JSON object: all but name and type
    time_at("created_at"),
    time_at("updated_at"),
    sqlite_autoincrement=True,
)

project_annotation_configs = Table(
    "project_annotation_configs",
    metadata,
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "config_id",
        ForeignKey("annotation_configs.id", ondelete="CASCADE"),
        primary_key=True,
        index=True,
    ),
)
