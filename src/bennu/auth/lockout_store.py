"""Rows of failed sign-ins and of addresses that an account signed in from.

Accounts stand here as a keyed hash: what was typed may be a password in the wrong field.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, delete, select, update

from bennu.storage.schema import known_addresses, sign_in_failures
from bennu.storage.upsert import insert_unless_present, upsert_row


@dataclass(frozen=True, slots=True)
class Failures:
    """How often signing in failed since the last success. Times: microseconds since 1970 UTC."""

    failures: int = 0
    last_at: int = 0
    blocked_until: int | None = None

    def blocks_at(self, now: int) -> bool:
        """Whether attempts are refused now."""
        return self.blocked_until is not None and now < self.blocked_until


NONE_YET: Final = Failures()


# Built once: every sign-in with a password runs most of these.
_HERE: Final = and_(
    sign_in_failures.c.account == bindparam("of_account"),
    sign_in_failures.c.address == bindparam("of_address"),
)
_READ: Final = select(
    sign_in_failures.c.failures, sign_in_failures.c.last_at, sign_in_failures.c.blocked_until
).where(_HERE)
_LOCK: Final = _READ.with_for_update()
_WRITE: Final = (
    update(sign_in_failures)
    .where(_HERE)
    .values(
        failures=bindparam("new_failures"),
        last_at=bindparam("new_last_at"),
        blocked_until=bindparam("new_blocked_until"),
    )
)
_DELETE: Final = delete(sign_in_failures).where(_HERE)
_KNOWN: Final = select(known_addresses.c.user_id).where(
    known_addresses.c.account == bindparam("of_account"),
    known_addresses.c.address == bindparam("of_address"),
)


def _place(account: str, address: str) -> dict[str, Any]:
    return {"of_account": account, "of_address": address}


def read_failures(connection: Connection, account: str, address: str) -> Failures:
    """Return what is counted for an account and an address."""
    row = connection.execute(_READ, _place(account, address)).first()
    return NONE_YET if row is None else Failures(*tuple(row))


def lock_failures(connection: Connection, account: str, address: str) -> Failures:
    """Return the same, and keep other sign-ins from counting there until the commit."""
    row = {"account": account, "address": address, "failures": 0, "last_at": 0}
    insert_unless_present(connection, sign_in_failures, [row])
    return Failures(*tuple(connection.execute(_LOCK, _place(account, address)).one()))


def write_failures(connection: Connection, account: str, address: str, found: Failures) -> None:
    """Keep a count that was locked before."""
    new = {
        "new_failures": found.failures,
        "new_last_at": found.last_at,
        "new_blocked_until": found.blocked_until,
    }
    connection.execute(_WRITE, {**_place(account, address), **new})


def delete_failures(connection: Connection, account: str, address: str) -> None:
    """Forget what is counted for an account and an address."""
    connection.execute(_DELETE, _place(account, address))


def is_known_address(connection: Connection, account: str, address: str) -> bool:
    """Whether the account signed in from there before."""
    return connection.execute(_KNOWN, _place(account, address)).first() is not None


def keep_known_address(
    connection: Connection, account: str, address: str, user_id: int, now: int
) -> None:
    """Note that the account signed in from there."""
    key = {"account": account, "address": address}
    upsert_row(connection, known_addresses, key, {"user_id": user_id, "last_at": now})


def sweep_rows(connection: Connection, failed_before: int, known_before: int) -> int:
    """Delete counts and known addresses that were not touched since; return how many."""
    counts = delete(sign_in_failures).where(sign_in_failures.c.last_at < failed_before)
    known = delete(known_addresses).where(known_addresses.c.last_at < known_before)
    return connection.execute(counts).rowcount + connection.execute(known).rowcount
