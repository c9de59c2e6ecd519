"""``bennu audit``: shapes that scripts rely on. Spec: lines 256-260."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, delete, insert, select, update

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
from bennu.storage.schema import audit_checkpoints, audit_events, audit_head
from bennu.storage.settings import StorageSettings

SECRET = "0123456789abcdef0123456789abcdef"
RECORDS = 30


class Place:
    """A folder with a database that has a trail, and an env file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.database_path = folder, folder / "bennu.db"
        folder.mkdir(exist_ok=True)
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

    def fill(self, records: int = RECORDS) -> None:
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
            for number in range(records):
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


# --- what vouches for the end of the trail ----------------------------------------------------


class Saved:
    """The rows that say how long the trail is, as an intruder could copy and put them back."""

    def __init__(self, place: Place) -> None:
        self._place = place
        tables = (audit_head, audit_checkpoints)
        self._rows = place.change(
            lambda c: [(t, c.execute(select(t)).mappings().all()) for t in tables]
        )

    def put_back(self) -> None:
        def work(connection: Connection) -> None:
            for table, rows in self._rows:
                connection.execute(delete(table))
                if rows:
                    connection.execute(insert(table), [dict(row) for row in rows])

        self._place.change(work)


def cut_after(place: Place, sequence: int) -> None:
    place.change(
        lambda c: c.execute(delete(audit_events).where(audit_events.c.sequence > sequence))
    )


def checkpoint_of(place: Place, name: str) -> tuple[Path, Path]:
    """Export a checkpoint and the public key into files; return both."""
    kept, public = place.folder / f"{name}.json", place.folder / f"{name}.pem"
    done = place.run("checkpoint", "--public-key", str(public))
    assert done.exit_code == 0, done.output
    kept.write_text(done.stdout)
    return kept, public


def verified(place: Place, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = place.run("verify", "--json", *arguments)
    return done.exit_code, json.loads(done.stdout)


def test_a_checkpoint_is_exported_and_fits_the_trail_it_came_from(place: Place) -> None:
    kept, public = checkpoint_of(place, "kept")
    document = json.loads(kept.read_text())
    assert document.keys() == {"sequence", "chain_hash", "time_utc", "signature", "public_key"}
    assert document["sequence"] == RECORDS
    assert document["public_key"] == public.read_text()
    place.fill()  # the trail goes on
    for arguments in ((), ("--checkpoint", kept), ("--checkpoint", kept, "--public-key", public)):
        status, finding = verified(place, *map(str, arguments))
        assert (status, finding["ok"], finding["records"]) == (0, True, 2 * RECORDS)


def test_a_cut_tail_is_found_by_the_head(place: Place) -> None:
    cut_after(place, 20)
    assert verified(place) == (
        1,
        {"ok": False, "records": 20, "first_bad_sequence": 21, "reason": "tail_removed"},
    )


def test_a_tail_cut_with_head_and_checkpoints_needs_the_exported_checkpoint(place: Place) -> None:
    """An intruder puts the whole database back to an earlier state; all of it fits together."""
    earlier = Saved(place)
    place.fill()
    kept, public = checkpoint_of(place, "kept")
    cut_after(place, RECORDS)
    earlier.put_back()
    assert verified(place) == (
        0,
        {"ok": True, "records": RECORDS, "first_bad_sequence": None, "reason": None},
    )
    for arguments in (("--checkpoint", kept), ("--checkpoint", kept, "--public-key", public)):
        status, finding = verified(place, *map(str, arguments))
        assert (status, finding["reason"]) == (1, "tail_removed")
        assert finding["first_bad_sequence"] == RECORDS + 1
    # Also when the trail has grown beyond that place again.
    place.fill()
    place.fill()
    status, finding = verified(place, "--checkpoint", str(kept))
    assert (status, finding["reason"]) == (1, "checkpoint_differs")
    assert finding["first_bad_sequence"] == 2 * RECORDS
    assert "checkpoint_differs" in place.run("verify", "--checkpoint", str(kept)).stdout


def test_a_checkpoint_of_somebody_else_vouches_for_nothing(place: Place, tmp_path: Path) -> None:
    kept, _ = checkpoint_of(place, "kept")
    forged = json.loads(kept.read_text())
    forged["sequence"] -= 1
    kept.write_text(json.dumps(forged))
    assert verified(place, "--checkpoint", str(kept))[1]["reason"] == "checkpoint_forged"

    other = Place(tmp_path / "other")
    other.fill()
    foreign, foreign_public = checkpoint_of(other, "foreign")
    # With the key that was kept elsewhere, another server's key in the database does not count.
    assert verified(place, "--checkpoint", str(foreign))[1]["reason"] == "checkpoint_forged"
    finding = verified(place, "--public-key", str(foreign_public))[1]
    assert finding["reason"] == "checkpoint_changed"


def test_what_is_no_checkpoint_or_key_is_wrong_usage(place: Place) -> None:
    nothing = place.folder / "nothing"
    nothing.write_text("hello")
    for option in ("--checkpoint", "--public-key"):
        done = place.run("verify", option, str(nothing))
        assert done.exit_code == 2
        assert option in done.stderr
        assert place.run("verify", option, str(place.folder / "missing")).exit_code == 2
    where = str(place.folder / "no" / "such" / "folder" / "key.pem")
    assert place.run("checkpoint", "--public-key", where).exit_code == 2


def test_a_head_that_was_changed_is_not_signed(place: Place) -> None:
    place.change(lambda c: c.execute(update(audit_head).values(sequence=5)))
    done = place.run("checkpoint")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "bennu audit verify" in done.stderr


def test_an_empty_trail_has_no_checkpoint(tmp_path: Path) -> None:
    empty = Place(tmp_path / "empty")
    empty.fill(0)
    done = empty.run("checkpoint")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no record yet" in done.stderr


def test_a_wrong_secret_is_refused(place: Place) -> None:
    url = f"sqlite:///{place.database_path}"
    text = f"PHOENIX_SECRET={'x1' * 20}\nPHOENIX_SQL_DATABASE_URL={url}\n"
    place.env_file.write_text(text)
    for command in ("verify", "checkpoint", "tail", "export"):
        done = place.run(command)
        assert done.exit_code == 1, command
        assert "PHOENIX_SECRET" in done.stderr
        assert done.stdout == ""
