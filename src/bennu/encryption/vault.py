"""Everything that is kept sealed for the server itself, and the value that proves the secret.

Keys for other purposes, secret configuration values, settings that admins make over REST, and
how long the secrets of the environment have been in use.

Spec: lines 164-170 (what is encrypted), 245-250 (rotation schedule).
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, delete, select, update

from bennu.encryption.cipher import Cipher, Keyring, SealError, missing_key_text
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import UnavailableError
from bennu.kernel.ids import Entropy
from bennu.kernel.secret import Secret
from bennu.storage.schema import (
    meta,
    purpose_keys,
    secret_sightings,
    secret_values,
    stored_settings,
)
from bennu.storage.upsert import insert_unless_present

PURPOSE_KEY_BYTES: Final = 32
SIGHTINGS_PURPOSE: Final = "secret-sightings"  # names a key; it is none
_CHECK_PREFIX: Final = "seal_check:"
_CHECK_VALUE: Final = b"bennu"


class WrongSecretError(UnavailableError):
    """The database was sealed under a secret that was not given: the server must not start."""

    code = "wrong_secret"


@dataclass(frozen=True, slots=True)
class StoredSetting:
    """A setting that an admin made over REST.

    Args:
        name: ``smtp`` or ``oauth2:<provider>``.
        plain: everything that may be shown.
        secret: the password or the client secret, if there is one.
    """

    name: str
    plain: Mapping[str, Any]
    secret: Secret | None


@dataclass(frozen=True, slots=True)
class SecretChanges:
    """What a change of secret values did.

    Args:
        upserted: keys that have a new value, in the order of the request.
        deleted: keys that have none any more, in the order of the request.
        existed: those of both that had a value before.
    """

    upserted: tuple[str, ...]
    deleted: tuple[str, ...]
    existed: frozenset[str]


class Vault:
    """Sealed values of the server itself; each method is one step inside a transaction."""

    def __init__(self, cipher: Cipher, clock: Clock, entropy: Entropy) -> None:
        self.cipher: Final = cipher
        self._clock = clock
        self._entropy = entropy
        self._opened: dict[str, bytes] = {}

    # --- keys for other purposes -----------------------------------------------------------

    def purpose_key(self, connection: Connection, purpose: str) -> bytes:
        """Return the key for a purpose; the first call for it makes one.

        A key that exists is only read, so that a read-only connection will do for it. What was
        opened is remembered by its sealed text: a key of a transaction that was rolled back is
        never used again.

        Returns:
            32 random bytes, the same for all time and in every process of this database.

        Raises:
            SealError: it was sealed under a secret that was not given.
        """
        sealed = self._sealed_purpose_key(connection, purpose)
        if sealed is None:
            sealed = self._make_purpose_key(connection, purpose)
        if sealed not in self._opened:
            self._opened[sealed] = self.cipher.open(sealed)
        return self._opened[sealed]

    def _make_purpose_key(self, connection: Connection, purpose: str) -> str:
        """Make a key, unless another process did at the same moment; return the one that counts."""
        fresh = {
            "purpose": purpose,
            "value": self.cipher.seal(self._entropy.bytes(PURPOSE_KEY_BYTES)),
            "created_at": self._now(),
        }
        insert_unless_present(connection, purpose_keys, [fresh])
        found = select(purpose_keys.c.value).where(purpose_keys.c.purpose == purpose)
        return str(connection.execute(found).scalar_one())

    def _sealed_purpose_key(self, connection: Connection, purpose: str) -> str | None:
        found = connection.execute(
            select(purpose_keys.c.value).where(purpose_keys.c.purpose == purpose)
        ).scalar_one_or_none()
        return None if found is None else str(found)

    # --- secret configuration values -------------------------------------------------------

    def change_secret_values(
        self, connection: Connection, changes: Sequence[tuple[str, Secret | None]]
    ) -> SecretChanges:
        """Keep or delete secret values.

        Args:
            connection: of the transaction.
            changes: key and new value, None to delete; of a key given twice the last counts.
        """
        wanted = dict(changes)
        had = select(secret_values.c.name).where(secret_values.c.name.in_(wanted))
        existed = frozenset(connection.execute(had).scalars())
        gone = [name for name, value in wanted.items() if value is None]
        if gone:
            connection.execute(delete(secret_values).where(secret_values.c.name.in_(gone)))
        now = self._now()
        for name, value in wanted.items():
            if value is not None:
                sealed = self.cipher.seal(value.reveal())
                row = {"name": name, "value": sealed, "created_at": now, "updated_at": now}
                insert_unless_present(connection, secret_values, [row])
                connection.execute(
                    update(secret_values)
                    .where(secret_values.c.name == name)
                    .values(value=sealed, updated_at=now)
                )
        kept = tuple(name for name, value in wanted.items() if value is not None)
        return SecretChanges(kept, tuple(gone), existed)

    def secret_value(self, connection: Connection, name: str) -> Secret | None:
        """Return one secret value for use inside the server, or None when there is none."""
        sealed = connection.execute(
            select(secret_values.c.value).where(secret_values.c.name == name)
        ).scalar_one_or_none()
        return None if sealed is None else Secret(self.cipher.open(sealed).decode())

    def secret_value_names(self, connection: Connection) -> tuple[tuple[str, int], ...]:
        """Return names in order, each with the microseconds of its last change; no values."""
        rows = connection.execute(
            select(secret_values.c.name, secret_values.c.updated_at).order_by(secret_values.c.name)
        )
        return tuple((row.name, row.updated_at) for row in rows)

    # --- settings made over REST -----------------------------------------------------------

    def stored_setting(self, connection: Connection, name: str) -> StoredSetting | None:
        """Return one stored setting with its secret part, or None."""
        found = self._stored(connection, stored_settings.c.name == name)
        return found[0] if found else None

    def stored_settings_under(
        self, connection: Connection, prefix: str
    ) -> tuple[StoredSetting, ...]:
        """Return the stored settings whose names begin with ``prefix``, in order of name."""
        return self._stored(connection, stored_settings.c.name.startswith(prefix, autoescape=True))

    def _stored(
        self, connection: Connection, condition: ColumnElement[bool]
    ) -> tuple[StoredSetting, ...]:
        columns = (stored_settings.c.name, stored_settings.c.plain, stored_settings.c.secret)
        rows = connection.execute(
            select(*columns).where(condition).order_by(stored_settings.c.name)
        )
        return tuple(
            StoredSetting(
                row.name,
                json.loads(row.plain),
                None if row.secret is None else Secret(self.cipher.open(row.secret).decode()),
            )
            for row in rows
        )

    def keep_setting(self, connection: Connection, setting: StoredSetting) -> None:
        """Keep a setting in place of the one of that name, its secret part sealed."""
        now = self._now()
        values = {
            "plain": json.dumps(dict(setting.plain), sort_keys=True),
            "secret": (
                None if setting.secret is None else self.cipher.seal(setting.secret.reveal())
            ),
            "updated_at": now,
        }
        row = {"name": setting.name, "created_at": now, **values}
        insert_unless_present(connection, stored_settings, [row])
        connection.execute(
            update(stored_settings).where(stored_settings.c.name == setting.name).values(**values)
        )

    def delete_setting(self, connection: Connection, name: str) -> bool:
        """Delete a setting; whether there was one."""
        done = connection.execute(delete(stored_settings).where(stored_settings.c.name == name))
        return done.rowcount > 0

    # --- ages of the secrets of the environment --------------------------------------------

    def record_sightings(self, connection: Connection, secrets: Mapping[str, Secret]) -> None:
        """Remember when each secret of the environment was first seen; known ones stay as is.

        Args:
            connection: of a transaction that may write.
            secrets: variable name and value; empty values are left out.
        """
        key = self.purpose_key(connection, SIGHTINGS_PURPOSE)
        now = self._now()
        rows = [
            {"name": name, "fingerprint": _fingerprint(key, name, value), "first_seen_at": now}
            for name, value in sorted(secrets.items())
            if value
        ]
        insert_unless_present(connection, secret_sightings, rows)

    def first_seen(
        self, connection: Connection, secrets: Mapping[str, Secret]
    ) -> dict[str, int | None]:
        """Return for each given secret when this very value was first seen.

        Returns:
            Microseconds since 1970 UTC by variable name; None where no server has started with
            the value yet. The connection may be read-only.
        """
        if self._sealed_purpose_key(connection, SIGHTINGS_PURPOSE) is None:
            return {name: None for name, value in sorted(secrets.items()) if value}
        key = self.purpose_key(connection, SIGHTINGS_PURPOSE)
        columns = (
            secret_sightings.c.name,
            secret_sightings.c.fingerprint,
            secret_sightings.c.first_seen_at,
        )
        seen = {(row[0], row[1]): int(row[2]) for row in connection.execute(select(*columns))}
        return {
            name: seen.get((name, _fingerprint(key, name, value)))
            for name, value in sorted(secrets.items())
            if value
        }

    def _now(self) -> int:
        return to_microseconds(self._clock.now_utc())


def _fingerprint(key: bytes, name: str, value: Secret) -> str:
    """Return a keyed hash that tells equal values apart from others and nothing else.

    Why safe: without the key, which is sealed, a guess cannot be compared with it; the name is
    hashed too, so that two variables with one value do not show it.
    """
    message = name.encode() + b"\0" + value.reveal().encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()


# --- the value that proves the secret ------------------------------------------------------


def verify_secret(connection: Connection, cipher: Cipher) -> None:
    """Prove at start that every key in use is at hand, and announce the newest one.

    The database keeps one sealed known value for each key under which anything may be sealed.
    All of them must open. So neither the old nor the new secret alone starts a server while
    a rotation is under way, and the old one alone starts none after it.

    Args:
        connection: of a transaction that may write.
        cipher: made from the secrets that were given.

    Raises:
        WrongSecretError: a key is missing; the text names the variables and no secret.
    """
    checks = seal_checks(connection)
    for key_id, sealed in checks.items():
        _prove(sealed, key_id, cipher)
    if cipher.current_key_id not in checks:
        row = {
            "name": _CHECK_PREFIX + cipher.current_key_id,
            "value": cipher.seal(_CHECK_VALUE),
        }
        insert_unless_present(connection, meta, [row])


def check_secret(connection: Connection, cipher: Cipher) -> None:
    """Prove the same without writing anything, for commands that only look.

    Raises:
        WrongSecretError: a key is missing.
    """
    for key_id, sealed in seal_checks(connection).items():
        _prove(sealed, key_id, cipher)


def seal_checks(connection: Connection) -> dict[str, str]:
    """Return the sealed known values by key id."""
    rows = connection.execute(
        select(meta.c.name, meta.c.value).where(
            meta.c.name.startswith(_CHECK_PREFIX, autoescape=True)
        )
    )
    return {row.name.removeprefix(_CHECK_PREFIX): row.value for row in rows}


def drop_seal_check(connection: Connection, key_id: str) -> None:
    """Forget a key under which nothing is sealed any more."""
    connection.execute(delete(meta).where(meta.c.name == _CHECK_PREFIX + key_id))


def _prove(sealed: str, key_id: str, cipher: Cipher) -> None:
    try:
        opened = cipher.open(sealed)
    except SealError:
        opened = b""
    if opened != _CHECK_VALUE:
        raise WrongSecretError(_wrong_secret_text(key_id, cipher.keyring))


def _wrong_secret_text(key_id: str, keyring: Keyring) -> str:
    return (
        "PHOENIX_SECRET is not the secret that this database was sealed with: "
        f"{missing_key_text(key_id, keyring)} (or back to PHOENIX_SECRET)"
    )
