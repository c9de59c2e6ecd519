import asyncio
import ssl
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from bennu.kernel.clock import SystemClock
from bennu.kernel.errors import UnavailableError
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.postgres_tls import PostgresTlsError, tls_options
from bennu.storage.settings import PostgresSettings, StorageSettings
from peers.pki import KEY_PASSWORD, Pki
from peers.postgres import (
    CERTIFICATE_USER,
    NAMELESS_HOST,
    OWNER,
    OWNER_PASSWORD,
    PLAIN_USER,
    PostgresServer,
)


def settings_for(server: PostgresServer, **changes: object) -> StorageSettings:
    values: dict[str, object] = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": OWNER,
        "password": Secret(OWNER_PASSWORD),
        "database": "postgres",
        **changes,
    }
    return StorageSettings(
        working_dir=Path("/nowhere"),
        dialect="postgresql",
        postgres=PostgresSettings(**values),  # type: ignore[arg-type]
    )


def is_encrypted(connection: Connection) -> bool:
    query = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    return bool(connection.execute(query).scalar())


async def encrypted(server: PostgresServer, **changes: object) -> bool:
    """Connect, and return whether the connection is encrypted."""
    database = Database(settings_for(server, **changes), SystemClock())
    try:
        await database.start()
        return await database.read(is_encrypted)
    except UnavailableError:
        # The driver closes a refused connection in the background; the loop of a test must not
        # end before that.
        await asyncio.sleep(0.1)
        raise
    finally:
        await database.stop()


@pytest.mark.parametrize("mode", ["allow", "prefer", "require"])
async def test_encrypts_without_knowing_the_server(
    postgres_server: PostgresServer, mode: str
) -> None:
    assert await encrypted(postgres_server, sslmode=mode)


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
async def test_goes_without_tls_where_the_server_wants_that(
    postgres_server: PostgresServer, mode: str
) -> None:
    assert not await encrypted(postgres_server, sslmode=mode, user=PLAIN_USER)


@pytest.mark.asvs("12.3.1")
@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_never_falls_back_to_no_encryption(
    postgres_server: PostgresServer, pki: Pki, mode: str
) -> None:
    with pytest.raises(UnavailableError):
        await encrypted(
            postgres_server, sslmode=mode, user=PLAIN_USER, sslrootcert=pki.authority.cert
        )


async def test_disable_is_refused_where_the_server_wants_tls(
    postgres_server: PostgresServer,
) -> None:
    with pytest.raises(UnavailableError, match="not available") as caught:
        await encrypted(postgres_server, sslmode="disable")
    assert "no encryption" in caught.value.detail
    assert OWNER_PASSWORD not in caught.value.detail


@pytest.mark.asvs("12.3.2")
@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_the_authority_is_checked(
    postgres_server: PostgresServer, pki: Pki, mode: str
) -> None:
    assert await encrypted(postgres_server, sslmode=mode, sslrootcert=pki.authority.cert)
    with pytest.raises(UnavailableError) as caught:
        await encrypted(postgres_server, sslmode=mode, sslrootcert=pki.foreign.cert)
    assert "CERTIFICATE_VERIFY_FAILED" in caught.value.detail


async def test_only_verify_full_checks_the_name(postgres_server: PostgresServer, pki: Pki) -> None:
    root = pki.authority.cert
    there = {"host": NAMELESS_HOST, "sslrootcert": root}
    assert await encrypted(postgres_server, sslmode="verify-ca", **there)
    with pytest.raises(UnavailableError) as caught:
        await encrypted(postgres_server, sslmode="verify-full", **there)
    assert NAMELESS_HOST in caught.value.detail


@pytest.mark.asvs("12.3.4")
async def test_the_authorities_of_the_system_do_not_know_ours(
    postgres_server: PostgresServer,
) -> None:
    for changes in (
        {"sslmode": "verify-full"},
        {"sslmode": "verify-full", "sslrootcert": Path("system")},
        {"sslmode": "require", "sslrootcert": Path("system")},
    ):
        with pytest.raises(UnavailableError) as caught:
            await encrypted(postgres_server, **changes)
        assert "CERTIFICATE_VERIFY_FAILED" in caught.value.detail


async def test_a_revoked_server_is_refused(postgres_server: PostgresServer, pki: Pki) -> None:
    root = pki.authority.cert
    good = pki.authority.revocation_list()
    assert await encrypted(postgres_server, sslmode="verify-full", sslrootcert=root, sslcrl=good)
    bad = pki.authority.revocation_list(pki.server)
    with pytest.raises(UnavailableError) as caught:
        await encrypted(postgres_server, sslmode="verify-full", sslrootcert=root, sslcrl=bad)
    assert "revoked" in caught.value.detail


@pytest.mark.asvs("13.2.1")
@pytest.mark.parametrize("mode", ["prefer", "verify-full"])
async def test_signs_in_by_client_certificate(
    postgres_server: PostgresServer, pki: Pki, mode: str
) -> None:
    protected = pki.authority.encrypt_key(pki.client)
    common = {
        "sslmode": mode,
        "user": CERTIFICATE_USER,
        "password": None,
        "sslrootcert": pki.authority.cert,
    }
    assert await encrypted(
        postgres_server, **common, sslcert=pki.client.cert, sslkey=pki.client.key
    )
    assert await encrypted(
        postgres_server,
        **common,
        sslcert=protected.cert,
        sslkey=protected.key,
        sslpassword=Secret(KEY_PASSWORD),
    )
    foreign = pki.foreign_client
    with pytest.raises(UnavailableError):
        await encrypted(postgres_server, **common, sslcert=foreign.cert, sslkey=foreign.key)


def test_a_wrong_key_password_is_named_and_not_repeated(pki: Pki) -> None:
    protected = pki.authority.encrypt_key(pki.client)
    for wrong in (Secret("not-the-key-password"), None):
        with pytest.raises(PostgresTlsError, match="sslpassword") as caught:
            tls_options(
                PostgresSettings(
                    *("h", 5432, "u", None, "d", "require"),
                    sslcert=protected.cert,
                    sslkey=protected.key,
                    sslpassword=wrong,
                )
            )
        assert "not-the-key-password" not in str(caught.value)


@pytest.mark.parametrize("field", ["sslrootcert", "sslcrl", "sslcert"])
async def test_a_missing_file_is_named(
    postgres_server: PostgresServer, pki: Pki, tmp_path: Path, field: str
) -> None:
    (tmp_path / "garbage.pem").write_text("garbage")
    for path in (tmp_path / "missing.pem", tmp_path / "garbage.pem"):
        files = {"sslrootcert": pki.authority.cert, field: path}
        with pytest.raises(PostgresTlsError, match=f"{field}.*{path.name}"):
            await encrypted(postgres_server, sslmode="verify-full", **files)


def test_verify_ca_needs_an_authority() -> None:
    with pytest.raises(PostgresTlsError, match="sslrootcert"):
        tls_options(PostgresSettings("h", 5432, "u", None, "d", "verify-ca"))


def test_old_protocols_are_refused(pki: Pki) -> None:
    options = tls_options(
        PostgresSettings(
            *("h", 5432, "u", None, "d", "verify-full"), sslrootcert=pki.authority.cert
        )
    )
    context = options["ssl"]
    assert isinstance(context, ssl.SSLContext)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
