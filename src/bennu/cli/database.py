"""The database for commands: opened beside a running server, never made by a command.

Spec: lines 178, 256-260 (what commands change is recorded too).
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

import click

from bennu.kernel.clock import Clock
from bennu.kernel.errors import AppError, UnavailableError
from bennu.settings import Settings
from bennu.storage.database import Database
from bennu.storage.migrate import MigrationsDisabledError, migrate

T = TypeVar("T")

REFUSED: Final = 1


class NoDatabaseError(UnavailableError):
    """There is no database that a command could look into."""

    code = "no_database"


@asynccontextmanager
async def opened_database(settings: Settings, clock: Clock) -> AsyncIterator[Database]:
    """Open the database that the settings name, as it is: no tables are made or changed.

    Raises:
        NoDatabaseError: there is none yet, or it lives in the memory of its server.
        UnavailableError: it cannot be reached.
    """
    storage = settings.storage
    path = storage.sqlite_path
    if storage.dialect == "sqlite" and path is None:
        raise NoDatabaseError("A database in memory can be reached from inside its server only")
    if path is not None and not path.exists():
        raise NoDatabaseError(f"There is no database at {path} yet; start the server once")
    database = Database(storage, clock)
    await database.start()
    try:
        await migrate(database, replace(storage, migrations_disabled=True))
        yield database
    except MigrationsDisabledError:
        raise NoDatabaseError("The database has no tables yet; start the server once") from None
    finally:
        await database.stop()


def run_or_refuse(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a command's work; a refusal is printed and ends the command with status 1."""
    try:
        return asyncio.run(work())
    except AppError as error:
        click.echo(f"error: {error.public}", err=True)
        if error.detail:
            click.echo(f"       {error.detail}", err=True)
        sys.exit(REFUSED)
