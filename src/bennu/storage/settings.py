"""Where the data lies: an embedded SQLite file, or PostgreSQL.

Spec: lines 239-244, 269-271.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from bennu.kernel.env import Env, Variable
from bennu.kernel.secret import Secret
from bennu.storage.database_url import (
    IN_MEMORY,
    SSL_OPTIONS,
    DatabaseUrl,
    WrongDatabaseUrlError,
    parse_database_url,
)

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
Dialect = Literal["sqlite", "postgresql"]

_AZURE_SCOPE: Final = "https://ossrdbms-aad.database.windows.net/.default"
_URL: Final = "PHOENIX_SQL_DATABASE_URL"

VARIABLES: Final = (
    Variable(
        "PHOENIX_WORKING_DIR",
        "path",
        "~/.bennu",
        "The folder of the database file, of key files and sockets. It is not `~/.phoenix`, so "
        "that a database of Arize Phoenix is never touched.",
    ),
    Variable(
        _URL,
        "URL",
        "sqlite:///{PHOENIX_WORKING_DIR}/bennu.db",
        "`sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, with `sslmode`, "
        "`sslrootcert`, `sslcert`, `sslkey`, `sslpassword`, `sslcrl` as libpq means them; wins "
        "over PHOENIX_POSTGRES_*.",
        239,
        secret=True,
    ),
    Variable("PHOENIX_POSTGRES_HOST", "text", "", "The PostgreSQL server.", 239),
    Variable("PHOENIX_POSTGRES_PORT", "whole number", "5432", "Its port, 1 to 65535."),
    Variable("PHOENIX_POSTGRES_USER", "text", "", "The user at PostgreSQL."),
    Variable(
        "PHOENIX_POSTGRES_PASSWORD", "text", "", "The password of that user.", 247, secret=True
    ),
    Variable("PHOENIX_POSTGRES_DB", "text", "postgres", "The database at PostgreSQL."),
    Variable(
        "PHOENIX_POSTGRES_SSLMODE",
        " or ".join(SSL_MODES),
        "prefer",
        "Whether the connection to PostgreSQL is encrypted and the server's certificate checked.",
        268,
    ),
    Variable(
        "PHOENIX_POSTGRES_SSLROOTCERT", "file", "", "The authorities that PostgreSQL's is one of."
    ),
    Variable("PHOENIX_POSTGRES_SSLCERT", "file", "", "The client certificate for PostgreSQL."),
    Variable("PHOENIX_POSTGRES_SSLKEY", "file", "", "Its private key."),
    Variable("PHOENIX_POSTGRES_SSLPASSWORD", "text", "", "The password of that key.", secret=True),
    Variable("PHOENIX_POSTGRES_SSLCRL", "file", "", "Certificates that are revoked."),
    Variable(
        "PHOENIX_POSTGRES_USE_AWS_IAM_AUTH",
        "flag",
        "false",
        "Whether a fresh IAM token is the password of every connection (RDS).",
        241,
    ),
    Variable(
        "PHOENIX_POSTGRES_USE_AZURE_MANAGED_IDENTITY",
        "flag",
        "false",
        "Whether the token of a managed identity is the password (Azure).",
    ),
    Variable("PHOENIX_POSTGRES_AZURE_SCOPE", "text", _AZURE_SCOPE, "What that token is asked for."),
    Variable(
        "PHOENIX_SQL_DATABASE_SCHEMA",
        "text",
        "",
        "The PostgreSQL schema to live in; created when it is missing.",
    ),
    Variable("PHOENIX_LOG_SQL", "flag", "false", "Whether statements are logged."),
    Variable("PHOENIX_LOG_MIGRATIONS", "flag", "true", "Whether migrations are logged."),
    Variable(
        "PHOENIX_DANGEROUSLY_DISABLE_MIGRATIONS",
        "flag",
        "false",
        "Whether the server starts without bringing the tables up to date.",
    ),
)

_SCHEMA: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}")
_MAX_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """How to reach PostgreSQL; the TLS fields mean what libpq means by them."""

    host: str
    port: int
    user: str
    password: Secret | None
    database: str
    sslmode: str = "prefer"
    sslrootcert: Path | None = None
    sslcert: Path | None = None
    sslkey: Path | None = None
    sslpassword: Secret | None = None
    sslcrl: Path | None = None
    use_aws_iam_auth: bool = False
    use_azure_managed_identity: bool = False
    azure_scope: str = ""


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """The working folder and the database.

    Args:
        working_dir: for the embedded database, key files and sockets.
        dialect: which of the two.
        sqlite_path: the file; None with the dialect sqlite means in memory.
        postgres: given with the dialect postgresql.
        schema: PostgreSQL schema to live in, created when it is missing.
        migrations_disabled: start without bringing the tables up to date.
    """

    working_dir: Path
    dialect: Dialect = "sqlite"
    sqlite_path: Path | None = None
    postgres: PostgresSettings | None = None
    schema: str | None = None
    log_sql: bool = False
    log_migrations: bool = True
    migrations_disabled: bool = False

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read folder and database; nothing is created or connected to."""
        working_dir = _read_working_dir(env)
        url = _read_url(env)
        postgres = _read_postgres(env, url)
        settings = cls(
            working_dir=working_dir,
            dialect="sqlite" if postgres is None else "postgresql",
            sqlite_path=_sqlite_path(url, working_dir) if postgres is None else None,
            postgres=postgres,
            schema=_read_schema(env),
            log_sql=env.flag("PHOENIX_LOG_SQL", default=False),
            log_migrations=env.flag("PHOENIX_LOG_MIGRATIONS", default=True),
            migrations_disabled=env.flag("PHOENIX_DANGEROUSLY_DISABLE_MIGRATIONS", default=False),
        )
        if settings.schema is not None and settings.dialect == "sqlite":
            env.warn("PHOENIX_SQL_DATABASE_SCHEMA", "has no effect on SQLite")
        return settings


def _read_working_dir(env: Env) -> Path:
    path = Path(env.text("PHOENIX_WORKING_DIR", "~/.bennu"))
    try:
        path = path.expanduser()
        is_usable = path.is_dir() or not path.exists()
    except (OSError, RuntimeError):
        is_usable = False
    if not is_usable:
        env.refuse("PHOENIX_WORKING_DIR", "a folder that exists or can be made")
    return path.absolute()


def _read_url(env: Env) -> DatabaseUrl | None:
    url = env.secret(_URL)
    if url is None:
        return None
    try:
        return parse_database_url(url.reveal())
    except WrongDatabaseUrlError as error:
        env.refuse(_URL, str(error), secret=True)
        return None


def _sqlite_path(url: DatabaseUrl | None, working_dir: Path) -> Path | None:
    if url is None:
        return working_dir / "bennu.db"
    return None if url.sqlite_path == IN_MEMORY else Path(url.sqlite_path)


def _read_schema(env: Env) -> str | None:
    schema = env.optional("PHOENIX_SQL_DATABASE_SCHEMA")
    if schema is None or _SCHEMA.fullmatch(schema):
        return schema
    env.refuse("PHOENIX_SQL_DATABASE_SCHEMA", "letters, digits and _, at most 63 characters")
    return None


def _read_postgres(env: Env, url: DatabaseUrl | None) -> PostgresSettings | None:
    """Read PostgreSQL from the address, else from the single variables; None means SQLite."""
    single = _read_single_variables(env)
    if url is not None and url.sqlite_path:
        return None
    found = single if url is None else _from_url(env, url)
    if found is not None:
        _check_postgres(env, found, _URL if url is not None else "PHOENIX_POSTGRES_PASSWORD")
    return found


def _from_url(env: Env, url: DatabaseUrl) -> PostgresSettings:
    options, files = url.options, {}
    if options.get("sslmode", "prefer") not in SSL_MODES:
        env.refuse(_URL, f"sslmode: {' or '.join(SSL_MODES)}", secret=True)
        options = {**options, "sslmode": "prefer"}
    for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl"):
        path = Path(options[name]) if options.get(name) else None
        if path is not None and not _is_readable_file(path):
            env.refuse(_URL, f"{name}: an existing, readable file", secret=True)
        files[name] = path
    return _postgres_of(env, url, options, files)


def _postgres_of(
    env: Env, url: DatabaseUrl, options: Mapping[str, str], files: Mapping[str, Path | None]
) -> PostgresSettings:
    uses_aws, uses_azure = _read_cloud_identities(env)
    ssl_password = options.get("sslpassword")
    return PostgresSettings(
        host=url.host,
        port=url.port,
        user=url.user,
        password=Secret(url.password) if url.password else None,
        database=url.database,
        sslmode=_forced_ssl_mode(options.get("sslmode", "prefer"), uses_aws or uses_azure),
        sslrootcert=files["sslrootcert"],
        sslcert=files["sslcert"],
        sslkey=files["sslkey"],
        sslpassword=Secret(ssl_password) if ssl_password else None,
        sslcrl=files["sslcrl"],
        use_aws_iam_auth=uses_aws,
        use_azure_managed_identity=uses_azure,
        azure_scope=env.text("PHOENIX_POSTGRES_AZURE_SCOPE", _AZURE_SCOPE),
    )


def _read_cloud_identities(env: Env) -> tuple[bool, bool]:
    return (
        env.text("PHOENIX_POSTGRES_USE_AWS_IAM_AUTH").lower() == "true",
        env.text("PHOENIX_POSTGRES_USE_AZURE_MANAGED_IDENTITY").lower() == "true",
    )


def _forced_ssl_mode(mode: str, is_forced: bool) -> str:  # noqa: FBT001 - a plain condition
    """A token is a password: it never travels unencrypted."""
    return "require" if is_forced and mode in {"allow", "prefer"} else mode


def _is_readable_file(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except (OSError, ValueError):
        return path == Path("system")


def _read_single_variables(env: Env) -> PostgresSettings | None:
    """Read ``PHOENIX_POSTGRES_*``; every one is checked even when the address wins."""
    prefix = "PHOENIX_POSTGRES_"
    host, user = env.text(f"{prefix}HOST"), env.text(f"{prefix}USER")
    for name in ("USE_AWS_IAM_AUTH", "USE_AZURE_MANAGED_IDENTITY"):
        env.flag(prefix + name, default=False)
    password = env.secret(f"{prefix}PASSWORD")
    ssl_password = env.secret(f"{prefix}SSLPASSWORD")
    files = {
        name: Path("system")
        if env.text(prefix + name.upper()) == "system"
        else env.file(prefix + name.upper())
        for name in SSL_OPTIONS
        if name not in {"sslmode", "sslpassword"}
    }
    options = {
        "sslmode": env.choice(f"{prefix}SSLMODE", "prefer", SSL_MODES),
        "sslpassword": ssl_password.reveal() if ssl_password else "",
    }
    port = _read_postgres_port(env)
    if not host:
        return None
    if not user and not env.is_set(_URL):
        env.refuse(f"{prefix}USER", "set, because PHOENIX_POSTGRES_HOST is set")
    url = DatabaseUrl(
        host=host,
        port=port,
        user=user,
        password=password.reveal() if password else "",
        database=env.text(f"{prefix}DB", "postgres"),
    )
    return _postgres_of(env, url, options, files)


def _read_postgres_port(env: Env) -> int:
    name = "PHOENIX_POSTGRES_PORT"
    if env.text(name).startswith("tcp://"):
        env.refuse(
            name,
            "a whole number from 1 to 65535; Kubernetes sets this variable for a service named "
            "phoenix-postgres: rename the service, or set `enableServiceLinks: false`",
        )
        return 5432
    return env.whole(name, 5432, 1, _MAX_PORT)


def _check_postgres(env: Env, postgres: PostgresSettings, password_name: str) -> None:
    """Check what belongs together; ``password_name`` is where the password would stand."""
    aws, azure = "PHOENIX_POSTGRES_USE_AWS_IAM_AUTH", "PHOENIX_POSTGRES_USE_AZURE_MANAGED_IDENTITY"
    if postgres.use_aws_iam_auth and postgres.use_azure_managed_identity:
        env.refuse(azure, f"false, because {aws} is true")
    identity = aws if postgres.use_aws_iam_auth else azure
    uses_token = postgres.use_aws_iam_auth or postgres.use_azure_managed_identity
    if uses_token and postgres.password is not None:
        env.refuse(password_name, f"no password, because {identity} is true", secret=True)
    if uses_token and postgres.sslmode == "disable":
        env.refuse(identity, "with TLS only: sslmode must not be disable")
    has_password = postgres.password is not None or env.is_set("PHOENIX_POSTGRES_PASSWORD")
    is_single = password_name != _URL
    if is_single and not uses_token and not has_password and postgres.sslcert is None:
        env.refuse(password_name, "set, because PHOENIX_POSTGRES_HOST is set", secret=True)
    if not postgres.user and not is_single:
        env.refuse(_URL, "postgresql://USER:…@HOST/DATABASE with a user", secret=True)
    if is_single and postgres.use_azure_managed_identity and not env.is_set("PHOENIX_POSTGRES_DB"):
        env.refuse("PHOENIX_POSTGRES_DB", f"set, because {azure} is true")
