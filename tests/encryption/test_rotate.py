"""Re-sealing everything online: nothing forgotten, nothing lost, resumable. Spec: 178, 164-170."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Connection, delete, select, update

from bennu.encryption.cipher import Cipher, Keyring, SealError
from bennu.encryption.rotate import (
    Rotation,
    RotationReport,
    count_sealed_values,
    sealed_columns,
)
from bennu.encryption.vault import WrongSecretError, seal_checks, verify_secret
from bennu.kernel.clock import SystemClock
from bennu.storage.database import Database
from bennu.storage.migrate import migrate
from bennu.storage.schema import credentials, metadata, secret_values
from bennu.storage.settings import StorageSettings
from bennu.storage.upsert import upsert_row
from fakes.rotation_process import described
from fakes.sealed_rows import (
    SEALED_COLUMNS,
    SEALED_TABLES,
    expected_texts,
    plant,
    sealed_texts,
)

OLD, NEW = Fernet.generate_key(), Fernet.generate_key()
BEFORE, DURING, AFTER = Cipher(Keyring(OLD)), Cipher(Keyring(NEW, [OLD])), Cipher(Keyring(NEW))
PER_ROW = len(SEALED_COLUMNS)


def no_record(connection: Connection, report: RotationReport) -> None:
    """Stand for an audit trail that nobody looks at."""


async def opened(database: Database, cipher: Cipher) -> dict[tuple[str, object], str]:
    found = await database.read(sealed_texts)
    return {place: cipher.open(sealed).decode() for place, sealed in found.items()}


async def seal_under_old(database: Database, rows_per_table: int) -> None:
    await database.write(lambda c: verify_secret(c, BEFORE))
    await database.write(lambda c: plant(c, BEFORE.seal, rows_per_table))
    await database.write(lambda c: verify_secret(c, DURING))


# --- which columns -------------------------------------------------------------------------


def test_every_marked_column_is_rotated_and_planted_here() -> None:
    marked = {
        str(column)
        for table in metadata.tables.values()
        for column in table.columns
        if column.info.get("sealed")
    }
    assert marked == {str(column) for column in sealed_columns()}
    assert marked == {str(column) for column in SEALED_COLUMNS}
    assert {str(table) for table in SEALED_TABLES} >= {"users", "credentials", "secret_values"}


@pytest.mark.asvs("14.2.4")
async def test_each_sealed_column_holds_nothing_readable(database: Database) -> None:
    await database.write(lambda c: plant(c, BEFORE.seal, 2))
    stored = await database.read(sealed_texts)
    expected = expected_texts(2)
    assert stored.keys() == expected.keys()
    for place, sealed in stored.items():
        assert sealed.startswith(BEFORE.current_key_id + ":gAAAAA")
        assert expected[place] not in sealed
        assert BEFORE.open(sealed).decode() == expected[place]


# --- one run -------------------------------------------------------------------------------


@pytest.mark.asvs("11.2.2")
async def test_a_rotation_reseals_all_and_keeps_every_value(database: Database) -> None:
    await seal_under_old(database, 7)
    told: list[tuple[int, int]] = []
    recorded: list[RotationReport] = []
    rotation = Rotation(
        database, DURING, lambda *at: told.append(at), batch_rows=3, pause_seconds=0
    )
    report = await rotation.run(lambda _, done: recorded.append(done))

    total = 7 * PER_ROW
    assert await opened(database, AFTER) == expected_texts(7)
    assert (report.outdated, report.resealed, report.unopened) == (total, total, 0)
    assert dict(report.values) == {AFTER.current_key_id: total}
    assert report.retired == (BEFORE.current_key_id,)
    assert report.is_complete
    assert recorded == [report]
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


async def test_afterwards_the_old_secret_alone_starts_nothing(database: Database) -> None:
    await seal_under_old(database, 1)
    await Rotation(database, DURING, pause_seconds=0).run(no_record)
    await database.write(lambda c: verify_secret(c, AFTER))
    assert set(await database.read(seal_checks)) == {AFTER.current_key_id}
    with pytest.raises(WrongSecretError):
        await database.write(lambda c: verify_secret(c, BEFORE))


async def test_a_preview_changes_nothing(database: Database) -> None:
    await seal_under_old(database, 2)
    stored = await database.read(sealed_texts)
    report = await Rotation(database, DURING).preview()
    assert report.dry_run
    assert (report.outdated, report.resealed) == (2 * PER_ROW, 0)
    assert dict(report.values) == {BEFORE.current_key_id: 2 * PER_ROW}
    assert not report.is_complete
    assert await database.read(sealed_texts) == stored
    assert len(await database.read(seal_checks)) == 2


async def test_with_nothing_to_do_nothing_is_recorded(database: Database) -> None:
    await database.write(lambda c: verify_secret(c, AFTER))
    await database.write(lambda c: plant(c, AFTER.seal, 2))
    recorded: list[RotationReport] = []
    report = await Rotation(database, DURING).run(lambda _, done: recorded.append(done))
    assert (report.resealed, report.is_complete, recorded) == (0, True, [])


async def test_a_record_that_cannot_be_written_keeps_the_old_key_known(database: Database) -> None:
    await seal_under_old(database, 1)

    def fails(_: Connection, __: RotationReport) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await Rotation(database, DURING, pause_seconds=0).run(fails)
    assert len(await database.read(seal_checks)) == 2
    report = await Rotation(database, DURING, pause_seconds=0).run(no_record)
    assert report.retired == (BEFORE.current_key_id,)


async def test_values_that_cannot_be_opened_are_counted_and_left(database: Database) -> None:
    await seal_under_old(database, 3)
    stranger = Cipher(Keyring(Fernet.generate_key()))
    damaged = f"{BEFORE.current_key_id}:gAAAAAdamaged"
    spoiled = {1: stranger.seal("x"), 2: damaged, 3: "plain text without a key"}

    def spoil(connection: Connection) -> None:
        for number, text in spoiled.items():
            changed = update(secret_values).where(secret_values.c.name == f"row-{number}")
            connection.execute(changed.values(value=text))

    await database.write(spoil)
    report = await Rotation(database, DURING, batch_rows=1, pause_seconds=0).run(no_record)
    assert (report.unopened, report.is_complete) == (3, False)
    assert report.retired == ()
    assert report.values[""] == 1
    assert report.values[stranger.current_key_id] == 1
    assert report.values[BEFORE.current_key_id] == 1
    stored = await database.read(
        lambda c: c.execute(select(secret_values.c.value).order_by("name")).scalars().all()
    )
    assert stored == list(spoiled.values())


async def test_counts_know_every_key(database: Database) -> None:
    await database.write(lambda c: plant(c, BEFORE.seal, 2))
    await database.write(lambda c: plant(c, AFTER.seal, 3, first=10))
    assert await database.read(count_sealed_values) == {
        BEFORE.current_key_id: 2 * PER_ROW,
        AFTER.current_key_id: 3 * PER_ROW,
    }


# --- while others write --------------------------------------------------------------------


class Meddling(Cipher):
    """A cipher that lets somebody else change the row between reading it and replacing it."""

    def __init__(self, keyring: Keyring, meddle: "Meddler") -> None:
        super().__init__(keyring)
        self._meddle: Meddler | None = meddle

    def open(self, sealed: str) -> bytes:
        meddle, self._meddle = self._meddle, None
        if meddle is not None:
            meddle.change_now()
        return super().open(sealed)


class Meddler:
    """Another process, as far as the database can tell: its own connections, its own thread."""

    def __init__(self, settings: StorageSettings, change: str, cipher: Cipher = DURING) -> None:
        self._settings, self._change, self._cipher = settings, change, cipher

    def change_now(self) -> None:
        thread = threading.Thread(target=lambda: asyncio.run(self._write()))
        thread.start()
        thread.join()

    async def _write(self) -> None:
        database = Database(self._settings, SystemClock())
        await database.start()

        def work(connection: Connection) -> None:
            for column in SEALED_COLUMNS:
                changed = update(column.table).values({column: self._cipher.seal(self._change)})
                connection.execute(changed)

        await database.write(work)
        await database.stop()


async def test_a_change_made_between_reading_and_replacing_is_not_lost(
    database: Database, storage_settings: StorageSettings
) -> None:
    await seal_under_old(database, 4)
    meddler = Meddler(storage_settings, "changed meanwhile")
    cipher = Meddling(Keyring(NEW, [OLD]), meddler)
    report = await Rotation(database, cipher, pause_seconds=0).run(no_record)
    assert report.is_complete
    assert set((await opened(database, AFTER)).values()) == {"changed meanwhile"}


class Stubborn(Cipher):
    """Lets a server that has only the old secret seal the same value anew, again and again."""

    def __init__(self, settings: StorageSettings) -> None:
        super().__init__(Keyring(NEW, [OLD]))
        self._settings = settings
        self.opened = 0

    def open(self, sealed: str) -> bytes:
        self.opened += 1
        Meddler(self._settings, "by the old server", BEFORE).change_now()
        return super().open(sealed)


async def test_a_server_that_kept_the_old_secret_is_noticed_and_not_waited_for(
    database: Database, storage_settings: StorageSettings
) -> None:
    await database.write(lambda c: verify_secret(c, BEFORE))
    row = {"value": BEFORE.seal("x"), "created_at": 1, "updated_at": 1}
    await database.write(lambda c: upsert_row(c, secret_values, {"name": "one"}, row))
    cipher = Stubborn(storage_settings)
    report = await Rotation(database, cipher, pause_seconds=0).run(no_record)
    assert cipher.opened == 5
    assert not report.is_complete
    assert report.retired == ()
    assert dict(report.values) == {BEFORE.current_key_id: 1}
    if database.dialect == "sqlite":
        assert report.resealed == 0


async def test_a_busy_database_is_waited_for(sqlite_settings: StorageSettings) -> None:
    database = Database(sqlite_settings, SystemClock(), lock_wait_seconds=0.05)
    await database.start()
    await migrate(database, sqlite_settings)
    await seal_under_old(database, 1)
    assert sqlite_settings.sqlite_path is not None
    other = sqlite3.connect(sqlite_settings.sqlite_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    rotating = asyncio.create_task(Rotation(database, DURING, pause_seconds=0).run(no_record))
    await asyncio.sleep(0.3)
    assert not rotating.done()
    other.execute("COMMIT")
    other.close()
    report = await rotating
    await database.stop()
    assert (report.resealed, report.is_complete) == (PER_ROW, True)


class Writers:
    """Threads that seal, change and delete values while a rotation runs, as servers do."""

    def __init__(self, settings: StorageSettings, writers: int) -> None:
        self._settings, self._writers = settings, writers
        self._over = threading.Event()
        self.expected: dict[str, str | None] = {}
        self.changes = 0
        self.errors: list[BaseException] = []

    def start(self) -> list[threading.Thread]:
        threads = [
            threading.Thread(target=lambda n=number: asyncio.run(self._run(n)))
            for number in range(self._writers)
        ]
        for thread in threads:
            thread.start()
        return threads

    def wait_for(self, changes: int) -> None:
        """Wait until they have made so many changes, however busy the machine is."""
        deadline = time.monotonic() + 60
        while self.changes < changes and not self.errors and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop(self) -> None:
        self._over.set()

    async def _run(self, number: int) -> None:
        database = Database(self._settings, SystemClock())
        await database.start()
        try:
            turn = 0
            while not self._over.is_set():
                await self._change(database, number, turn)
                turn += 1
                await asyncio.sleep(0.002)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.errors.append(error)
        finally:
            await database.stop()

    async def _change(self, database: Database, number: int, turn: int) -> None:
        """Change one row of the writer's own share; every fifth time delete one."""
        name = f"row-{1 + number + self._writers * (turn * 7 % 20)}"
        text = None if turn % 5 == 4 else f"writer {number}, turn {turn}"

        def work(connection: Connection) -> None:
            if text is None:
                connection.execute(delete(secret_values).where(secret_values.c.name == name))
            else:
                values = {"value": DURING.seal(text), "created_at": 1, "updated_at": 2}
                upsert_row(connection, secret_values, {"name": name}, values)
            found = connection.execute(select(credentials.c.digest).limit(20)).scalars()
            for sealed in found:
                DURING.open(sealed)

        await database.write(work)
        self.expected[name] = text
        self.changes += 1


async def test_rotation_beside_writers_loses_nothing(
    database: Database, storage_settings: StorageSettings
) -> None:
    await seal_under_old(database, 60)
    writers = Writers(storage_settings, 3)
    threads = writers.start()
    await asyncio.to_thread(writers.wait_for, 21)
    before = writers.changes
    assert before > 20
    report = await Rotation(database, DURING, batch_rows=5, pause_seconds=0.002).run(no_record)
    during = writers.changes - before
    writers.stop()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert writers.errors == []
    assert during > 0
    assert report.is_complete

    expected: dict[tuple[str, object], str] = dict(expected_texts(60))
    for name, text in writers.expected.items():
        place = (str(secret_values.c.value), name)
        expected.pop(place, None)
        if text is not None:
            expected[place] = text
    assert await opened(database, AFTER) == expected


# --- killed --------------------------------------------------------------------------------


async def _rotate_until_killed(told: dict[str, object], batches: int) -> bool:
    """Start a rotation and kill it after so many batches; whether it came to its end instead."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).parent.parent / "fakes" / "rotation_process.py"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(told).encode())
    process.stdin.close()
    for _ in range(batches):
        if not await process.stdout.readline():
            break
    else:
        process.kill()
    await process.communicate()
    return process.returncode == 0


@pytest.mark.parametrize(
    "values",
    [
        2_000,
        pytest.param(20_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
        pytest.param(100_000, marks=[pytest.mark.soak, pytest.mark.timeout(3_600)]),
    ],
)
async def test_a_rotation_killed_three_times_is_resumed(
    database: Database, storage_settings: StorageSettings, values: int
) -> None:
    rows = -(-values // PER_ROW)
    await seal_under_old(database, rows)
    told: dict[str, object] = {
        "settings": described(storage_settings),
        "current": NEW.decode(),
        "previous": OLD.decode(),
        "batch_rows": max(20, values // 100),
        "pause_seconds": 0.002,
    }
    left = [rows * PER_ROW]
    for _ in range(3):
        assert not await _rotate_until_killed(told, batches=15)
        counts = await database.read(count_sealed_values)
        assert counts.keys() == {BEFORE.current_key_id, AFTER.current_key_id}
        left.append(counts[BEFORE.current_key_id])
        assert sum(counts.values()) == rows * PER_ROW
    assert left == sorted(left, reverse=True)
    assert len(set(left)) == 4
    with pytest.raises(WrongSecretError):
        await database.write(lambda c: verify_secret(c, AFTER))
    assert len(await opened(database, DURING)) == rows * PER_ROW

    report = await Rotation(database, DURING, pause_seconds=0).run(no_record)
    assert report.resealed == left[-1]
    assert await database.read(count_sealed_values) == {AFTER.current_key_id: rows * PER_ROW}
    assert await opened(database, AFTER) == expected_texts(rows)
    await database.write(lambda c: verify_secret(c, AFTER))
    with pytest.raises(SealError):
        await opened(database, BEFORE)
