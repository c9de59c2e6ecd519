"""What can be done with span queries: run them.

Source: data-plane contract, section 6 (POST /v1/spans).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from bennu.access import Caller, Permission, require
from bennu.kernel.clock import Clock
from bennu.kernel.errors import NotFoundError
from bennu.storage.database import Connection, Database
from bennu.storage.deadline import ending_in_time
from bennu.traces.dataframes.assemble import Assembly
from bennu.traces.dataframes.frame import TableWriter
from bennu.traces.dataframes.model import FrameSpan, QueryGiven
from bennu.traces.dataframes.query import FrameSelection, frame_spans_in_rows, rows_of_frame
from bennu.traces.expressions.meaning import condition_of
from bennu.traces.expressions.tree import Scope
from bennu.traces.projects.flow import visible_project
from bennu.traces.spans.query import rows_within_bytes

_READ_AT_ONCE: Final = 500
_READ_BYTES_AT_ONCE: Final = 16 * 1024 * 1024
#: Of all tables of an answer: a list with much beside it grows by its square when it is exploded.
_MOST_BYTES: Final = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """Span queries over one project and one time.

    Args:
        project: name or public id; an unknown one holds no spans.
        queries: one dataframe each.
        from_ns: start at or after, nanoseconds since 1970 UTC; None for any.
        before_ns: start before; None for any.
        limit: spans per dataframe, newest first.
        only_roots: only spans without a parent.
        orphans_are_roots: a parent that is not there is none.
    """

    project: str
    queries: tuple[QueryGiven, ...]
    from_ns: int | None
    before_ns: int | None
    limit: int
    only_roots: bool
    orphans_are_roots: bool


class Dataframes:
    """The use cases around span queries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, caller: Caller, request: FrameRequest) -> list[TableWriter]:
        """Make one table per query; whoever gets them reads or closes them.

        Raises:
            DeniedError: the permission is missing.
            ExpressionError: a filter cannot be understood; tells the place.
            TooLargeError: the tables are larger than an answer may be.
        """
        require(caller.principal, Permission.TRACES_READ)
        # Read before anything is looked up, so that a mistake costs nothing.
        conditions = [
            None if query.filter is None else condition_of(query.filter.condition, Scope.SPAN)
            for query in request.queries
        ]
        tables: list[TableWriter] = []
        try:
            for query, condition in zip(request.queries, conditions, strict=True):
                wanted = FrameSelection(
                    condition,
                    request.from_ns,
                    request.before_ns,
                    request.only_roots,
                    request.orphans_are_roots,
                )
                left_bytes = _MOST_BYTES - sum(table.size_bytes for table in tables)
                assembly = Assembly(query, left_bytes)
                tables.append(assembly.table)
                await self._fill(caller, request, assembly, wanted)
        except BaseException:
            for table in tables:
                table.close()
            raise
        return tables

    async def _fill(
        self, caller: Caller, request: FrameRequest, assembly: Assembly, wanted: FrameSelection
    ) -> None:
        read_rows = partial(_rows, caller, request, wanted, self._database.clock)
        rows = await self._database.read(read_rows)
        begin = 0
        while begin < len(rows):
            part = rows[begin : begin + _READ_AT_ONCE]
            count, spans = await self._database.read(partial(_first_spans, rows=part))
            begin += count
            # Attributes take long to unpack: in a thread, so that others are answered meanwhile.
            await asyncio.to_thread(assembly.add, spans)


def _first_spans(connection: Connection, rows: Sequence[int]) -> tuple[int, list[FrameSpan]]:
    """Return the spans of as many of the first rows as are not too large together."""
    some = rows_within_bytes(connection, rows, _READ_BYTES_AT_ONCE)
    return len(some), frame_spans_in_rows(connection, some)


def _rows(
    caller: Caller,
    request: FrameRequest,
    wanted: FrameSelection,
    clock: Clock,
    connection: Connection,
) -> Sequence[int]:
    try:
        found = visible_project(connection, caller, request.project, Permission.TRACES_READ)
    except NotFoundError:
        return []
    with ending_in_time(connection, clock):
        return rows_of_frame(connection, found.row_id, wanted, request.limit)
