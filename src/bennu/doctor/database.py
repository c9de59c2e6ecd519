"""The database: whether it answers, whether the secret opens it, first passwords, ages, the trail.

Looks beside a running server and changes nothing.

Spec: lines 13, 178, 239-250, 256-260, 276-279.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final

from bennu.audit.query import AuditFilter, read_records
from bennu.audit.verify import verify_trail
from bennu.doctor.model import Finding, State
from bennu.encryption.vault import Vault, check_secret
from bennu.kernel.clock import Clock, from_microseconds
from bennu.kernel.errors import AppError
from bennu.secrets_in_use import environment_secrets
from bennu.settings import Settings
from bennu.storage.database import Database
from bennu.users.store import first_passwords_in_use

_URL: Final = "PHOENIX_SQL_DATABASE_URL"
_PASSWORD: Final = "PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD"  # noqa: S105 - name of a variable
#: Code of the refusal of a command when there is no database yet.
_NONE_YET: Final = "no_database"
_WHY_CHANGE: Final = "It stands in a file or a log that others may read."
_MOST_SKEW: Final = timedelta(minutes=5)


class DatabaseCheck:
    """Looks at the database of a deployment.

    Args:
        settings: of the deployment.
        opened: opens the database as it is.
        vault: made of the secrets at hand.
        clock: for ages.
    """

    def __init__(
        self,
        settings: Settings,
        opened: AbstractAsyncContextManager[Database],
        vault: Vault,
        clock: Clock,
    ) -> None:
        self._settings, self._opened = settings, opened
        self._vault, self._clock = vault, clock

    async def run(self) -> AsyncIterator[Finding]:
        """Yield findings; a database that cannot be opened ends them."""
        variable = _URL if self._settings.storage.postgres else "PHOENIX_WORKING_DIR"
        try:
            async with self._opened as database:
                yield Finding("database", State.OK, "answers", variable, "", "", 276)
                async for finding in self._within(database):
                    yield finding
        except AppError as error:
            if error.code == _NONE_YET:
                yield Finding("database", State.SKIP, error.public, variable, "", "", 276)
                for finding in self._before_the_first_start():
                    yield finding
                return
            detail = f" ({error.detail})" if error.detail else ""
            yield Finding(
                "database",
                State.FAIL,
                f"{error.public}{detail}",
                variable,
                "Nothing works without it.",
                "start it, or correct the address and the password",
                276,
            )

    def _before_the_first_start(self) -> Iterator[Finding]:
        if self._settings.auth.enabled and self._settings.auth.initial_admin_password:
            yield Finding(
                "first_password",
                State.WARN,
                "not changed yet: the server never ran",
                _PASSWORD,
                _WHY_CHANGE,
                "change it at the first sign-in",
                13,
            )

    async def _within(self, database: Database) -> AsyncIterator[Finding]:
        try:
            await database.read(lambda c: check_secret(c, self._vault.cipher))
        except AppError as error:
            yield Finding(
                "database_secret",
                State.FAIL,
                error.public,
                "PHOENIX_SECRET",
                "What is sealed cannot be opened.",
                "set the secret it was sealed under, or add it to PHOENIX_SECRET_PREVIOUS",
                178,
            )
            return
        yield Finding("database_secret", State.OK, "opens what is sealed", "PHOENIX_SECRET")
        yield await self._first_password(database)
        yield await self._trail(database)
        yield await self._time(database)
        async for finding in self._ages(database):
            yield finding

    async def _first_password(self, database: Database) -> Finding:
        waiting = await database.read(first_passwords_in_use)
        if not self._settings.auth.enabled:
            return Finding("first_password", State.SKIP, "authentication is off", _PASSWORD)
        if waiting:
            return Finding(
                "first_password",
                State.FAIL,
                f"{waiting} admin account still has the password it was given",
                _PASSWORD,
                _WHY_CHANGE,
                "sign in and change it",
                13,
            )
        return Finding("first_password", State.OK, "changed", _PASSWORD, _WHY_CHANGE, "", 13)

    async def _trail(self, database: Database) -> Finding:
        found = await database.read(lambda c: verify_trail(c, self._vault))
        seen = f"{found.records} records as they were written"
        if not found.ok:
            where = f" at record {found.first_bad_sequence}" if found.first_bad_sequence else ""
            seen = f"{found.reason}{where}"
        return Finding(
            "audit_trail",
            State.OK if found.ok else State.FAIL,
            seen,
            "",
            "It tells who did what.",
            "" if found.ok else "keep a copy, then look at `bennu audit verify`",
            256,
        )

    async def _time(self, database: Database) -> Finding:
        newest = await database.read(lambda c: read_records(c, AuditFilter(), 1))
        now = self._clock.now_utc()
        is_behind = bool(newest) and newest[0]["time_utc"] > (now + _MOST_SKEW).isoformat()
        return Finding(
            "clock",
            State.FAIL if is_behind else State.OK,
            f"{now.isoformat(timespec='seconds')}"
            + (", and the newest record of the trail is later" if is_behind else ""),
            "",
            "Sessions, keys and certificates end by it.",
            "let the machine keep its time by NTP" if is_behind else "",
        )

    async def _ages(self, database: Database) -> AsyncIterator[Finding]:
        secrets = environment_secrets(self._settings)
        seen = await database.read(lambda c: self._vault.first_seen(c, secrets))
        allowed = self._settings.encryption.rotation_days
        now = self._clock.now_utc()
        for name, at in sorted(seen.items()):
            if at is None:
                continue
            days = (now - from_microseconds(at)) // timedelta(days=1)
            is_due = days >= allowed
            yield Finding(
                "age",
                State.WARN if is_due else State.OK,
                f"{days} days old, due after {allowed}",
                name,
                "A secret that leaked unnoticed works until it is changed.",
                "rotate it, see docs/operations/rotation.md" if is_due else "",
                246,
            )
