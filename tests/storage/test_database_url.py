"""Database addresses taken apart."""

import pytest

from bennu.storage.database_url import DatabaseUrl, WrongDatabaseUrlError, parse_database_url


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///bennu.db", "bennu.db"),
        ("sqlite:////var/lib/bennu/bennu.db", "/var/lib/bennu/bennu.db"),
        ("sqlite:///:memory:", ":memory:"),
        ("sqlite+aiosqlite:///a b.db", "a b.db"),
        ("SQLite:///x", "x"),
    ],
)
def test_a_file_is_read(text: str, path: str) -> None:
    assert parse_database_url(text) == DatabaseUrl(sqlite_path=path)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "postgresql://ada:p%40ss@db.example.com:6543/traces?sslmode=verify-full&sslrootcert=/ca",
            DatabaseUrl(
                "", "db.example.com", 6543, "ada", "p@ss", "traces",
                {"sslmode": "verify-full", "sslrootcert": "/ca"},
            ),
        ),
        ("postgres://ada@db/x", DatabaseUrl("", "db", 5432, "ada", "", "x")),
        ("postgresql+asyncpg://a:b@[::1]:5/x", DatabaseUrl("", "::1", 5, "a", "b", "x")),
        ("postgresql://a:b/c:d@db/x", DatabaseUrl("", "db", 5432, "a", "b/c:d", "x")),
        ("postgresql:///x", DatabaseUrl("", "localhost", 5432, "", "", "x")),
        ("postgresql://a@/x?host=/run/pg", DatabaseUrl("", "/run/pg", 5432, "a", "", "x")),
    ],
)  # fmt: skip
def test_a_server_is_read(text: str, wanted: DatabaseUrl) -> None:
    found = parse_database_url(text)
    assert {**vars_of(found)} == {**vars_of(wanted)}


def vars_of(url: DatabaseUrl) -> dict[str, object]:
    names = ("sqlite_path", "host", "port", "user", "password", "database")
    return {**{name: getattr(url, name) for name in names}, "options": dict(url.options)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sqlite://",
        "sqlite:///",
        "sqlite:///x?mode=ro",
        "postgresql://a:hunter2@db",
        "postgresql://a:hunter2@db/",
        "postgresql://a:hunter2@db:port/x",
        "postgresql://a:hunter2@db:70000/x",
        "postgresql://a:hunter2@db/x?sslcrldir=/crl",
        "mysql://a:hunter2@db/x",
        "/var/lib/bennu.db",
    ],
)
def test_anything_else_is_refused_without_repeating_a_password(text: str) -> None:
    with pytest.raises(WrongDatabaseUrlError) as caught:
        parse_database_url(text)
    assert "hunter2" not in str(caught.value)
