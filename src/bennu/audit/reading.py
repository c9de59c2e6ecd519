"""Reading the audit trail, for the interface and for pages; that somebody read it is recorded.

Spec: lines 256-260.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from bennu.access import Caller, Permission, Principal, require
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.audit.query import MOST_RECORDS, AuditFilter, read_records
from bennu.audit.verify import TrailFinding, verify_trail
from bennu.encryption.vault import Vault
from bennu.kernel.errors import DeniedError
from bennu.storage.database import Database

NOT_RESTRICTED: Final = "A key that is restricted to projects cannot read the audit trail."


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some records as they are shown, and the sequence after which the next page starts."""

    records: tuple[dict[str, Any], ...]
    beyond: int | None


class AuditReading:
    """The flows of those who read the trail."""

    def __init__(self, database: Database, audit: AuditLog, vault: Vault) -> None:
        self._database, self._audit, self._vault = database, audit, vault

    async def read_page(
        self, caller: Caller, wanted: AuditFilter, beyond: int | None, limit: int
    ) -> AuditPage:
        """Return a page of records; that they were read is recorded first.

        Raises:
            DeniedError: the caller may not read the trail, or is restricted to projects.
            UnavailableError: the reading cannot be recorded.
        """
        await self._admit(caller)
        found = await self._read(wanted, beyond, limit + 1)
        shown = tuple(found[:limit])
        return AuditPage(shown, shown[-1]["sequence"] if len(found) > limit else None)

    async def read_pages(
        self, caller: Caller, wanted: AuditFilter, beyond: int | None, most: int | None
    ) -> AsyncIterator[Sequence[dict[str, Any]]]:
        """Return the records page by page; that they were read is recorded first.

        The first page is read before this returns, so that a refusal is still one.

        Args:
            caller: who reads.
            wanted: which records.
            beyond: sequence after which they start; None for the start.
            most: so many at most; None for all.

        Raises:
            DeniedError: the caller may not read the trail, or is restricted to projects.
            UnavailableError: the reading cannot be recorded.
        """
        await self._admit(caller)
        first = await self._read(wanted, beyond, most or MOST_RECORDS)
        return self._following(first, wanted, is_all=most is not None)

    async def _following(
        self, page: Sequence[dict[str, Any]], wanted: AuditFilter, *, is_all: bool
    ) -> AsyncIterator[Sequence[dict[str, Any]]]:
        while page:
            yield page
            if is_all or len(page) < MOST_RECORDS:
                return
            page = await self._read(wanted, page[-1]["sequence"], MOST_RECORDS)

    async def _admit(self, caller: Caller) -> None:
        refuse_restricted(caller.principal)
        require(caller.principal, Permission.AUDIT_READ)
        await self._audit.note(AuditEvent(EventName.AUDIT_READ, target=Target("audit")), caller)

    async def _read(
        self, wanted: AuditFilter, beyond: int | None, limit: int
    ) -> Sequence[dict[str, Any]]:
        return await self._database.read(
            partial(read_records, wanted=wanted, limit=limit, beyond=beyond)
        )

    async def verify(self, caller: Caller) -> TrailFinding:
        """Verify the whole trail; reads all of it, so it takes a while where it is long.

        Raises:
            DeniedError: the caller may not read the trail, or is restricted to projects.
        """
        refuse_restricted(caller.principal)
        require(caller.principal, Permission.AUDIT_READ)
        return await self._database.read(lambda c: verify_trail(c, self._vault))


def refuse_restricted(principal: Principal) -> None:
    """Refuse a key that is restricted to projects: the trail tells of all of them, and of people.

    Raises:
        DeniedError: it is restricted.
    """
    if principal.project_ids is not None:
        raise DeniedError(NOT_RESTRICTED, detail="restricted to projects")
