"""The bounded queue in front of the writer: requests wait for the commit that holds their spans.

There is no timer: what arrives while one commit runs forms the next. Decompression and decoding
run off the event loop, right before their commit. A request that cannot be used fails alone; the
others are answered when they are on the disk.

Decision 5. Source: OTLP 1.x, "Failures" and "OTLP/HTTP Throttling".
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from msgspec.structs import replace

from bennu.access import Caller, Permission, require
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import AppError, DeniedError, UnavailableError
from bennu.storage.database import Connection, Database, Lane
from bennu.traces.projects.store import (
    check_project_name,
    project_rows_made,
    project_rows_named,
)
from bennu.traces.settings import TracesSettings
from bennu.traces.spans.model import DecodedExport
from bennu.traces.spans.store import SpanBatch, insert_spans, refuse_known_spans

AT_CAPACITY: Final = "Server is at capacity and cannot process more requests"
SHUTTING_DOWN: Final = "Server is shutting down and takes no more requests"
OUTSIDE_PROJECTS: Final = "This key may not write to that project"

_RETRY_AFTER_SECONDS: Final = 1.0
#: What one commit takes. More per commit gains nothing and makes the others wait longer.
_COMMIT_SPANS: Final = 2_000
_COMMIT_BYTES: Final = 8 * 1024 * 1024
_COMMIT_PAYLOAD_BYTES: Final = 32 * 1024 * 1024
#: Size of a span on the wire, guessed until requests of the same form were seen.
_FIRST_GUESS_BYTES: Final = 1_000

Decode = Callable[[], DecodedExport]


class OutsideProjectsError(DeniedError):
    """A restricted key sends to a project that is not among its own."""


@dataclass(eq=False, slots=True)
class _Submission:
    """One request on its way: what it holds, who sent it, and who waits for the answer."""

    decode: Decode | None
    caller: Caller
    form: str
    only_new: bool
    byte_count: int
    span_count: int
    answer: "asyncio.Future[DecodedExport]"
    decoded: DecodedExport | None = None
    refusal: AppError | None = None


class Reservation:
    """The bytes of one request, counted from the moment they are received until the answer."""

    def __init__(self, buffer: "IngestBuffer") -> None:
        self._buffer = buffer
        self.byte_count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._buffer.waiting_bytes -= self.byte_count
        self.byte_count = 0

    def grow(self, byte_count: int) -> None:
        """Count further bytes, before they are kept.

        Raises:
            UnavailableError: the queue would hold more than its bound, or the server ends.
        """
        self._buffer.refuse_bytes_beyond_bound(byte_count, already=self.byte_count)
        self.byte_count += byte_count
        self._buffer.waiting_bytes += byte_count

    async def take_new_spans(self, decoded: DecodedExport, caller: Caller) -> DecodedExport:
        """Store spans of this request; see ``IngestBuffer.take_new_spans``."""
        return await self._buffer.take_new_spans(self, decoded, caller)


class IngestBuffer:
    """Takes spans, writes them in groups, answers after the commit.

    Args:
        database: where they go.
        settings: the bounds in spans and bytes. A request that is larger than a bound is still
            taken when nothing else waits, since it could never be sent otherwise.
        clock: for the time of projects that come into being.
    """

    def __init__(self, database: Database, settings: TracesSettings, clock: Clock) -> None:
        self.waiting_bytes = 0
        self.waiting_spans = 0
        self.stored_spans_total = 0
        self.refused_requests_total = 0
        self.refused_spans_total = 0
        #: Told how long each commit took.
        self.on_commit: Callable[[float], None] | None = None
        self._database = database
        self._settings = settings
        self._clock = clock
        self._waiting: deque[_Submission] = deque()
        self._committing: asyncio.Task[None] | None = None
        self._is_draining = False
        self._bytes_per_span: dict[str, float] = {}

    @property
    def is_at_capacity(self) -> bool:
        """Whether requests are being refused for lack of room."""
        bounds = self._settings
        return (
            self.waiting_spans >= bounds.max_queue_spans
            or self.waiting_bytes >= bounds.max_queue_bytes
        )

    def reserve(self) -> Reservation:
        """Return a count for one request; use it in a ``with`` that spans the whole request."""
        return Reservation(self)

    def refuse_bytes_beyond_bound(self, byte_count: int, *, already: int) -> None:
        """Refuse a request that would make the queue larger than its bound in bytes.

        Raises:
            UnavailableError: with the time to wait.
        """
        others = self.waiting_bytes - already
        bound = self._settings.max_queue_bytes
        if self._is_draining or (others > 0 and self.waiting_bytes + byte_count > bound):
            raise self._refusal(max(1, round(byte_count / _FIRST_GUESS_BYTES)))

    def _refusal(self, span_count: int) -> UnavailableError:
        self.refused_requests_total += 1
        self.refused_spans_total += span_count
        return UnavailableError(
            SHUTTING_DOWN if self._is_draining else AT_CAPACITY,
            retry_after_seconds=_RETRY_AFTER_SECONDS,
        )

    async def take_export(
        self, room: Reservation, decode: Decode, caller: Caller, form: str
    ) -> DecodedExport:
        """Store what one export request holds; known spans change nothing.

        Args:
            room: counts the bytes of the request.
            decode: decompresses and decodes it; runs in another thread.
            caller: who sent it.
            form: content type and encoding; requests of one form have spans of similar size.

        Returns:
            What was decoded, without the spans, which are on the disk now.

        Raises:
            UnavailableError: the queue is full or the database is away; nothing was taken.
            DeniedError: the caller may not write to one of the projects; nothing was taken.
            InvalidError: the request cannot be decoded or stored.
        """
        size = self._bytes_per_span.get(form, _FIRST_GUESS_BYTES)
        span_count = max(1, round(room.byte_count / size))
        return await self._submit(
            _Submission(decode, caller, form, False, room.byte_count, span_count, _future())
        )

    async def take_new_spans(
        self, room: Reservation, decoded: DecodedExport, caller: Caller
    ) -> DecodedExport:
        """Store spans on condition that none of them is known, in a commit of their own.

        Args:
            room: counts the bytes of the request; grows to those of the spans if they are more.
            decoded: the spans.
            caller: who sent them.

        Raises:
            KnownSpansError: some are known; nothing was stored.
            UnavailableError, DeniedError, InvalidError: as ``take_export``.
        """
        room.grow(max(0, _payload_bytes(decoded) - room.byte_count))
        count = decoded.span_count
        return await self._submit(_Submission(None, caller, "", True, 0, count, _future(), decoded))

    async def _submit(self, submission: _Submission) -> DecodedExport:
        require(submission.caller.principal, Permission.TRACES_INGEST)
        bound = self._settings.max_queue_spans
        total = self.waiting_spans + submission.span_count
        if self._is_draining or (self.waiting_spans > 0 and total > bound):
            raise self._refusal(submission.span_count)
        self.waiting_spans += submission.span_count
        self._waiting.append(submission)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_waiting())
        try:
            return await submission.answer
        finally:
            self.waiting_spans -= submission.span_count

    async def drain(self) -> None:
        """Take nothing more and finish what was taken."""
        self._is_draining = True
        while self._committing is not None:
            await asyncio.wait([self._committing])

    async def _commit_waiting(self) -> None:
        while self._waiting:
            group = self._next_group()
            if group:
                await self._commit(group)
        self._committing = None

    def _next_group(self) -> list[_Submission]:
        """Take from the front what fits into one commit; those who no longer wait are dropped."""
        group: list[_Submission] = []
        spans = payload = 0
        while self._waiting:
            first = self._waiting[0]
            is_full = spans >= _COMMIT_SPANS or payload >= _COMMIT_BYTES
            if group and (is_full or first.only_new or group[0].only_new):
                break
            self._waiting.popleft()
            if not first.answer.done():
                group.append(first)
                spans += first.span_count
                payload += first.byte_count
        return group

    async def _commit(self, group: Sequence[_Submission]) -> None:
        """Write a group and answer it; a group that fails is halved to find whose fault it is."""
        now = to_microseconds(self._clock.now_utc())
        began = self._clock.monotonic_seconds()
        (error,) = await asyncio.gather(
            self._database.write(
                lambda connection: _store(connection, group, now),
                lane=Lane.INGEST,
                prepare=lambda: _decode(group),
            ),
            return_exceptions=True,
        )
        if isinstance(error, BaseException):
            await self._answer_failed(group, error)
            return
        self.stored_spans_total += error
        if self.on_commit is not None:
            self.on_commit(self._clock.monotonic_seconds() - began)
        late = [s for s in group if s.decoded is None and s.refusal is None]
        self._waiting.extendleft(reversed(late))
        for submission in group:
            self._answer(submission)

    async def _answer_failed(self, group: Sequence[_Submission], error: BaseException) -> None:
        if len(group) > 1 and not isinstance(error, UnavailableError):
            middle = len(group) // 2
            await self._commit(group[:middle])
            await self._commit(group[middle:])
            return
        for submission in group:
            if not submission.answer.done():
                submission.answer.set_exception(submission.refusal or _own_copy(error))

    def _answer(self, submission: _Submission) -> None:
        if submission.answer.done():
            return
        if submission.refusal is not None:
            submission.answer.set_exception(submission.refusal)
        elif submission.decoded is not None:
            if submission.byte_count and submission.decoded.span_count:
                size = submission.byte_count / submission.decoded.span_count
                self._bytes_per_span[submission.form] = size
            # What is stored need not be kept until the answer is written.
            submission.answer.set_result(replace(submission.decoded, projects=()))
            submission.decoded = None


def _future() -> "asyncio.Future[DecodedExport]":
    return asyncio.get_running_loop().create_future()


def _own_copy(error: BaseException) -> BaseException:
    """Give each of many waiters an error of its own, since raising one marks it."""
    if isinstance(error, UnavailableError):
        return UnavailableError(
            error.public, detail=error.detail, retry_after_seconds=error.retry_after_seconds
        )
    return error


def _decode(group: Sequence[_Submission]) -> None:
    """Decode in order of arrival until a commit is full; the rest stays for the next one."""
    spans = payload = 0
    for submission in group:
        if spans >= _COMMIT_SPANS or payload >= _COMMIT_PAYLOAD_BYTES:
            return
        if submission.decoded is None and submission.decode is not None:
            try:
                submission.decoded = submission.decode()
            except AppError as error:
                submission.refusal = error
            submission.decode = None  # lets go of the body
        if submission.decoded is None:
            continue
        spans += submission.decoded.span_count
        payload += _payload_bytes(submission.decoded)


def _payload_bytes(decoded: DecodedExport) -> int:
    return sum(
        len(span.attributes) + len(span.events)
        for project in decoded.projects
        for span in project.spans
    )


def _store(connection: Connection, group: Sequence[_Submission], now_microseconds: int) -> int:
    """Write what was decoded, in one transaction; return how many spans were new."""
    usable: list[tuple[_Submission, DecodedExport]] = []
    for submission in group:
        if submission.decoded is not None and submission.refusal is None:
            submission.refusal = _refusal_of_projects(connection, submission)
            if submission.refusal is None:
                usable.append((submission, submission.decoded))
    names = {project.project_name for _, decoded in usable for project in decoded.projects}
    rows = project_rows_made(connection, names, now_microseconds)
    batches = [
        SpanBatch(rows[project.project_name], submission.caller.principal.public_id, project.spans)
        for submission, decoded in usable
        for project in decoded.projects
    ]
    if usable and usable[0][0].only_new:
        refuse_known_spans(connection, batches)
    return insert_spans(connection, batches)


def _refusal_of_projects(connection: Connection, submission: _Submission) -> AppError | None:
    """Say why a request may not go to the projects it names; none of them is made for that."""
    decoded = submission.decoded
    names = [] if decoded is None else [project.project_name for project in decoded.projects]
    try:
        for name in names:
            check_project_name(name)
    except AppError as error:
        return error
    allowed = submission.caller.principal.project_ids
    if allowed is None:
        return None
    rows = project_rows_named(connection, names)
    if all(rows.get(name) in allowed for name in names):
        return None
    return OutsideProjectsError(OUTSIDE_PROJECTS, detail="restricted key, other project")
