"""``bennu audit``: shapes that scripts rely on. Spec: lines 256-260."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, delete, select, update

from bennu.access import SERVER, Caller
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.cli.main import main
from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.vault import Vault, verify_secret
from bennu.kernel.clock import SystemClock
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.migrate import migrate
from bennu.storage.schema import audit_events
from bennu.storage.settings import StorageSettings

SECRET = "0123456789abcdef0123456789abcdef"
RECORDS = 30


class Place:
    """A folder with a database that has a trail, and an env file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.database_path = folder, folder / "bennu.db"
        self.env_file = folder / "bennu.env"
        url = f"sqlite:///{self.database_path}"
        self.env_file.write_text(f"PHOENIX_SECRET={SECRET}\nPHOENIX_SQL_DATABASE_URL={url}\n")
        self.env_file.chmod(0o600)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["audit", *arguments, "--env-file", str(self.env_file)])

    def change(self, work: Callable[[Connection], Any]) -> Any:
        async def run() -> Any:
            settings = StorageSettings(self.folder, sqlite_path=self.database_path)
            database = Database(settings, SystemClock())
            await database.start()
            await migrate(database, settings)
            done = await database.write(work)
            await database.stop()
            return done

        return asyncio.run(run())

    def fill(self) -> None:
        async def run() -> None:
            settings = StorageSettings(self.folder, sqlite_path=self.database_path)
            database = Database(settings, SystemClock())
            await database.start()
            await migrate(database, settings)
            vault = Vault(
                Cipher(Keyring.from_secrets(Secret(SECRET))), SystemClock(), SystemEntropy()
            )
            await database.write(lambda c: verify_secret(c, vault.cipher))
            audit = AuditLog(database, SystemClock(), SystemEntropy(), vault)
            await audit.start()
            for number in range(RECORDS):
                name = EventName.USER_CREATED if number % 2 else EventName.USER_CHANGED
                event = AuditEvent(name, target=Target("user", str(number), "a\nb"))
                await audit.note(event, Caller(SERVER))
            await database.stop()

        asyncio.run(run())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.fill()
    return place


def records_of(done: Result) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_whole_trail_verifies(place: Place) -> None:
    done = place.run("verify", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "ok": True,
        "records": RECORDS,
        "first_bad_sequence": None,
        "reason": None,
    }
    assert f"whole: {RECORDS} records" in place.run("verify").stdout


def test_a_broken_trail_is_status_1_and_names_the_record(place: Place) -> None:
    place.change(
        lambda c: c.execute(
            update(audit_events).where(audit_events.c.sequence == 7).values(outcome="failed")
        )
    )
    done = place.run("verify", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "ok": False,
        "records": 6,
        "first_bad_sequence": 7,
        "reason": "changed",
    }
    assert "from record 7 on" in place.run("verify").stdout
    place.change(lambda c: c.execute(delete(audit_events).where(audit_events.c.sequence == 3)))
    assert json.loads(place.run("verify", "--json").stdout)["reason"] == "removed"


def test_tail_prints_the_newest_and_is_recorded(place: Place) -> None:
    records = records_of(place.run("tail", "-n", "5"))
    assert [record["sequence"] for record in records] == list(range(RECORDS - 4, RECORDS + 1))
    assert records[0]["target"]["name"] == "a\nb"
    newest = place.change(
        lambda c: c.execute(
            select(audit_events.c.event, audit_events.c.actor_kind).order_by(
                audit_events.c.sequence.desc()
            )
        ).first()
    )
    assert tuple(newest) == ("audit.read", "console")


def test_export_prints_what_was_asked_for(place: Place) -> None:
    everything = records_of(place.run("export"))
    assert [record["sequence"] for record in everything] == list(range(1, RECORDS + 2))
    created = records_of(place.run("export", "--event", "user.created"))
    assert {record["event"] for record in created} == {"user.created"}
    assert len(created) == RECORDS // 2
    assert records_of(place.run("export", "--end", "2020-01-01")) == []
    assert len(records_of(place.run("export", "--start", "2020-01-01T00:00:00+0200"))) > RECORDS


def test_a_wrong_secret_is_refused(place: Place) -> None:
    url = f"sqlite:///{place.database_path}"
    text = f"PHOENIX_SECRET={'x1' * 20}\nPHOENIX_SQL_DATABASE_URL={url}\n"
    place.env_file.write_text(text)
    for command in ("verify", "tail", "export"):
        done = place.run(command)
        assert done.exit_code == 1, command
        assert "PHOENIX_SECRET" in done.stderr
        assert done.stdout == ""
