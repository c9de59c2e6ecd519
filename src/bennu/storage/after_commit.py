"""What happens once a transaction has been committed, and never when it was rolled back.

A line of a log that tells of a change must not stand there when the commit itself failed, which
is later than the last statement; so the two engines run these actions after their commit.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")
Action = Callable[[], None]

_PENDING: Final = "bennu_after_commit"


def after_commit(connection: Connection, action: Action) -> None:
    """Run ``action`` after the transaction of this connection was committed.

    Args:
        connection: of a ``Database.write`` under way.
        action: short, without the database, and without failing.
    """
    connection.info.setdefault(_PENDING, []).append(action)


def with_actions(
    work: Callable[[Connection], T],
) -> Callable[[Connection], tuple[T, tuple[Action, ...]]]:
    """Wrap a piece of work so that it returns its result and what to do after the commit."""

    def run(connection: Connection) -> tuple[T, tuple[Action, ...]]:
        # What an earlier transaction left here was rolled back.
        connection.info.pop(_PENDING, None)
        result = work(connection)
        return result, tuple(connection.info.pop(_PENDING, ()))

    return run
