"""Where the data lies: an embedded SQLite file, or PostgreSQL.

Spec: lines 239-244, 269-271.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bennu.kernel.secret import Secret

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
Dialect = Literal["sqlite", "postgresql"]


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
