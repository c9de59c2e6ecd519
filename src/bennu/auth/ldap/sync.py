"""Keeps accounts in step with the directory between sign-ins: deprovisioning, and changed roles.

Who was disabled, locked, has expired, was moved out of the bases, deleted, or left every mapped
group loses sessions and keys at once. A directory that does not answer, or that suddenly misses
many, changes nothing and alarms.

Spec: lines 36-46 (who may sign in). Issue: deprovisioning.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from bennu.access import SERVER, Caller
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.auth.ldap.configured import ConfiguredDirectory
from bennu.auth.ldap.faults import LdapFault
from bennu.auth.ldap.standing import MISSING, Standing
from bennu.kernel.clock import to_microseconds
from bennu.kernel.ids import global_id
from bennu.storage.database import Database
from bennu.storage.epoch import move_security_epoch
from bennu.users.links import BY_DIRECTORY, Link, link_of, links_of_method
from bennu.users.model import USER, AuthMethod, User
from bennu.users.store import end_sessions_of, find_user, set_role, update_user

logger: Final = logging.getLogger("bennu.auth.ldap")

#: From so many accounts on, more than a third of them missing is taken for a mistake.
MANY_ACCOUNTS: Final = 10
_SHARE: Final = 3
TOO_MANY_MISSING: Final = "too_many_missing"
DIRECTORY_UNAVAILABLE: Final = "directory_unavailable"


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What is done to one account.

    Args:
        row_id: of the user.
        username: for people to read; never logged.
        active: whether the account may be used from now on.
        reason: why not, one word; "" when it may.
        role: the new role, None when it stays.
    """

    row_id: int
    username: str
    active: bool
    reason: str = ""
    role: str | None = None


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a comparison found.

    Args:
        checked: how many accounts were looked up.
        changes: what was done, or would be in a dry run.
        refusal: why nothing was done, one word; "" otherwise.
        detail: of the refusal, for operators.
    """

    checked: int
    changes: tuple[AccountChange, ...] = ()
    refusal: str = ""
    detail: str = ""


class DirectorySync:
    """The flow of a comparison."""

    def __init__(self, database: Database, audit: AuditLog, directory: ConfiguredDirectory) -> None:
        self._database, self._audit, self._directory = database, audit, directory

    async def sync_with_directory(
        self, caller: Caller | None = None, *, dry_run: bool = False
    ) -> SyncReport:
        """Compare every account of the directory with it, and act on what is found.

        Args:
            caller: who asked; the server itself by default.
            dry_run: only say what would be done.
        """
        who = caller or Caller(SERVER)
        links = [link for link in await self._database.read(_links) if _is_ours(link)]
        try:
            standings = await self._directory.take_census(links)
        except LdapFault as fault:
            names = ", ".join(fault.variables)
            return await self._refused(
                who, len(links), DIRECTORY_UNAVAILABLE, f"{fault} (look at {names})"
            )
        active = [link for link in links if link.active and link.row_id in standings]
        missing = sum(standings[link.row_id].reason == MISSING for link in active)
        if len(active) >= MANY_ACCOUNTS and missing * _SHARE > len(active):
            detail = f"{missing} of {len(active)} accounts are not in the directory"
            return await self._refused(who, len(standings), TOO_MANY_MISSING, detail)
        planned = await self._database.read(lambda c: _plan(c, standings))
        done = planned
        if not dry_run:
            done = tuple([c for c in planned if await self._act(c, who)])
            if done:
                await self._record_summary(who, len(standings), done)
            logger.info("ldap.sync", extra={"checked": len(standings), "changed": len(done)})
        return SyncReport(len(standings), done)

    async def _refused(self, who: Caller, checked: int, refusal: str, detail: str) -> SyncReport:
        """Alarm: in the log, in the audit trail, and in the report."""
        logger.error("ldap.sync.refused", extra={"reason": refusal, "why": detail})
        event = AuditEvent(
            EventName.LDAP_SYNCED,
            Outcome.FAILED,
            refusal,
            Target("directory"),
            after={"counts": {"checked": checked}},
        )
        await self._audit.note(event, who)
        return SyncReport(checked, refusal=refusal, detail=detail)

    async def _record_summary(
        self, who: Caller, checked: int, changes: tuple[AccountChange, ...]
    ) -> None:
        counts = {
            "checked": checked,
            "deactivated": sum(bool(change.reason) for change in changes),
            "changed": sum(not change.reason for change in changes),
        }
        target = Target("directory")
        event = AuditEvent(EventName.LDAP_SYNCED, target=target, after={"counts": counts})
        await self._audit.note(event, who)

    async def _act(self, change: AccountChange, who: Caller) -> bool:
        """Make one change in a transaction of its own; False when it was made already."""
        return await self._database.write(lambda c: self._change(c, change, who))

    def _change(self, connection: Connection, change: AccountChange, who: Caller) -> bool:
        move_security_epoch(connection)
        link, user = link_of(connection, change.row_id), find_user(connection, change.row_id)
        if link is None or user is None or not _is_ours(link):
            return False
        before, after = _differences(link, user, change)
        if not after:
            return False
        values: dict[str, Any] = {
            "updated_at": to_microseconds(self._database.clock.now_utc()),
        }
        if "active" in after:
            values |= {
                "active": change.active,
                "deactivated_by": None if change.active else BY_DIRECTORY,
            }
        update_user(connection, user.row_id, values)
        if not change.active:
            end_sessions_of(connection, user.row_id)
        if "role" in after:
            set_role(connection, user.row_id, after["role"])
        target = Target("user", global_id(USER, user.row_id), user.username)
        event = AuditEvent(
            EventName.LDAP_SYNCED, reason=change.reason, target=target, before=before, after=after
        )
        self._audit.record(connection, event, who)
        return True


def _links(connection: Connection) -> tuple[Link, ...]:
    return links_of_method(connection, AuthMethod.LDAP)


def _is_ours(link: Link) -> bool:
    """Whether the directory decides: not of who never signed in, nor whom an admin switched off."""
    return link.provider is not None and (link.active or link.deactivated_by == BY_DIRECTORY)


def _plan(connection: Connection, standings: Mapping[int, Standing]) -> tuple[AccountChange, ...]:
    """Say what is to be changed, in the order in which the accounts were made."""
    planned = []
    for row_id, standing in sorted(standings.items()):
        link, user = link_of(connection, row_id), find_user(connection, row_id)
        if link is None or user is None:
            continue
        is_usable = not standing.reason
        role = standing.role if standing.role != user.role else None
        change = AccountChange(row_id, user.username, is_usable, standing.reason, role)
        if _differences(link, user, change)[1]:
            planned.append(change)
    return tuple(planned)


def _differences(
    link: Link, user: User, change: AccountChange
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields before and after that really differ."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    if link.active != change.active:
        before["active"], after["active"] = link.active, change.active
    if change.role is not None and change.role != user.role:
        before["role"], after["role"] = user.role, change.role
    return before, after
