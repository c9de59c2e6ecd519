"""deploy/compose.yaml without an engine: its secrets, its PostgreSQL and its environment, for real.

Files lie elsewhere here than inside containers, and the database has another name; everything else
is what the files say: deploy/make-secrets.sh, the options of the command, deploy/pg_hba.conf.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from bennu.cli.main import main
from peers.postgres import binaries
from started import StartedServer, free_port

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
PHOENIX, DATABASE = COMPOSE["services"]["phoenix"], COMPOSE["services"]["database"]
#: PostgreSQL refuses to run as root.
POSTGRES_USER = "postgres" if os.geteuid() == 0 else None

needs_postgres = pytest.mark.skipif(
    binaries() is None, reason="PostgreSQL is not installed: make setup-test"
)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    script = ["bash", str(ROOT / "deploy" / "make-secrets.sh"), str(folder)]
    subprocess.run(script, check=True, capture_output=True)
    again = subprocess.run(script, check=False, capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (1, f"{folder} exists and is left as it is\n")
    return folder


@pytest.fixture(scope="module")
def database(secrets: Path) -> Iterator["ComposedDatabase"]:
    # A short path: a socket lies in it.
    with tempfile.TemporaryDirectory() as folder:
        started = ComposedDatabase(Path(folder), secrets)
        try:
            yield started
        finally:
            started.run("pg_ctl", "-D", str(started.data), "-m", "immediate", "stop")


class ComposedDatabase:
    """PostgreSQL as the service ``database`` starts it."""

    def __init__(self, folder: Path, secrets: Path) -> None:
        found = binaries()
        assert found is not None
        self._bin, self.folder, self.data, self.port = found, folder, folder / "data", free_port()
        self.own(folder, 0o700)
        for name in DATABASE["secrets"]:
            shutil.copyfile(secrets / name, folder / name)
            self.own(folder / name, 0o400)
        settings = DATABASE["environment"]
        password = settings["POSTGRES_PASSWORD_FILE"].replace("/run/database", str(folder))
        self.run(
            *("initdb", "-D", str(self.data), "-U", settings["POSTGRES_USER"], "--no-sync"),
            *("--pwfile", password, *settings["POSTGRES_INITDB_ARGS"].split()),
        )
        options = [
            option.replace("/run/database", str(folder)).replace(
                "/etc/postgresql/pg_hba.conf", str(self.installed_hba())
            )
            for option in DATABASE["command"][1:]
        ]
        places = f"-k {folder} -p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.run(
            *("pg_ctl", "-D", str(self.data), "-w", "-l", str(folder / "log")),
            *("-o", f"{' '.join(options)} {places}", "start"),
        )
        self.psql("postgres", "create database phoenix", host=str(folder))

    def installed_hba(self) -> Path:
        copy = self.folder / "pg_hba.conf"
        shutil.copyfile(ROOT / "deploy" / "pg_hba.conf", copy)
        self.own(copy, 0o400)
        return copy

    def own(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        if POSTGRES_USER is not None:
            shutil.chown(path, POSTGRES_USER, POSTGRES_USER)

    def attempt(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._bin / command[0], *command[1:]],
            cwd="/",
            user=POSTGRES_USER,
            group=POSTGRES_USER,
            extra_groups=None if POSTGRES_USER is None else [],
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def run(self, *command: str, **env: str) -> str:
        done = self.attempt(*command, **env)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def psql(self, database: str, sql: str, host: str = "127.0.0.1", **env: str) -> str:
        password = (self.folder / "database_password").read_text()
        who = ("-h", host, "-p", str(self.port), "-U", "phoenix", "-d", database)
        done = self.attempt("psql", "-XAqt", *who, "-c", sql, PGPASSWORD=password, **env)
        return done.stdout


def environment(secrets: Path) -> dict[str, str]:
    """The environment of the service ``phoenix``, with the secrets where they lie here."""
    values = PHOENIX["environment"].items()
    return {
        name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value).replace("/run/secrets", str(secrets))
        for name, value in values
    }


def test_the_secrets_are_strong_private_and_different(secrets: Path) -> None:
    assert {path.name for path in secrets.iterdir()} == set(COMPOSE["secrets"])
    assert secrets.stat().st_mode & 0o777 == 0o700
    drawn = [(secrets / name).read_text() for name in ("phoenix_secret", "database_password")]
    assert all(re.fullmatch(r"[0-9a-f]{64}", text) for text in drawn)
    assert len({*drawn, (secrets / "admin_password").read_text()}) == 3
    # What verify-full asks for inside the network of compose.
    named = ["openssl", "verify", "-verify_hostname", "database", "-CAfile"]
    subprocess.run([*named, secrets / "database_ca", secrets / "database_cert"], check=True)


def test_the_environment_passes_the_check(secrets: Path, tmp_path: Path) -> None:
    file = tmp_path / "phoenix.env"
    lines = {**environment(secrets), "PHOENIX_WORKING_DIR": str(tmp_path)}
    file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    done = CliRunner().invoke(main, ["config", "check", "--env-file", str(file)])
    assert done.exit_code == 0, done.output
    assert "settings are good, 0 warnings" in done.output


@needs_postgres
def test_the_database_speaks_tls_only_and_wants_the_password(database: ComposedDatabase) -> None:
    authority = {"PGSSLROOTCERT": str(database.folder / "database_ca")}
    secured = database.psql("phoenix", "select ssl from pg_stat_ssl where pid=pg_backend_pid()")
    assert secured == "t\n"
    assert "rejects connection" in database.psql("phoenix", "select 1", PGSSLMODE="disable")
    assert "no pg_hba.conf entry" in database.psql("postgres", "select 1", PGSSLMODE="require")
    verified = database.psql("phoenix", "select 1", PGSSLMODE="verify-full", **authority)
    # It is made out to its name in the network of compose, not to this machine.
    assert "127.0.0.1" in verified
    wrong = database.attempt(
        *("psql", "-h", str(database.folder), "-p", str(database.port)),
        *("-U", "phoenix", "phoenix", "-c", "select 1"),
        PGPASSWORD="wrong",
    )
    assert "password authentication failed" in wrong.stdout


@needs_postgres
def test_the_check_of_the_database_finds_it_ready(database: ComposedDatabase) -> None:
    kind, *command = DATABASE["healthcheck"]["test"]
    assert kind == "CMD"
    database.run(*command, f"--port={database.port}")


@needs_postgres
def test_bennu_starts_on_it_with_the_environment_of_the_service(
    database: ComposedDatabase, secrets: Path, tmp_path: Path
) -> None:
    env = environment(secrets)
    assert env.pop("PHOENIX_POSTGRES_HOST") == "database"
    server = StartedServer(
        tmp_path,
        {
            "PHOENIX_SECRET": "",
            "PHOENIX_ADMIN_SECRET": "",
            "PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD": "",
            **env,
            # The name that the certificate is made out to leads to another machine here.
            "PHOENIX_POSTGRES_HOST": "127.0.0.1",
            "PHOENIX_POSTGRES_PORT": str(database.port),
            "PHOENIX_POSTGRES_SSLMODE": "verify-ca",
        },
    )
    with server:
        first = server.sign_in(password=(secrets / "admin_password").read_text())
        assert first.get("/v1/user").status_code == 200
    said = database.psql("phoenix", "select count(*) > 0 from users")
    assert said == "t\n"
