"""Secret values at rest.

Spec: lines 164-170.

"""

from sqlalchemy import (
    Column,
    Table,
    Text,
)

from bennu.storage.schema.columns import SEALED, metadata, time_at

#: Random keys for other purposes (audit chain, CSRF, masking), sealed under the secret.
purpose_keys = Table(
    "purpose_keys",
    metadata,
    Column("purpose", Text, primary_key=True),
    Column("value", Text, nullable=False, info=SEALED),
    time_at("created_at"),
)

secret_values = Table(
    "secret_values",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False, info=SEALED),
    time_at("created_at"),
    time_at("updated_at"),
)

#: Settings that admins make over REST: name ``smtp`` or ``oauth2:<provider>``.
stored_settings = Table(
    "stored_settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("plain", Text, nullable=False),  # JSON object without secrets
    Column("secret", Text, nullable=True, info=SEALED),  # password or client secret
    time_at("created_at"),
    time_at("updated_at"),
)

#: When a secret of the environment was first seen, as a keyed fingerprint.
secret_sightings = Table(
    "secret_sightings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    time_at("first_seen_at"),
)
