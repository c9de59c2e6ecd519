"""Erasures that a database does not know of. Restored backups: tests/spec/test_12_privacy.py."""

import json
from pathlib import Path

import pytest

from bennu.kernel.clock import to_microseconds
from bennu.kernel.ids import global_id
from bennu.privacy.erased_store import applied_entries
from bennu.privacy.ledger import LedgerEntry, authenticated, subject_digest
from bennu.storage.database import Database
from bennu.storage.schema import audit_events
from bennu.users.model import USER, User
from fakes.clock import FrozenClock
from fakes.erasing import Erasing, erasing
from fakes.stored import Stored

pytestmark = pytest.mark.anyio


def remember(erasure: Erasing, user: User, name: str) -> None:
    """Write to the ledger as the erasure of an account did, in a database that is gone."""
    key = erasure.jobs.key
    digest = subject_digest(key, ("user", global_id(USER, user.row_id)))
    now = to_microseconds(erasure.accounts.clock.now_utc())
    erasure.ledger.remember(authenticated(key, LedgerEntry(name, "user", "", (digest,), now)))


async def test_what_is_refused_is_tried_again_at_the_next_start(
    database: Database, clock: FrozenClock, tmp_path: Path
) -> None:
    erasure = await erasing(database, clock, tmp_path)
    admin = await erasure.accounts.add_user("admin", "ADMIN")
    user = await erasure.accounts.add_user("ada")
    remember(erasure, admin, "of the admin")
    remember(erasure, user, "of the user")
    assert await erasure.replay.replay_missing_erasures(erasure.jobs.key) == 2
    assert await erasure.accounts.read_user(admin) is not None
    assert await erasure.accounts.read_user(user) is None
    assert await database.read(applied_entries) == {"of the user"}
    await erasure.accounts.add_user("second", "ADMIN")
    assert await erasure.replay.replay_missing_erasures(erasure.jobs.key) == 1
    assert await erasure.accounts.read_user(admin) is None
    assert await database.read(applied_entries) == {"of the user", "of the admin"}
    assert await erasure.replay.replay_missing_erasures(erasure.jobs.key) == 0
    rows = await Stored(database).rows(audit_events)
    records = [json.loads(row["after"]) for row in rows if row["event"] == "privacy.erased"]
    assert [one["counts"].get("refused") for one in records] == [1, None]
