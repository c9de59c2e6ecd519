"""Annotations that came before what they are about are written as soon as it is there.

Evaluations often finish before the exporter has sent the span. The repeated work here looks for
what those that wait are about; what has not come within an hour is dropped and counted in a log
line, as is what turns out to be in several projects or about a document that is not there.

Source: data-plane contract, section 9 (asynchronous annotations).
"""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Final

from bennu.kernel.clock import Clock, to_microseconds
from bennu.storage.database import Connection, Database, Lane
from bennu.traces.annotations.model import AnnotationKind
from bennu.traces.annotations.store import (
    Placed,
    Waiting,
    are_known_documents,
    remove_waiting,
    upsert_unless_newer,
    waiting_after,
)
from bennu.traces.annotations.targets import TargetPlace, find_places

logger: Final = logging.getLogger("bennu.annotations")

EVERY_SECONDS: Final = 5.0
_WAIT_MICROSECONDS: Final = 3_600 * 1_000_000
_AT_ONCE: Final = 500


class WaitingAnnotations:
    """Writes annotations whose target has come."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def settle(self) -> int:
        """Look at all that wait, once; return how many were written."""
        oldest = to_microseconds(self._clock.now_utc()) - _WAIT_MICROSECONDS
        written, after = 0, 0
        while True:
            some = await self._database.read(partial(waiting_after, row_id=after, limit=_AT_ONCE))
            if not some:
                return written
            after = some[-1].row_id
            arrived = await self._database.read(partial(_arrived, some=some))
            late = [one for one in some if one.created_at < oldest and one.row_id not in arrived]
            if arrived or late:
                # Looked up again, since it may have gone meanwhile.
                settle = partial(self.settle_some, some=some, late=late)
                written += await self._database.write(settle, lane=Lane.INGEST)

    def settle_some(
        self, connection: Connection, some: Sequence[Waiting], late: Sequence[Waiting]
    ) -> int:
        """Write those whose target is there, drop those that are late; return how many settled.

        One counts from when it was said: it does not replace what was said later at once.
        """
        arrived = _arrived(connection, some)
        written = 0
        for kind in AnnotationKind:
            here = [
                one for one in some if one.kind is kind and len(arrived.get(one.row_id, ())) == 1
            ]
            placed = [
                Placed(next(iter(arrived[one.row_id])), one.annotation, one.author) for one in here
            ]
            are_known = are_known_documents(connection, kind, placed)
            said_at = (one.created_at for one in here)
            usable = [
                (one, at)
                for one, at, is_known in zip(placed, said_at, are_known, strict=True)
                if is_known
            ]
            upsert_unless_newer(connection, kind, usable)
            written += len(usable)
        settled = arrived.keys() | {one.row_id for one in late}
        dropped = len(settled) - written
        if dropped:
            logger.warning("annotations.dropped", extra={"count": dropped})
        remove_waiting(connection, settled)
        return written


def _arrived(connection: Connection, some: Sequence[Waiting]) -> dict[int, set[TargetPlace]]:
    """Return row of what waits to the places that it may be about, for those that have any."""
    found: dict[int, set[TargetPlace]] = {}
    groups: dict[tuple[AnnotationKind, frozenset[int] | None], list[Waiting]] = {}
    for one in some:
        groups.setdefault((one.kind, one.project_ids), []).append(one)
    for (kind, visible), group in groups.items():
        places = find_places(connection, kind, {one.target for one in group}, visible)
        found.update({one.row_id: places[one.target] for one in group if one.target in places})
    return found
