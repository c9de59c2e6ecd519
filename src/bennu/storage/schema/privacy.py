"""Retention, legal holds, and the jobs that export and erase what belongs to a person.

Spec: lines 261-266.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Float,
    ForeignKey,
    Index,
    Table,
    Text,
    UniqueConstraint,
)

from bennu.storage.schema.columns import PERSONAL, ROW_ID, SEALED, metadata, row_id, time_at

#: Row 0 is the default policy: for every project that has none of its own.
retention_policies = Table(
    "retention_policies",
    metadata,
    row_id(),
    Column("name", Text, nullable=False, unique=True),
    Column("cron_expression", Text, nullable=False),
    Column("max_days", Double, nullable=True),  # NULL or 0: any age
    Column("max_count", BigInteger, nullable=True),  # NULL or 0: any number
    time_at("created_at"),
    time_at("updated_at"),
    time_at("last_run_at", nullable=True),  # NULL: a run is due at once
    sqlite_autoincrement=True,
)

#: What a sweep under way has deleted and not recorded yet; written with each batch.
retention_sweeps = Table(
    "retention_sweeps",
    metadata,
    Column("project_id", ROW_ID, primary_key=True, autoincrement=False),
    Column("policy", Text, nullable=False),
    Column("cutoff_at", BigInteger, nullable=True),
    Column("traces", BigInteger, nullable=False),
    Column("spans", BigInteger, nullable=False),
    Column("sessions", BigInteger, nullable=False),
)

#: What must not be deleted, whatever a policy or an erasure says.
legal_holds = Table(
    "legal_holds",
    metadata,
    row_id(),
    Column("kind", Text, nullable=False),  # project, session, trace
    Column("target_row", ROW_ID, nullable=False),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("target", Text, nullable=False, info=PERSONAL),  # as its sender gave it
    Column("reason", Text, nullable=False, info=PERSONAL),
    Column("set_by", Text, nullable=False),  # public id of the principal
    time_at("created_at"),
    UniqueConstraint("kind", "target_row"),
    sqlite_autoincrement=True,
)

#: Who does a piece of work that only one process may do at a time, and until when.
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    time_at("expires_at"),
)

#: Exports and erasures. Subject and actor are sealed, and dropped when the job is over.
privacy_jobs = Table(
    "privacy_jobs",
    metadata,
    row_id(),
    Column("kind", Text, nullable=False),  # export, erasure
    Column("status", Text, nullable=False),  # queued, running, done, failed
    Column("dry_run", Boolean, nullable=False, default=False),
    Column("requested_by", Text, nullable=False),  # public id of the principal
    Column("subject_kind", Text, nullable=False),  # user, attribute
    Column("subject_digest", Text, nullable=False),  # keyed; see privacy/ledger.py
    Column("subject", Text, nullable=True, info=SEALED),  # JSON
    Column("actor", Text, nullable=True, info=SEALED),  # JSON of who asked, for the record
    Column("progress", Float, nullable=False, default=0.0),
    Column("counts", Text, nullable=False, default="{}"),  # JSON object
    Column("position", Text, nullable=False, default="{}"),  # JSON: where to go on after a kill
    Column("entry_id", Text, nullable=False, default=""),  # of the ledger
    Column("problem", Text, nullable=False, default=""),
    Column("receipt", Text, nullable=True),  # JSON, signed
    Column("file_name", Text, nullable=True),
    time_at("created_at"),
    time_at("started_at", nullable=True),
    time_at("finished_at", nullable=True),
    time_at("expires_at", nullable=True),
    time_at("fetched_at", nullable=True),
    Index("ix_privacy_jobs_status", "status", "id"),
    sqlite_autoincrement=True,
)

#: Entries of the ledger that this database has carried out; a restored backup lacks the newest.
applied_erasures = Table(
    "applied_erasures",
    metadata,
    Column("entry_id", Text, primary_key=True),
    time_at("applied_at"),
)
