"""What the two engines have in common: the lanes of the writer and the shape of an engine."""

from collections.abc import Callable
from enum import IntEnum
from typing import Literal, Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")

Dialect = Literal["sqlite", "postgresql"]


class Lane(IntEnum):
    """Which of two waiting writes goes first: the smaller number."""

    ADMIN = 0
    INGEST = 1


class Engine(Protocol):
    """One database. Every method raises UnavailableError when the database cannot serve now."""

    async def start(self) -> None:
        """Open the database and start the threads or the pool; no migration."""

    async def stop(self) -> None:
        """Finish what is queued, then close everything."""

    async def read(self, work: Callable[[Connection], T], *, tiny: bool) -> T:
        """Run ``work`` in a transaction that sees one state of the database and changes none."""

    async def write(
        self,
        work: Callable[[Connection], T],
        *,
        lane: Lane,
        prepare: Callable[[], None] | None,
        is_lasting: bool,
    ) -> T:
        """Run ``work`` in one transaction and return after its commit."""

    async def scrub(self) -> None:
        """Take what was deleted off the disk, as far as the database itself keeps it."""

    async def security_epoch(self) -> int:
        """Return the current security epoch."""
