"""What a database address says.

Spec: lines 239-244. Source: SQLAlchemy documentation, "Database URLs"; libpq, "Connection URIs".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl, unquote

IN_MEMORY: Final = ":memory:"
SSL_OPTIONS: Final = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl")

_SQLITE: Final = re.compile(r"sqlite(\+[a-z0-9_]+)?:///(?P<path>.+)", re.IGNORECASE)
_POSTGRES: Final = re.compile(
    r"postgres(ql)?(\+[a-z0-9_]+)?://"
    r"((?P<user>[^:@/?]*)(:(?P<password>[^@]*))?@)?"
    r"(\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^/:?@]*))(:(?P<port>[0-9]{1,5}))?"
    r"/(?P<database>[^?/]+)(\?(?P<options>.*))?",
    re.IGNORECASE,
)
_MAX_PORT: Final = 65_535
_DEFAULT_PORT: Final = 5432
_OPTIONS: Final = frozenset({*SSL_OPTIONS, "host"})


class WrongDatabaseUrlError(ValueError):
    """The address cannot be used; the text says what is allowed and repeats no password."""


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The parts of a database address.

    Args:
        sqlite_path: the file, ``:memory:``, or "" for PostgreSQL.
        options: options of TLS by their libpq names.
    """

    sqlite_path: str = ""
    host: str = ""
    port: int = _DEFAULT_PORT
    user: str = ""
    password: str = ""
    database: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


def parse_database_url(text: str) -> DatabaseUrl:
    """Take a database address apart.

    Raises:
        WrongDatabaseUrlError: it is none of the two forms, or holds an option without meaning.
    """
    if text.lower().startswith("sqlite"):
        return _parse_sqlite(text)
    match = _POSTGRES.fullmatch(text)
    if match is None:
        raise WrongDatabaseUrlError(
            "sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/DATABASE; special characters "
            "of the password percent-encoded"
        )
    options = _options_of(match["options"] or "")
    port = int(match["port"] or _DEFAULT_PORT)
    if not 0 < port <= _MAX_PORT:
        raise WrongDatabaseUrlError("a port from 1 to 65535")
    host = match["ipv6"] or match["host"] or options.get("host") or "localhost"
    return DatabaseUrl(
        host=host,
        port=port,
        user=unquote(match["user"] or ""),
        password=unquote(match["password"] or ""),
        database=unquote(match["database"]),
        options=MappingProxyType({k: v for k, v in options.items() if k in SSL_OPTIONS}),
    )


def _parse_sqlite(text: str) -> DatabaseUrl:
    match = _SQLITE.fullmatch(text)
    if match is None or "?" in match["path"]:
        raise WrongDatabaseUrlError("sqlite:///PATH, or sqlite:///:memory:, without options")
    return DatabaseUrl(sqlite_path=match["path"])


def _options_of(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(options) - _OPTIONS)
    if unknown:
        raise WrongDatabaseUrlError(
            f"no other options than {', '.join(sorted(_OPTIONS))}; {', '.join(unknown)} is none"
        )
    return options
