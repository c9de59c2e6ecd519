"""``bennu secret``: shapes that scripts rely on, and what it tells people. Spec: 178, 245-250."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select, update

from bennu.audit.events import EventName
from bennu.cli.main import main
from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.rotate import count_sealed_values
from bennu.encryption.vault import Vault, verify_secret
from bennu.kernel.clock import SystemClock
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.storage.database import Connection, Database
from bennu.storage.migrate import migrate
from bennu.storage.schema import audit_events, secret_values
from bennu.storage.settings import StorageSettings
from fakes.clock import FrozenClock
from fakes.sealed_rows import SEALED_COLUMNS, plant, sealed_texts

OLD, NEW = "0123456789abcdef0123456789abcdef-old", "0123456789abcdef0123456789abcdef-new"
KEYS = {text: Keyring.from_secrets(Secret(text)).current_key_id for text in (OLD, NEW)}
PLANTED = 3 * len(SEALED_COLUMNS)


class Place:
    """A folder with a database and an env file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database_path = folder / "bennu.db"

    def env_file(self, secret: str, previous: str = "", **more: str) -> Path:
        path = self.folder / "bennu.env"
        given = {
            "PHOENIX_SECRET": secret,
            "PHOENIX_SECRET_PREVIOUS": previous,
            "PHOENIX_WORKING_DIR": str(self.folder),
            "PHOENIX_SQL_DATABASE_URL": f"sqlite:///{self.database_path}",
            "PHOENIX_ROTATION_DAYS": "90",
            **more,
        }
        path.write_text("".join(f"{name}={text}\n" for name, text in given.items() if text))
        path.chmod(0o600)
        return path

    def run(self, *arguments: str, env_file: Path) -> Result:
        return CliRunner().invoke(main, ["secret", *arguments, "--env-file", str(env_file)])

    def change(self, *works: Any, clock: Any = None) -> list[Any]:
        """Run functions over a connection, each in a transaction, as a server would."""

        async def run() -> list[Any]:
            settings = StorageSettings(self.folder, sqlite_path=self.database_path)
            database = Database(settings, clock or SystemClock())
            await database.start()
            await migrate(database, settings)
            done = [await database.write(work) for work in works]
            await database.stop()
            return done

        return asyncio.run(run())

    def fill(self, secret: str, age: timedelta = timedelta()) -> None:
        """Do what a server does at its start, some time ago, and seal something."""
        clock = FrozenClock(SystemClock().now_utc() - age)
        cipher = Cipher(Keyring.from_secrets(Secret(secret)))
        vault = Vault(cipher, clock, SystemEntropy())
        self.change(
            lambda c: verify_secret(c, cipher),
            lambda c: plant(c, cipher.seal, 3),
            lambda c: vault.record_sightings(c, {"PHOENIX_SECRET": Secret(secret)}),
            clock=clock,
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_status_has_the_shape_that_scripts_read(place: Place) -> None:
    place.fill(OLD, age=timedelta(days=5, hours=1))
    done = place.run("status", "--json", env_file=place.env_file(OLD, PHOENIX_SMTP_PASSWORD="x"))
    assert done.exit_code == 0, done.output
    status = json.loads(done.stdout)
    assert list(status) == ["kdf", "keys", "secrets"]
    assert status["kdf"] == {
        "name": "PBKDF2-HMAC-SHA256",
        "iterations": 600_000,
        "salt": "bennu:encryption:v1",
    }
    # One more than was planted: the key for fingerprints.
    assert status["keys"] == [{"key_id": KEYS[OLD], "current": True, "values": PLANTED + 1}]
    known, unknown = status["secrets"]
    assert known.pop("first_seen_utc").endswith("+00:00")
    assert known == {"name": "PHOENIX_SECRET", "age_days": 5, "rotate_after_days": 90}
    assert unknown == {
        "name": "PHOENIX_SMTP_PASSWORD",
        "first_seen_utc": None,
        "age_days": None,
        "rotate_after_days": 90,
    }
    assert OLD not in done.output


def test_status_says_when_the_old_secret_may_go_and_what_is_due(place: Place) -> None:
    place.fill(OLD, age=timedelta(days=91))
    assert "due (every 90 days)" in place.run("status", env_file=place.env_file(OLD)).stdout
    both = place.env_file(NEW, OLD)
    assert "still needed: run `bennu secret rotate`" in place.run("status", env_file=both).stdout
    assert place.run("rotate", env_file=both).exit_code == 0
    told = place.run("status", env_file=both)
    assert "may go: take its secret out of PHOENIX_SECRET_PREVIOUS" in told.stdout
    assert told.exit_code == 0


def test_a_missing_secret_is_a_finding(place: Place) -> None:
    place.fill(OLD)
    done = place.run("status", "--json", env_file=place.env_file(NEW))
    assert done.exit_code == 1
    assert json.loads(done.stdout)["keys"] == [
        {"key_id": KEYS[NEW], "current": True, "values": 0},
        {"key_id": KEYS[OLD], "current": False, "values": PLANTED + 1},
    ]
    assert "missing" in place.run("status", env_file=place.env_file(NEW)).stdout
    for arguments in (["rotate"], ["rotate", "--dry-run"]):
        refused = place.run(*arguments, env_file=place.env_file(NEW))
        assert refused.exit_code == 1
        assert "PHOENIX_SECRET_PREVIOUS" in refused.stderr
    assert _counts(place) == {KEYS[OLD]: PLANTED + 1}


def _counts(place: Place) -> dict[str, int]:
    (counts,) = place.change(count_sealed_values)
    assert isinstance(counts, dict)
    return counts


def test_rotate_reseals_records_and_reports(place: Place) -> None:
    place.fill(OLD)
    both = place.env_file(NEW, OLD)
    preview = json.loads(place.run("rotate", "--dry-run", "--json", env_file=both).stdout)
    assert (preview["dry_run"], preview["outdated"], preview["resealed"]) == (True, PLANTED + 1, 0)
    assert _counts(place) == {KEYS[OLD]: PLANTED + 1}

    done = place.run("rotate", "--json", env_file=both)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    # The audit trail's own key is made under the newest one while it runs.
    assert report == {
        "dry_run": False,
        "key_id": KEYS[NEW],
        "outdated": PLANTED + 1,
        "resealed": PLANTED + 1,
        "unopened": 0,
        "complete": True,
        "retired": [KEYS[OLD]],
        "keys": [{"key_id": KEYS[NEW], "current": True, "values": PLANTED + 2}],
    }
    assert "no server has started with this PHOENIX_SECRET yet" in done.stderr
    (rows,) = place.change(lambda c: c.execute(select(audit_events)).mappings().all())
    (record,) = rows
    assert record["event"] == EventName.SECRET_ROTATED
    assert record["actor_kind"] == "console"
    assert json.loads(record["after"])["resealed"] == PLANTED + 1
    assert NEW not in str(record) + done.output
    assert OLD not in str(record) + done.output

    again = json.loads(place.run("rotate", "--json", env_file=both).stdout)
    assert (again["resealed"], again["retired"]) == (0, [])
    assert len(place.change(lambda c: c.execute(select(audit_events)).all())[0]) == 1


def test_the_warning_is_silent_once_a_server_has_started_with_both(place: Place) -> None:
    place.fill(OLD)
    keyring = Keyring.from_secrets(Secret(NEW), [Secret(OLD)])
    place.change(lambda c: verify_secret(c, Cipher(keyring)))
    assert "no server" not in place.run("rotate", env_file=place.env_file(NEW, OLD)).stderr


def test_a_damaged_value_is_a_finding(place: Place) -> None:
    place.fill(OLD)

    def damage(connection: Connection) -> None:
        changed = update(secret_values).where(secret_values.c.name == "row-1")
        connection.execute(changed.values(value=f"{KEYS[OLD]}:damaged"))

    place.change(damage)
    done = place.run("rotate", env_file=place.env_file(NEW, OLD))
    assert done.exit_code == 1
    assert "1 values could not be opened" in done.stdout
    assert "may go" not in done.stdout


def test_a_key_file_is_adopted_by_a_secret_that_comes_later(place: Place) -> None:
    key_file = place.folder / "bennu.key"
    key_file.write_text(OLD + "\n")
    key_file.chmod(0o600)
    place.fill(OLD)
    assert place.run("status", env_file=place.env_file("")).exit_code == 0
    later = place.env_file(NEW)
    done = place.run("rotate", env_file=later)
    assert done.exit_code == 0, done.output
    assert f"delete the key file {key_file}" in done.stdout
    key_file.unlink()
    assert place.run("status", env_file=later).exit_code == 0
    (sealed,) = place.change(sealed_texts)
    assert {text.split(":")[0] for text in sealed.values()} == {KEYS[NEW]}


def test_commands_make_nothing(place: Place) -> None:
    missing = place.run("status", env_file=place.env_file(OLD))
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "There is no database" in missing.stderr
    assert not place.database_path.exists()
    place.database_path.touch()
    empty = place.run("rotate", env_file=place.env_file(OLD))
    assert empty.exit_code == 1
    assert "start the server once" in empty.stderr

    place.database_path.unlink()
    place.fill(OLD)
    without = place.run("status", env_file=place.env_file(""))
    assert without.exit_code == 1
    assert "neither PHOENIX_SECRET nor a key file" in without.stderr
    assert not (place.folder / "bennu.key").exists()
    memory = place.env_file(OLD, PHOENIX_SQL_DATABASE_URL="sqlite:///:memory:")
    assert "in memory" in place.run("status", env_file=memory).stderr


def test_wrong_settings_are_told_with_status_2(place: Place) -> None:
    assert place.run("status", env_file=place.env_file("short")).exit_code == 2


def test_files_that_others_can_read_are_named(place: Place) -> None:
    place.fill(OLD)
    path = place.env_file(OLD)
    assert "warning" not in place.run("status", env_file=path).stderr
    path.chmod(0o644)
    assert f"chmod 600 {path}" in place.run("status", env_file=path).stderr
