"""The security epoch: one number that every change of authority moves.

Verified credentials are cached only for the epoch they were checked in, so a revocation or a
role change holds for the very next request, in this process and in every other one.
"""

from typing import Final

from sqlalchemy import Connection, select, update

from bennu.storage.schema import security_epoch

# Built once: every request on PostgreSQL reads it.
_READ: Final = select(security_epoch.c.value).where(security_epoch.c.id == 1)
#: The same for a driver: on SQLite it is read after every commit of anybody, by tiny steps.
READ_EPOCH_SQL: Final = "SELECT value FROM security_epoch WHERE id = 1"
_HOLD: Final = _READ.with_for_update()
_MOVE: Final = (
    update(security_epoch).where(security_epoch.c.id == 1).values(value=security_epoch.c.value + 1)
)


def hold_security_epoch(connection: Connection) -> None:
    """Keep every change of authority out until this transaction ends.

    Whoever opens a session or makes a key on the strength of what an account is, calls this
    first and looks at the account after it. On SQLite a writing transaction is alone anyway.
    """
    connection.execute(_HOLD)


def move_security_epoch(connection: Connection) -> None:
    """Move the epoch in the transaction of the change it announces.

    Call it first: it is also the lock under which "there is another admin" and "the name is
    free" stay true until the commit, and one order of locks means no deadlocks.
    """
    connection.execute(_MOVE)


def read_security_epoch(connection: Connection) -> int:
    """Return the current epoch."""
    return int(connection.execute(_READ).scalar_one())
