"""A PostgreSQL cluster of our own: SCRAM, TLS, a random port, a fresh database per test."""

import asyncio
import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bennu.kernel.clock import SystemClock
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.migrate import migrate
from bennu.storage.settings import PostgresSettings, StorageSettings
from peers.pki import Pki
from started import free_port

SUPERUSER, SUPERUSER_PASSWORD = "super", "superpw"
#: An address of this machine that is not in the server's certificate.
NAMELESS_HOST = "127.0.0.2"
#: As hostile as a password can be to an address that is put together by hand.
OWNER, OWNER_PASSWORD = "bennu", "pg pw/@:#?%40&+'\"\\"
CERTIFICATE_USER = "certuser"  # let in by a client certificate of agent-7, without a password
PLAIN_USER = "plainuser"  # let in only without TLS
IAM_USER = "iamuser"  # let in by tokens that peers.iam takes, over TLS only
TEMPLATE = "template_bennu"

_HBA = f"""\
local     all {SUPERUSER}        scram-sha-256
hostssl   all {CERTIFICATE_USER} 127.0.0.0/8 cert map=agents
hostnossl all {PLAIN_USER}       127.0.0.0/8 scram-sha-256
hostssl   all {OWNER}            127.0.0.0/8 scram-sha-256
hostssl   all {IAM_USER}         127.0.0.0/8 ldap ldapserver=127.0.0.1 ldapport=TOKEN_PORT \
          ldapprefix="cn="
"""


def binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL that is installed, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4]))
    return found[-1].parent if found else None


class PostgresServer:
    """One cluster in a folder of its own; started, restarted and killed at will.

    Args:
        folder: short (a socket lies in it) and readable by the user who runs PostgreSQL.
        pki: where the server's certificate comes from.
        fsync: whether a commit reaches the disk; only crash tests of the cluster need it.
    """

    def __init__(self, folder: Path, pki: Pki, *, fsync: bool = False) -> None:
        found = binaries()
        assert found is not None
        self._bin = found
        self.folder, self.data = folder, folder / "data"
        self.pki, self.port, self.token_port = pki, free_port(), free_port()
        self._numbers = itertools.count(1)
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._create(fsync=fsync)

    def _run(self, program: str, *arguments: str, **env: str) -> str:
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            cwd=self.folder,
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def _own(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        if self._user is not None:
            shutil.chown(path, self._user, self._user)

    def _install(self, source: Path, name: str) -> None:
        target = self.data / name
        shutil.copyfile(source, target)
        self._own(target, 0o600)

    def _create(self, *, fsync: bool) -> None:
        self._own(self.folder, 0o700)
        password = self.folder / "password"
        password.write_text(SUPERUSER_PASSWORD)
        self._own(password, 0o600)
        self._run(
            "initdb",
            *("-D", str(self.data), "-U", SUPERUSER, "--pwfile", str(password)),
            *("-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
        )
        self._install(self.pki.server.cert, "server.crt")
        self._install(self.pki.server.key, "server.key")
        self._install(self.pki.authority.cert, "ca.crt")
        with (self.data / "postgresql.conf").open("a") as configuration:
            configuration.write(
                f"port={self.port}\nlisten_addresses='127.0.0.1,{NAMELESS_HOST}'\n"
                f"unix_socket_directories='{self.folder}'\n"
                "ssl=on\nssl_ca_file='ca.crt'\npassword_encryption='scram-sha-256'\n"
                f"fsync={'on' if fsync else 'off'}\nshared_buffers=32MB\n"
                # Not for ever, when a test forgets a transaction.
                "idle_in_transaction_session_timeout=120s\n"
            )
        (self.data / "pg_hba.conf").write_text(_HBA.replace("TOKEN_PORT", str(self.token_port)))
        (self.data / "pg_ident.conf").write_text(f"agents agent-7 {CERTIFICATE_USER}\n")

    def start(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-l", str(self.folder / "log"), "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop: ``fast`` ends sessions in order, ``immediate`` is a crash."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    def sql(self, *statements: str, database: str = "postgres") -> str:
        """Run statements as the superuser; return what psql prints, unadorned."""
        commands = [part for statement in statements for part in ("-c", statement)]
        return self._run(
            "psql",
            *("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder)),
            *("-p", str(self.port), "-U", SUPERUSER, "-d", database, *commands),
            PGPASSWORD=SUPERUSER_PASSWORD,
        ).strip()

    def dump(self, database: str) -> bytes:
        """Return what ``pg_dump`` makes of a database: a backup as text."""
        text = self._run(
            "pg_dump",
            *("-h", str(self.folder), "-p", str(self.port), "-U", SUPERUSER, database),
            PGPASSWORD=SUPERUSER_PASSWORD,
        )
        return text.encode()

    def make_roles(self) -> None:
        quoted = OWNER_PASSWORD.replace("'", "''")
        self.sql(
            f"CREATE ROLE {OWNER} LOGIN PASSWORD '{quoted}'",
            f"CREATE ROLE {PLAIN_USER} LOGIN PASSWORD '{quoted}'",
            f"CREATE ROLE {CERTIFICATE_USER} LOGIN",
            f"CREATE ROLE {IAM_USER} LOGIN",
        )

    def settings_for(self, database: str) -> PostgresSettings:
        """Return settings that verify the server fully and sign in as the owner."""
        return PostgresSettings(
            host="127.0.0.1",
            port=self.port,
            user=OWNER,
            password=Secret(OWNER_PASSWORD),
            database=database,
            sslmode="verify-full",
            sslrootcert=self.pki.authority.cert,
        )

    @contextlib.contextmanager
    def fresh_database(self, template: str = "template0") -> Iterator[str]:
        """Make a database, empty or from a template, and drop it in the end."""
        name = f"test_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template}")
        try:
            yield name
        finally:
            self.sql(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def running_postgres(pki: Pki, *, fsync: bool = False) -> Iterator[PostgresServer]:
    """Run a cluster of its own for as long as the context lasts."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed; `make setup-test` installs it")
    folder = Path(tempfile.mkdtemp(prefix="bennu-pg-"))
    try:
        server = PostgresServer(folder, pki, fsync=fsync)
        server.start()
        try:
            server.make_roles()
            yield server
        finally:
            with contextlib.suppress(AssertionError):  # a test may have stopped it
                server.stop("immediate")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server(pki: Pki) -> Iterator[PostgresServer]:
    """One cluster for the whole run; do not stop it, see ``own_postgres_server``."""
    with running_postgres(pki) as server:
        yield server


@pytest.fixture
def own_postgres_server(pki: Pki) -> Iterator[PostgresServer]:
    """A cluster for one test, which may do with it what it likes."""
    with running_postgres(pki) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """A database with all tables, to be copied: that takes a tenth of a migration."""
    postgres_server.sql(f"CREATE DATABASE {TEMPLATE} OWNER {OWNER} TEMPLATE template0")
    settings = StorageSettings(
        working_dir=postgres_server.folder,
        dialect="postgresql",
        postgres=postgres_server.settings_for(TEMPLATE),
    )

    async def fill() -> None:
        database = Database(settings, SystemClock())
        await database.start()
        await migrate(database, settings)
        await database.stop()

    asyncio.run(fill())
    return TEMPLATE


@pytest.fixture
def postgres_settings(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[StorageSettings]:
    """Settings for a fresh, empty PostgreSQL database."""
    with postgres_server.fresh_database() as name:
        yield StorageSettings(
            working_dir=tmp_path,
            dialect="postgresql",
            postgres=postgres_server.settings_for(name),
        )


@pytest.fixture
def migrated_postgres_settings(
    postgres_server: PostgresServer, postgres_template: str, tmp_path: Path
) -> Iterator[StorageSettings]:
    """Settings for a fresh PostgreSQL database that has all tables already."""
    with postgres_server.fresh_database(postgres_template) as name:
        yield StorageSettings(
            working_dir=tmp_path,
            dialect="postgresql",
            postgres=postgres_server.settings_for(name),
        )


def with_postgres(settings: StorageSettings, **changes: object) -> StorageSettings:
    """Return the settings with some fields of their PostgreSQL part changed."""
    assert settings.postgres is not None
    return replace(settings, postgres=replace(settings.postgres, **changes))  # type: ignore[arg-type]
