import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from bennu.storage.sqlite_connection import (
    driver_of,
    make_private_file,
    reader_engine,
    writer_engine,
)


def test_an_existing_file_loses_the_access_of_others(tmp_path: Path) -> None:
    path = tmp_path / "bennu.db"
    for name in ("bennu.db", "bennu.db-wal", "bennu.db-shm"):
        (tmp_path / name).touch(0o644)
        (tmp_path / name).chmod(0o644)
    make_private_file(path)
    assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o600}


def test_an_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o755)
    make_private_file(folder / "bennu.db")
    assert folder.stat().st_mode & 0o777 == 0o755
    assert (folder / "bennu.db").stat().st_mode & 0o777 == 0o600


def test_a_transaction_of_the_writer_takes_the_lock_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "bennu.db")
    with writer_engine(path, 1).connect() as first, first.begin():
        assert driver_of(first).in_transaction
        with sqlite3.connect(path, timeout=0) as other, pytest.raises(sqlite3.OperationalError):
            other.execute("BEGIN IMMEDIATE")
        other.close()


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    path = str(tmp_path / "bennu.db")
    with writer_engine(path, 1).begin() as writer:
        writer.execute(text("CREATE TABLE t (x)"))
    with reader_engine(path, 1).connect() as reader, pytest.raises(Exception, match="readonly"):
        reader.execute(text("INSERT INTO t VALUES (1)"))


def test_values_stay_out_of_error_texts(tmp_path: Path) -> None:
    path = str(tmp_path / "bennu.db")
    with (
        writer_engine(path, 1).connect() as writer,
        pytest.raises(Exception, match="no such table") as caught,
    ):
        writer.execute(text("INSERT INTO t VALUES (:x)"), {"x": "a-secret-value"})
    assert "a-secret-value" not in str(caught.value)


def test_driver_of_refuses_another_database() -> None:
    class NotSqlite:
        class connection:  # noqa: N801 - the shape of SQLAlchemy's connection
            driver_connection = object()

    with pytest.raises(TypeError):
        driver_of(NotSqlite())  # type: ignore[arg-type]
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        assert isinstance(driver_of(connection), sqlite3.Connection)
    engine.dispose()
