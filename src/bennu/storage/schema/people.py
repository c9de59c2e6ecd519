"""People, groups, roles, and all authority.

Spec: lines 152-155, 270.

"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Table,
    Text,
    UniqueConstraint,
)

from bennu.storage.schema.columns import PERSONAL, ROW_ID, SEALED, metadata, row_id, time_at

users = Table(
    "users",
    metadata,
    row_id(),
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
    Column("login_name", Text, nullable=True, info=PERSONAL),  # as typed at the directory
    Column("deactivated_by", Text, nullable=True),  # directory; NULL: an admin, or active
    Column("profile_picture_url", Text, nullable=True, info=PERSONAL),
    time_at("created_at"),
    time_at("updated_at"),
    time_at("last_sign_in_at", nullable=True),
    UniqueConstraint("auth_method", "provider", "issuer", "subject"),
    sqlite_autoincrement=True,
)

groups = Table(
    "groups",
    metadata,
    row_id(),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),  # local, ldap, a provider's name, scim
    Column("external_id", Text, nullable=True),
    time_at("created_at"),
    UniqueConstraint("source", "name"),
    sqlite_autoincrement=True,
)

memberships = Table(
    "memberships",
    metadata,
    Column("group_id", ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("source", Text, primary_key=True),
    time_at("created_at"),
    Index("ix_memberships_user", "user_id"),
)

#: Roles that admins define; the built-in ones stand in access.py.
roles = Table(
    "roles",
    metadata,
    row_id(),
    Column("name", Text, nullable=False, unique=True),
    Column("description", Text, nullable=True),
    Column("permissions", Text, nullable=False),  # JSON list
    time_at("created_at"),
    time_at("updated_at"),
    sqlite_autoincrement=True,
)

#: All authority: subject has role in scope. Scope is ``global`` or ``project:<row id>``.
grants = Table(
    "grants",
    metadata,
    row_id(),
    Column("subject_kind", Text, nullable=False),  # user, group, system_key
    Column("subject_id", ROW_ID, nullable=False),
    Column("role", Text, nullable=False),
    Column("scope", Text, nullable=False, default="global"),
    time_at("created_at"),
    UniqueConstraint("subject_kind", "subject_id", "role", "scope"),
)
