"""What the server keeps sealed for itself, and the proof of the secret. Spec: 164-170, 245-250."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Connection, func, select

from bennu.encryption.cipher import Cipher, Keyring, SealError
from bennu.encryption.secret import derive_fernet_key
from bennu.encryption.vault import (
    StoredSetting,
    Vault,
    WrongSecretError,
    check_secret,
    seal_checks,
    verify_secret,
)
from bennu.kernel.clock import to_microseconds
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.schema import purpose_keys, secret_values
from bennu.storage.settings import StorageSettings
from fakes.clock import FrozenClock
from fakes.sealed_rows import SEALED_COLUMNS, plant
from peers.postgres import OWNER_PASSWORD, PostgresServer, binaries

OLD, NEW = Fernet.generate_key(), Fernet.generate_key()


@pytest.fixture
def vault(clock: FrozenClock) -> Vault:
    return Vault(Cipher(Keyring(OLD)), clock, SystemEntropy())


def vault_with(clock: FrozenClock, current: bytes, *previous: bytes) -> Vault:
    return Vault(Cipher(Keyring(current, previous)), clock, SystemEntropy())


# --- keys for other purposes ---------------------------------------------------------------


async def test_a_purpose_key_is_made_once_and_differs_per_purpose(
    database: Database, vault: Vault, clock: FrozenClock
) -> None:
    one = await database.write(lambda c: vault.purpose_key(c, "audit"))
    other = await database.write(lambda c: vault.purpose_key(c, "csrf"))
    again = await database.read(lambda c: vault_with(clock, NEW, OLD).purpose_key(c, "audit"))
    assert len(one) == 32
    assert one == again
    assert one != other


async def test_a_key_of_a_transaction_that_was_rolled_back_is_not_used(
    database: Database, vault: Vault
) -> None:
    rolled_back: list[bytes] = []

    def work(connection: Connection) -> None:
        rolled_back.append(vault.purpose_key(connection, "audit"))
        rolled_back.append(vault.purpose_key(connection, "audit"))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.write(work)
    kept = await database.write(lambda c: vault.purpose_key(c, "audit"))
    assert rolled_back[0] == rolled_back[1] != kept
    assert await database.read(lambda c: vault.purpose_key(c, "audit")) == kept


async def test_a_purpose_key_under_a_missing_secret_is_refused(
    database: Database, vault: Vault, clock: FrozenClock
) -> None:
    await database.write(lambda c: vault.purpose_key(c, "audit"))
    with pytest.raises(SealError):
        await database.read(lambda c: vault_with(clock, NEW).purpose_key(c, "audit"))
    assert (
        await database.read(
            lambda c: c.execute(select(func.count()).select_from(purpose_keys)).scalar()
        )
        == 1
    )


# --- secret values -------------------------------------------------------------------------


async def test_secret_values_are_sealed_replaced_and_deleted(
    database: Database, vault: Vault, clock: FrozenClock
) -> None:
    first = await database.write(
        lambda c: vault.change_secret_values(c, [("A", Secret("1")), ("B", Secret("ü"))])
    )
    assert (first.upserted, first.deleted, first.existed) == (("A", "B"), (), frozenset())
    clock.advance(60)
    second = await database.write(
        lambda c: vault.change_secret_values(
            c, [("A", None), ("B", Secret("x")), ("C", None), ("A", Secret("last"))]
        )
    )
    assert second.upserted == ("A", "B")
    assert second.deleted == ("C",)
    assert second.existed == {"A", "B"}

    def look(c: Connection) -> list[object]:
        return [
            vault.secret_value(c, "A"),
            vault.secret_value(c, "B"),
            vault.secret_value(c, "C"),
            vault.secret_value_names(c),
            c.execute(select(secret_values.c.created_at)).scalars().all(),
        ]

    a, b, c, names, created = await database.read(look)
    now = to_microseconds(clock.now_utc())
    assert (a, b, c) == (Secret("last"), Secret("x"), None)
    assert names == (("A", now), ("B", now))
    assert created == [now - 60_000_000] * 2


async def test_a_setting_is_kept_replaced_and_deleted(database: Database, vault: Vault) -> None:
    one = StoredSetting("oauth2:a_b", {"client_id": "ü"}, Secret("s"))
    two = StoredSetting("oauth2:a_b", {"client_id": "y"}, None)
    other = StoredSetting("oauth2xsmtp", {}, None)
    await database.write(lambda c: vault.keep_setting(c, other))
    for setting in (one, two):
        await database.write(lambda c, s=setting: vault.keep_setting(c, s))
        assert await database.read(lambda c: vault.stored_setting(c, "oauth2:a_b")) == setting
    assert await database.read(lambda c: vault.stored_settings_under(c, "oauth2:")) == (two,)
    assert await database.read(lambda c: vault.stored_settings_under(c, "oauth2_")) == ()
    assert await database.write(lambda c: vault.delete_setting(c, "oauth2:a_b"))
    assert not await database.write(lambda c: vault.delete_setting(c, "oauth2:a_b"))
    assert await database.read(lambda c: vault.stored_setting(c, "oauth2:a_b")) is None


# --- ages ----------------------------------------------------------------------------------


async def test_the_age_of_a_secret_counts_from_when_this_value_was_first_seen(
    database: Database, vault: Vault, clock: FrozenClock
) -> None:
    secrets = {"PHOENIX_SECRET": Secret("one"), "PHOENIX_SMTP_PASSWORD": Secret("")}
    unseen = await database.read(lambda c: vault.first_seen(c, secrets))
    assert unseen == {"PHOENIX_SECRET": None}
    start = to_microseconds(clock.now_utc())
    await database.write(lambda c: vault.record_sightings(c, secrets))
    clock.advance(3600)
    await database.write(lambda c: vault.record_sightings(c, secrets))
    assert await database.read(lambda c: vault.first_seen(c, secrets)) == {"PHOENIX_SECRET": start}

    changed = {"PHOENIX_SECRET": Secret("two")}
    assert await database.read(lambda c: vault.first_seen(c, changed)) == {"PHOENIX_SECRET": None}
    await database.write(lambda c: vault.record_sightings(c, changed))
    seen = await database.read(lambda c: vault.first_seen(c, changed))
    assert seen == {"PHOENIX_SECRET": start + 3_600_000_000}


# --- the proof of the secret ---------------------------------------------------------------


async def test_the_right_secret_starts_and_a_wrong_one_does_not(database: Database) -> None:
    right, wrong = Secret("0123456789abcdef0123456789abcdef"), Secret("f" * 31 + "0")
    await database.write(lambda c: verify_secret(c, Cipher(Keyring.from_secrets(right))))
    await database.write(lambda c: verify_secret(c, Cipher(Keyring.from_secrets(right))))
    with pytest.raises(WrongSecretError) as caught:
        await database.write(lambda c: verify_secret(c, Cipher(Keyring.from_secrets(wrong))))
    for name in ("PHOENIX_SECRET", "PHOENIX_SECRET_PREVIOUS"):
        assert name in caught.value.public
    for secret in (right, wrong):
        assert secret.reveal() not in caught.value.public
        assert derive_fernet_key(secret).decode() not in caught.value.public
    with pytest.raises(WrongSecretError):
        await database.read(lambda c: check_secret(c, Cipher(Keyring.from_secrets(wrong))))
    assert len(await database.read(seal_checks)) == 1


async def test_while_two_keys_are_in_use_both_secrets_are_needed(database: Database) -> None:
    before, both = Cipher(Keyring(OLD)), Cipher(Keyring(NEW, [OLD]))
    await database.write(lambda c: verify_secret(c, before))
    await database.write(lambda c: verify_secret(c, both))
    assert set(await database.read(seal_checks)) == set(both.keyring.key_ids)
    for alone in (before, Cipher(Keyring(NEW))):
        with pytest.raises(WrongSecretError):
            await database.write(lambda c, cipher=alone: verify_secret(c, cipher))
    await database.read(lambda c: check_secret(c, both))


# --- nothing readable at rest --------------------------------------------------------------


def planted_secrets() -> list[str]:
    return [
        f"planted-{kind}-{number}-Zx9" for kind in ("a", "b", "c", "d", "e") for number in range(10)
    ]


@pytest.mark.asvs("13.3.1")
async def test_no_secret_can_be_found_in_the_files_of_the_database(
    database: Database,
    vault: Vault,
    storage_settings: StorageSettings,
    request: pytest.FixtureRequest,
) -> None:
    secrets = planted_secrets()

    def work(connection: Connection) -> None:
        for secret in secrets[:20]:
            vault.change_secret_values(connection, [(secret.replace("-", "_")[8:], Secret(secret))])
        for secret in secrets[20:40]:
            name = f"oauth2:{secret[8:9]}{secret[10:11]}"
            vault.keep_setting(connection, StoredSetting(name, {}, Secret(secret)))
        vault.record_sightings(connection, {f"V{n}": Secret(s) for n, s in enumerate(secrets[40:])})
        plant(connection, vault.cipher.seal, 3)

    await database.write(work)
    dump = _bytes_at_rest(storage_settings, request)
    assert len(dump) > 10_000
    assert b"oauth2:c1" in dump  # the dump does hold what was written
    for secret in secrets:
        assert secret.encode() not in dump
    assert b"planted in" not in dump
    assert {column.name for column in SEALED_COLUMNS} >= {
        "password_hash",
        "digest",
        "secret",
        "value",
    }
    await database.stop()
    assert not any(s.encode() in _bytes_at_rest(storage_settings, request) for s in secrets)


def _bytes_at_rest(settings: StorageSettings, request: pytest.FixtureRequest) -> bytes:
    if settings.sqlite_path is not None:
        files: list[Path] = sorted(
            settings.sqlite_path.parent.glob(settings.sqlite_path.name + "*")
        )
        return b"".join(file.read_bytes() for file in files)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    folder, postgres = binaries(), settings.postgres
    assert folder is not None
    assert postgres is not None
    run: Callable[..., subprocess.CompletedProcess[bytes]] = subprocess.run
    done = run(
        [
            folder / "pg_dump",
            "-h",
            "127.0.0.1",
            "-p",
            str(server.port),
            "-U",
            postgres.user,
            postgres.database,
        ],
        env={"PGPASSWORD": OWNER_PASSWORD, "PGSSLMODE": "require"},
        capture_output=True,
        check=True,
    )
    return done.stdout
