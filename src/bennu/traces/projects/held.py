"""Legal holds, as far as traces are concerned: what is held cannot be deleted or moved.

Holds are set in ``privacy/holds.py``.

Spec: lines 262-264. Source: GDPR, Art. 17(3)(e).
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, func, not_, or_, select

from bennu.kernel.errors import ConflictError
from bennu.storage.parts import parts_of
from bennu.storage.schema import legal_holds, traces

_HELD: Final = "A legal hold keeps this; release the hold first"


class HoldKind(StrEnum):
    """What is held: everything in a project, in a session, or in a trace."""

    PROJECT = "project"
    SESSION = "session"
    TRACE = "trace"


class HeldError(ConflictError):
    """A legal hold keeps what was to be deleted or moved."""

    code = "held"


def not_held() -> ColumnElement[bool]:
    """Return the condition, over ``traces``, that no hold covers a trace."""

    def rows_held(kind: HoldKind) -> ColumnElement[int]:
        held = select(legal_holds.c.target_row).where(legal_holds.c.kind == kind)
        return held.scalar_subquery()

    return and_(
        traces.c.project_id.not_in(rows_held(HoldKind.PROJECT)),
        traces.c.id.not_in(rows_held(HoldKind.TRACE)),
        or_(
            traces.c.session_id.is_(None),
            traces.c.session_id.not_in(rows_held(HoldKind.SESSION)),
        ),
    )


def refuse_held_traces(connection: Connection, trace_rows: Sequence[int]) -> None:
    """Refuse unless no hold covers any of these traces.

    Raises:
        HeldError: one is held.
    """
    if connection.execute(select(legal_holds.c.id).limit(1)).first() is None:
        return
    for some in parts_of(trace_rows):
        given = traces.c.id.in_(some)
        counted = select(func.count()).select_from(traces).where(given, not_(not_held()))
        if connection.execute(counted).scalar_one():
            raise HeldError(_HELD)


def refuse_held_project(connection: Connection, project_row: int) -> None:
    """Refuse unless nothing in a project is held.

    Raises:
        HeldError: it is, or something in it.
    """
    held = select(legal_holds.c.id).where(legal_holds.c.project_id == project_row).limit(1)
    if connection.execute(held).first() is not None:
        raise HeldError(_HELD)
