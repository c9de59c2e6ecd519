"""Deletes what is past its time: in small steps, on one process at a time, beside ingest.

Each step is one short transaction that also notes what it deleted, so that a kill loses no count;
the record follows at the end of a project, or at the next start. A step takes its turn behind
ingest, and a pause twice as long as the step follows it.

Spec: lines 262-264.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import Connection

from bennu.access import SERVER, Caller
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.kernel.clock import from_microseconds, to_microseconds
from bennu.kernel.errors import AppError
from bennu.kernel.ids import global_id
from bennu.privacy.expired import Expiry, Place, expired_traces, expiry_of, thin_out
from bennu.privacy.lease import Lease, LeaseLostError
from bennu.privacy.policies import RetentionPolicies
from bennu.privacy.retention import DEFAULT_ROW, Policy, cutoff_of
from bennu.privacy.store import (
    Swept,
    all_policies,
    make_due,
    note_run,
    note_swept,
    projects_under,
    take_swept,
)
from bennu.storage.database import Database, Lane
from bennu.storage.space import give_back_pages
from bennu.traces.projects.store import KIND as PROJECT
from bennu.traces.projects.store import Project, find_project
from bennu.traces.traces.removal import Removed, remove_traces

logger: Final = logging.getLogger("bennu.retention")

#: How long a step should hold the write lock, and the bounds of what it may delete.
STEP_SECONDS: Final = 0.006
_FIRST_SPANS: Final = 100
_FEWEST_SPANS: Final = 20
_MOST_SPANS: Final = 2_000
_MOST_TRACES: Final = 200
_PAGES_AT_ONCE: Final = 16
_SHORTEST_PAUSE_SECONDS: Final = 0.010
_PAUSE_PER_STEP: Final = 2

Sleep = Callable[[float], Awaitable[None]]


class _Step(NamedTuple):
    """One step: where it came to, what went, how long it held the lock, whether that was all."""

    place: Place | None
    removed: Removed
    seconds: float
    is_last: bool


class RetentionSweep:
    """Runs policies when they are due.

    Args:
        database: of the traces.
        audit: the trail.
        policies: how long things are kept.
        lease: so that one process at a time sweeps.
        sleep: how to pause; tests pass one that returns at once.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        policies: RetentionPolicies,
        lease: Lease,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._database, self._audit, self._clock = database, audit, database.clock
        self._policies, self._lease, self._sleep = policies, lease, sleep
        self._step_spans = _FIRST_SPANS
        #: Since the start of the process: ``traces`` and ``spans`` deleted, ``runs`` finished,
        #: ``failures`` of single projects.
        self.numbers: Counter[str] = Counter()

    async def begin(self, default_days: int) -> None:
        """Follow the variable, and let the default policy run soon; call it once at the start."""
        await self._policies.follow_variable(default_days)
        await self._database.write(lambda c: make_due(c, DEFAULT_ROW))

    async def sweep_due_policies(self) -> int:
        """Run every policy whose time has come; call it every few seconds.

        Returns:
            The number of traces that were deleted.

        Raises:
            UnavailableError: the database cannot serve now; the run is made up for later.
        """
        due = await self._database.read(self._due, tiny=True)
        if not due or not await self._database.write(self._lease.take):
            return 0
        before = self.numbers["traces"]
        try:
            # What a sweep deleted that was killed before its record.
            await self._database.write(self._record_swept)
            # Read again: another process may have done it before this one held the lease.
            for policy in await self._database.read(self._due):
                await self._run(policy)
        except LeaseLostError:
            logger.info("retention.taken_over")
        finally:
            await self._database.write(self._lease.give_back)
        return self.numbers["traces"] - before

    def _due(self, connection: Connection) -> list[Policy]:
        now = self._clock.now_utc()
        return [
            policy
            for policy in all_policies(connection)
            if policy.is_due(
                now, None if policy.last_run_at is None else from_microseconds(policy.last_run_at)
            )
        ]

    async def _run(self, policy: Policy) -> None:
        began = self._clock.now_utc()
        failed = False
        for project in await self._database.read(lambda c: projects_under(c, policy.row_id)):
            try:
                await self._sweep_project(policy, project)
            except LeaseLostError:
                raise
            except AppError as error:
                failed = True
                self.numbers["failures"] += 1
                fields = {"project": project.public_id, "reason": error.detail or error.public}
                logger.warning("retention.project_failed", extra=fields)
        if not failed:
            await self._database.write(lambda c: note_run(c, policy, to_microseconds(began)))
            self.numbers["runs"] += 1

    async def _sweep_project(self, policy: Policy, project: Project) -> None:
        cutoff = cutoff_of(policy.rule, self._clock.now_utc())
        cutoff_at = None if cutoff is None else to_microseconds(cutoff)
        before_ns = None if cutoff_at is None else cutoff_at * 1_000
        expiry = await self._database.read(
            lambda c: expiry_of(c, project.row_id, before_ns, policy.rule.max_count)
        )
        if expiry.is_nothing:
            return
        nothing = Swept(project.row_id, policy.name, cutoff_at, {})
        place: Place | None = None
        is_last, deleted = False, 0
        while not is_last:
            step = await self._database.write(
                partial(self._step, expiry=expiry, place=place, swept=nothing), lane=Lane.INGEST
            )
            place, is_last = step.place, step.is_last
            deleted += step.removed.traces
            self._count(step)
            await self._sleep(max(_PAUSE_PER_STEP * step.seconds, _SHORTEST_PAUSE_SECONDS))
        if deleted:
            await self._database.write(partial(self._record_swept, project_row=project.row_id))
            await self._give_space_back()

    def _step(
        self, connection: Connection, expiry: Expiry, place: Place | None, swept: Swept
    ) -> _Step:
        began = self._clock.monotonic_seconds()
        self._lease.prove(connection)
        found = expired_traces(connection, expiry, place, _MOST_TRACES)
        if found and found[0].span_count > _MOST_SPANS:
            return self._thin(connection, found[0].row_id, place, swept, began)
        rows: list[int] = []
        spans = 0
        for trace in found:
            if rows and spans + trace.span_count > self._step_spans:
                break
            rows.append(trace.row_id)
            spans += trace.span_count
            place = trace.place
        removed = remove_traces(connection, rows)
        if removed.traces:
            note_swept(connection, _of(swept, removed))
        is_last = len(rows) == len(found) < _MOST_TRACES
        return _Step(place, removed, self._clock.monotonic_seconds() - began, is_last)

    def _thin(
        self,
        connection: Connection,
        trace_row: int,
        place: Place | None,
        swept: Swept,
        began: float,
    ) -> _Step:
        """Take a part out of a trace that is too large for one step."""
        removed = Removed(spans=thin_out(connection, trace_row, self._step_spans))
        note_swept(connection, _of(swept, removed))
        seconds = self._clock.monotonic_seconds() - began
        return _Step(place, removed, seconds, is_last=removed.spans == 0)

    def _count(self, step: _Step) -> None:
        """Count what went, and make the next step as large as its time allows."""
        self.numbers["traces"] += step.removed.traces
        self.numbers["spans"] += step.removed.spans
        if step.seconds > STEP_SECONDS:
            self._step_spans = max(_FEWEST_SPANS, self._step_spans // 2)
        else:
            self._step_spans = min(_MOST_SPANS, self._step_spans + _FEWEST_SPANS)

    def _record_swept(self, connection: Connection, project_row: int | None = None) -> None:
        for swept in take_swept(connection, project_row):
            project = find_project(connection, global_id(PROJECT, swept.project_row))
            event = _swept_event(swept, "" if project is None else project.name)
            self._audit.record(connection, event, Caller(SERVER))

    async def _give_space_back(self) -> None:
        more = True
        while more:
            more = await self._database.write(
                lambda c: give_back_pages(c, _PAGES_AT_ONCE), lane=Lane.INGEST
            )
            await self._sleep(_SHORTEST_PAUSE_SECONDS)


def _of(swept: Swept, removed: Removed) -> Swept:
    return Swept(swept.project_row, swept.policy, swept.cutoff_at, removed._asdict())


def _swept_event(swept: Swept, project_name: str) -> AuditEvent:
    cutoff = None if swept.cutoff_at is None else from_microseconds(swept.cutoff_at).isoformat()
    return AuditEvent(
        EventName.RETENTION_SWEPT,
        target=Target("project", global_id(PROJECT, swept.project_row), project_name),
        after={"policy": swept.policy, "cutoff_utc": cutoff, "deleted": dict(swept.deleted)},
    )
