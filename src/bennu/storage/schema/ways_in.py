"""Ways in: sessions, keys, every bearer credential, failed sign-ins.

Spec: lines 134-155, 257-258.

"""

from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    Table,
    Text,
)

from bennu.storage.schema.columns import PERSONAL, ROW_ID, SEALED, metadata, row_id, time_at

sessions = Table(
    "sessions",
    metadata,
    row_id(),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("auth_methods", Text, nullable=False),  # JSON list: password, ldap, oauth2, otp ...
    time_at("authenticated_at"),
    Column("provider", Text, nullable=True),
    Column("provider_session_id", Text, nullable=True, index=True),
    Column("id_token", Text, nullable=True, info=SEALED),  # for sign-out at the provider
    Column("address", Text, nullable=False, default="", info=PERSONAL),
    Column("user_agent", Text, nullable=False, default="", info=PERSONAL),
    time_at("created_at"),
    time_at("last_used_at"),
    time_at("expires_at"),
    sqlite_autoincrement=True,
)

api_keys = Table(
    "api_keys",
    metadata,
    row_id(),
    Column("kind", Text, nullable=False),  # user, system
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("created_by", ForeignKey("users.id", ondelete="SET NULL"), nullable=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=True),
    Column("permissions", Text, nullable=True),  # JSON list; NULL: all of the owner's
    Column("projects", Text, nullable=True),  # JSON list of project rows; NULL: all
    time_at("created_at"),
    time_at("expires_at", nullable=True),
    time_at("last_used_at", nullable=True),
    Column("last_used_address", Text, nullable=True, info=PERSONAL),
    Column("replaced_by", ROW_ID, nullable=True),
    sqlite_autoincrement=True,
)

#: Every bearer credential of whatever kind; found by its clear random id, proved by its digest.
credentials = Table(
    "credentials",
    metadata,
    row_id(),
    Column("lookup", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),  # access, refresh, reset, user_key, system_key
    Column("digest", Text, nullable=False, info=SEALED),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("session_id", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("api_key_id", ForeignKey("api_keys.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("audience", Text, nullable=True),
    Column("scopes", Text, nullable=True),
    Column("client_id", Text, nullable=True),
    time_at("created_at"),
    time_at("expires_at", nullable=True),
    time_at("consumed_at", nullable=True),
    Column("successor", Text, nullable=True, info=SEALED),  # a refresh token's next pair, briefly
)

#: Failed sign-ins per account and address; the account as a keyed hash, ``*`` for all addresses.
sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("account", Text, primary_key=True),
    Column("address", Text, primary_key=True, info=PERSONAL),
    Column("failures", Integer, nullable=False),
    time_at("last_at"),
    time_at("blocked_until", nullable=True),
)

#: Addresses from which an account signed in before; they are spared by account-wide throttles.
known_addresses = Table(
    "known_addresses",
    metadata,
    Column("account", Text, primary_key=True),
    Column("address", Text, primary_key=True, info=PERSONAL),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    time_at("last_at"),
)

#: Handshakes and logout tokens of providers that were used up, until nobody could use them again.
used_once = Table(
    "used_once",
    metadata,
    Column("digest", Text, primary_key=True),
    time_at("expires_at"),
)
