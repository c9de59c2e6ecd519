import sqlite3

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bennu.kernel.errors import UnavailableError
from bennu.storage.failures import connection_failures, database_failure, database_failures


class ServerError(Exception):
    """Has what asyncpg's errors have."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("what the server said")
        self.sqlstate = sqlstate


def sqlite_error(code: int, name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("what the file said")
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    return error


@pytest.mark.parametrize(
    ("code", "is_busy"),
    [
        (sqlite3.SQLITE_BUSY, True),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, True),
        (sqlite3.SQLITE_FULL, False),
        (sqlite3.SQLITE_READONLY_DBMOVED, False),
        (sqlite3.SQLITE_IOERR_FSYNC, False),
        (sqlite3.SQLITE_CANTOPEN, False),
        (sqlite3.SQLITE_CORRUPT, False),
    ],
)
def test_what_sqlite_says_when_it_cannot(code: int, is_busy: bool) -> None:
    failure = database_failure(sqlite_error(code, "NAME"))
    assert failure is not None
    assert failure.busy is is_busy
    assert "what the file said" in failure.detail
    assert "what the file said" not in failure.public
    assert failure.retry_after_seconds


@pytest.mark.parametrize("code", [sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT_UNIQUE])
def test_our_own_mistakes_on_sqlite_are_none(code: int) -> None:
    assert database_failure(sqlite_error(code, "NAME")) is None
    assert database_failure(sqlite3.ProgrammingError("closed")) is None


@pytest.mark.parametrize(
    "state", ["08006", "28P01", "3D000", "40P01", "53100", "57P01", "58030", "25006", "55P03"]
)
def test_what_postgresql_says_when_it_cannot(state: str) -> None:
    for error in (ServerError(state), OperationalError("SELECT 1", {}, ServerError(state))):
        failure = database_failure(error)
        assert failure is not None
        assert state in failure.detail


@pytest.mark.parametrize("state", ["42P01", "22021", "25P02"])
def test_our_own_mistakes_on_postgresql_are_none(state: str) -> None:
    assert database_failure(DBAPIError("SELECT 1", {}, ServerError(state))) is None


def test_a_lost_connection_is_one() -> None:
    lost = DBAPIError("SELECT 1", {}, Exception("gone"), connection_invalidated=True)
    assert database_failure(lost) is not None


def test_a_pool_without_a_free_connection_is_one() -> None:
    with pytest.raises(UnavailableError), database_failures():
        raise PoolTimeoutError("QueuePool limit")


def test_integrity_errors_pass_through() -> None:
    with pytest.raises(IntegrityError), connection_failures():
        raise IntegrityError("INSERT", {}, ServerError("23505"))


@pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError(), OSError("no route")])
def test_the_network_is_away_only_where_there_is_one(error: OSError) -> None:
    with pytest.raises(UnavailableError), connection_failures():
        raise error
    with pytest.raises(type(error), match=str(error) or "^$"), database_failures():
        raise error
