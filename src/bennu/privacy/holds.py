"""Legal holds: what they cover is kept, whatever a policy or an erasure says.

Spec: lines 262-264. Source: GDPR, Art. 17(3)(e).
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from bennu.access import Caller, Permission, require
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import (
    ConflictError,
    DeniedError,
    FieldProblem,
    InvalidError,
    NotFoundError,
    SchemaError,
)
from bennu.kernel.ids import global_id, row_id_of
from bennu.privacy.holds_store import (
    Hold,
    all_holds,
    delete_hold,
    find_hold,
    hold_on,
    insert_hold,
    session_row_named,
    trace_row_named,
)
from bennu.storage.database import Database
from bennu.traces.projects.flow import visible_project
from bennu.traces.projects.held import HoldKind
from bennu.traces.projects.store import KIND as PROJECT
from bennu.traces.projects.store import Project
from bennu.traces.traces.model import SESSION_KIND, TRACE_KIND

LEGAL_HOLD: Final = "LegalHold"
MOST_REASON_CHARACTERS: Final = 1_000
_TRACE_ID_CHARACTERS: Final = 32
_TARGETS: Final = {
    HoldKind.PROJECT: ("project", PROJECT),
    HoldKind.SESSION: ("trace_session", SESSION_KIND),
    HoldKind.TRACE: ("trace", TRACE_KIND),
}


@dataclass(frozen=True, slots=True)
class HoldDraft:
    """What is to be held: a project, or one session or trace in it.

    Args:
        project: its public id or name.
        session_id: as its sender gave it, or None.
        trace_id: 32 hexadecimal digits, or None.
        reason: why, for people.
    """

    project: str
    session_id: str | None
    trace_id: str | None
    reason: str

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            SchemaError: names the field and says what is allowed.
        """
        if not self.reason.strip() or len(self.reason) > MOST_REASON_CHARACTERS:
            text = f"1 to {MOST_REASON_CHARACTERS} characters that are not all blank"
            raise SchemaError(FieldProblem(("body", "reason"), text))
        if self.session_id is not None and self.trace_id is not None:
            raise SchemaError(
                FieldProblem(("body", "trace_id"), "either a session_id or a trace_id, not both")
            )


class LegalHolds:
    """The use cases around legal holds."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database, self._audit, self._clock = database, audit, database.clock

    async def list_holds(self, caller: Caller) -> list[Hold]:
        """Return every hold, the newest first.

        Raises:
            DeniedError: the permission is missing.
        """
        _require(caller)
        return await self._database.read(all_holds)

    async def set_hold(self, caller: Caller, draft: HoldDraft) -> Hold:
        """Hold a project, a session or a trace.

        Raises:
            InvalidError: a field is wrong.
            NotFoundError: there is nothing of that name.
            ConflictError: it is held already.
        """
        _require(caller)
        draft.check()
        now = to_microseconds(self._clock.now_utc())

        def work(connection: Connection) -> Hold:
            project = visible_project(
                connection, caller, draft.project, Permission.RETENTION_MANAGE
            )
            kind, row, name = _target_of(connection, project, draft)
            if hold_on(connection, kind, row) is not None:
                raise ConflictError(f"This {kind} is held already")
            by = caller.principal.public_id
            hold = Hold(0, kind, row, project.row_id, name, draft.reason, by, now)
            made = insert_hold(connection, hold)
            self._audit.record(connection, _event(EventName.HOLD_SET, hold), caller)
            return Hold(made, kind, row, project.row_id, name, draft.reason, by, now)

        return await self._database.write(work)

    async def release_hold(self, caller: Caller, identifier: str) -> None:
        """Release a hold; what is past its time goes with the next sweep.

        Raises:
            InvalidError: the text is no id of a hold.
            NotFoundError: there is none.
        """
        _require(caller)
        row_id = row_id_of(identifier, LEGAL_HOLD)
        if row_id is None:
            raise InvalidError("Invalid legal hold id")

        def work(connection: Connection) -> None:
            hold = find_hold(connection, row_id)
            if hold is None:
                raise NotFoundError("Legal hold not found")
            delete_hold(connection, row_id)
            self._audit.record(connection, _event(EventName.HOLD_RELEASED, hold), caller)

        await self._database.write(work)


def _require(caller: Caller) -> None:
    require(caller.principal, Permission.RETENTION_MANAGE)
    if caller.principal.project_ids is not None:
        raise DeniedError("A key that is restricted to projects cannot manage legal holds.")


def _target_of(
    connection: Connection, project: Project, draft: HoldDraft
) -> tuple[HoldKind, int, str]:
    if draft.session_id is not None:
        row = session_row_named(connection, project.row_id, draft.session_id)
        kind, name = HoldKind.SESSION, draft.session_id
    elif draft.trace_id is not None:
        row = trace_row_named(connection, project.row_id, _trace_bytes(draft.trace_id))
        kind, name = HoldKind.TRACE, draft.trace_id.lower()
    else:
        return HoldKind.PROJECT, project.row_id, project.name
    if row is None:
        raise NotFoundError(f"The project holds no such {kind}")
    return kind, row, name


def _trace_bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text) if len(text) == _TRACE_ID_CHARACTERS else b""
    except ValueError:
        return b""


def _event(name: EventName, hold: Hold) -> AuditEvent:
    target_kind, id_kind = _TARGETS[hold.kind]
    fields = {"project_id": global_id(PROJECT, hold.project_row)}
    return AuditEvent(
        name,
        target=Target(target_kind, global_id(id_kind, hold.target_row), hold.target),
        before=fields if name == EventName.HOLD_RELEASED else None,
        after=fields if name == EventName.HOLD_SET else None,
    )
