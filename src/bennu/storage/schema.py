"""Every table, on one page. The page is also the data map that a GDPR reader asks for.

A column may carry marks: ``info={"sealed": True}`` (its value is stored as ``<key_id>:<token>``,
see ``encryption/cipher.py``) and ``info={"personal": True}`` (it says something about a person).
From the marks come the list of what is encrypted, what a rotation re-seals, and what an erasure
and an export must cover.

Spec: lines 164-170 (what is encrypted), 261-266 (personal data).
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.sql.type_api import TypeEngine

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: 64-bit row ids on PostgreSQL; on SQLite only the type INTEGER becomes the row id itself.
ROW_ID: Final[TypeEngine[int]] = BigInteger().with_variant(Integer(), "sqlite")
SEALED: Final = {"sealed": True}
PERSONAL: Final = {"personal": True}
_ROOT: Final = text("parent_id IS NULL")
# sqlite_autoincrement: row numbers of tables with public ids are never used twice.


def _row_id() -> Column[int]:
    return Column("id", ROW_ID, primary_key=True, autoincrement=True)


def _time(name: str, *, nullable: bool = False) -> Column[int]:
    """Make a column of microseconds since 1970 UTC; whole numbers compare alike everywhere."""
    return Column(name, BigInteger, nullable=nullable)


# --- the database itself -------------------------------------------------------------------
meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

#: One row; moved by every change that touches authority (see storage/epoch.py).
security_epoch = Table(
    "security_epoch",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", BigInteger, nullable=False),
)

# --- people, groups, authority -------------------------------------------------------------
users = Table(
    "users",
    metadata,
    _row_id(),
    Column("email", Text, nullable=True, unique=True, info=PERSONAL),
    Column("username", Text, nullable=False, unique=True, info=PERSONAL),
    Column("auth_method", Text, nullable=False),  # LOCAL, LDAP, OAUTH2
    Column("password_hash", Text, nullable=True, info=SEALED),
    Column("password_changed_at", BigInteger, nullable=True),
    Column("password_needs_reset", Boolean, nullable=False, default=False),
    Column("active", Boolean, nullable=False, default=True),
    Column("is_system", Boolean, nullable=False, default=False),
    Column("external_id", Text, nullable=True, info=PERSONAL),
    Column("provider", Text, nullable=True),
    Column("issuer", Text, nullable=True),
    Column("subject", Text, nullable=True, info=PERSONAL),
    Column("client_id", Text, nullable=True),
    Column("profile_picture_url", Text, nullable=True, info=PERSONAL),
    _time("created_at"),
    _time("updated_at"),
    _time("last_sign_in_at", nullable=True),
    UniqueConstraint("auth_method", "provider", "issuer", "subject"),
    sqlite_autoincrement=True,
)

groups = Table(
    "groups",
    metadata,
    _row_id(),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),  # local, ldap, a provider's name, scim
    Column("external_id", Text, nullable=True),
    _time("created_at"),
    UniqueConstraint("source", "name"),
    sqlite_autoincrement=True,
)

memberships = Table(
    "memberships",
    metadata,
    Column("group_id", ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("source", Text, primary_key=True),
    _time("created_at"),
    Index("ix_memberships_user", "user_id"),
)

#: Roles that admins define; the built-in ones stand in access.py.
roles = Table(
    "roles",
    metadata,
    _row_id(),
    Column("name", Text, nullable=False, unique=True),
    Column("description", Text, nullable=True),
    Column("permissions", Text, nullable=False),  # JSON list
    _time("created_at"),
    _time("updated_at"),
    sqlite_autoincrement=True,
)

#: All authority: subject has role in scope. Scope is ``global`` or ``project:<row id>``.
grants = Table(
    "grants",
    metadata,
    _row_id(),
    Column("subject_kind", Text, nullable=False),  # user, group, system_key
    Column("subject_id", ROW_ID, nullable=False),
    Column("role", Text, nullable=False),
    Column("scope", Text, nullable=False, default="global"),
    _time("created_at"),
    UniqueConstraint("subject_kind", "subject_id", "role", "scope"),
)

# --- ways in -------------------------------------------------------------------------------
sessions = Table(
    "sessions",
    metadata,
    _row_id(),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("auth_methods", Text, nullable=False),  # JSON list: password, ldap, oauth2, otp ...
    _time("authenticated_at"),
    Column("provider", Text, nullable=True),
    Column("provider_session_id", Text, nullable=True, index=True),
    Column("id_token", Text, nullable=True, info=SEALED),  # for sign-out at the provider
    Column("address", Text, nullable=False, default="", info=PERSONAL),
    Column("user_agent", Text, nullable=False, default="", info=PERSONAL),
    _time("created_at"),
    _time("last_used_at"),
    _time("expires_at"),
    sqlite_autoincrement=True,
)

api_keys = Table(
    "api_keys",
    metadata,
    _row_id(),
    Column("kind", Text, nullable=False),  # user, system
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("created_by", ForeignKey("users.id", ondelete="SET NULL"), nullable=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=True),
    Column("permissions", Text, nullable=True),  # JSON list; NULL: all of the owner's
    Column("projects", Text, nullable=True),  # JSON list of project rows; NULL: all
    _time("created_at"),
    _time("expires_at", nullable=True),
    _time("last_used_at", nullable=True),
    Column("last_used_address", Text, nullable=True, info=PERSONAL),
    Column("replaced_by", ROW_ID, nullable=True),
    sqlite_autoincrement=True,
)

#: Every bearer credential of whatever kind; found by its clear random id, proved by its digest.
credentials = Table(
    "credentials",
    metadata,
    _row_id(),
    Column("lookup", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),  # access, refresh, reset, user_key, system_key
    Column("digest", Text, nullable=False, info=SEALED),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("session_id", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("api_key_id", ForeignKey("api_keys.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("audience", Text, nullable=True),
    Column("scopes", Text, nullable=True),
    Column("client_id", Text, nullable=True),
    _time("created_at"),
    _time("expires_at", nullable=True),
    _time("consumed_at", nullable=True),
    Column("successor", Text, nullable=True, info=SEALED),  # a refresh token's next pair, briefly
)

#: Failed sign-ins per account and address; the account as a keyed hash.
sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("account", Text, primary_key=True),
    Column("address", Text, primary_key=True, info=PERSONAL),
    Column("failures", Integer, nullable=False),
    _time("last_at"),
    _time("blocked_until", nullable=True),
)

#: Addresses from which an account signed in before; they are spared by account-wide throttles.
known_addresses = Table(
    "known_addresses",
    metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("address", Text, primary_key=True, info=PERSONAL),
    _time("last_at"),
)

# --- secret values at rest -----------------------------------------------------------------
#: Random keys for other purposes (audit chain, CSRF, masking), sealed under the secret.
purpose_keys = Table(
    "purpose_keys",
    metadata,
    Column("purpose", Text, primary_key=True),
    Column("value", Text, nullable=False, info=SEALED),
    _time("created_at"),
)

secret_values = Table(
    "secret_values",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False, info=SEALED),
    _time("created_at"),
    _time("updated_at"),
)

#: Settings that admins make over REST: name ``smtp`` or ``oauth2:<provider>``.
stored_settings = Table(
    "stored_settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("plain", Text, nullable=False),  # JSON object without secrets
    Column("secret", Text, nullable=True, info=SEALED),  # password or client secret
    _time("created_at"),
    _time("updated_at"),
)

#: When a secret of the environment was first seen, as a keyed fingerprint.
secret_sightings = Table(
    "secret_sightings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    _time("first_seen_at"),
)

# --- audit ---------------------------------------------------------------------------------
audit_events = Table(
    "audit_events",
    metadata,
    Column("sequence", ROW_ID, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    _time("time_at"),
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
    _time("time_at"),
    Column("signature", Text, nullable=False),
)

# --- traces --------------------------------------------------------------------------------
projects = Table(
    "projects",
    metadata,
    _row_id(),
    Column("name", Text, nullable=False, unique=True),
    Column("description", Text, nullable=True),
    Column("retention_policy_id", ROW_ID, nullable=True),
    _time("created_at"),
    _time("updated_at"),
    sqlite_autoincrement=True,
)

trace_sessions = Table(
    "trace_sessions",
    metadata,
    _row_id(),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("session_id", Text, nullable=False, info=PERSONAL),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    UniqueConstraint("session_id", "project_id"),
    Index("ix_trace_sessions_project_start", "project_id", "start_ns"),
    sqlite_autoincrement=True,
)

traces = Table(
    "traces",
    metadata,
    _row_id(),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("trace_id", LargeBinary(16), nullable=False),
    Column(
        "session_id",
        ForeignKey("trace_sessions.id", ondelete="SET NULL"),
        nullable=True,
        index=True,
    ),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("span_count", Integer, nullable=False),
    Column("error_count", Integer, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    UniqueConstraint("trace_id", "project_id"),
    Index("ix_traces_project_start", "project_id", "start_ns"),
    sqlite_autoincrement=True,
)

#: Times are nanoseconds as sent. Attributes and events are payloads with their own codec and
#: key id, so that they can later be encrypted per project or moved elsewhere.
spans = Table(
    "spans",
    metadata,
    _row_id(),
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
    Index("ix_spans_project_start", "project_id", "start_ns"),
    Index("ix_spans_project_row", "project_id", "id"),
    Index("ix_spans_project_name", "project_id", "name", "id"),
    Index("ix_spans_project_kind", "project_id", "span_kind", "id"),
    Index("ix_spans_project_status", "project_id", "status_code", "id"),
    Index("ix_spans_project_roots", "project_id", "id", sqlite_where=_ROOT, postgresql_where=_ROOT),
    Index("ix_spans_trace_parent", "trace_row", "parent_id"),
    sqlite_autoincrement=True,
)
