"""What can be done with annotations and notes over REST: write, list, delete.

Writing leaves no audit record: annotations are what the server is for, and each keeps who wrote
it. Deleting does.

Source: data-plane contract, section 9. Decision 11.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bennu.access import Caller, Permission, require
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import InvalidError, NotFoundError, UnavailableError
from bennu.kernel.ids import Entropy, global_id
from bennu.storage.database import Connection, Database
from bennu.traces.annotations.model import (
    GLOBAL_KINDS,
    NOTE,
    Annotation,
    AnnotationDeletion,
    AnnotationFilter,
    AnnotationKind,
    Author,
    StoredAnnotation,
    check_annotation,
)
from bennu.traces.annotations.store import (
    Placed,
    Waiting,
    add_waiting,
    are_known_documents,
    count_waiting,
    delete_annotations,
    list_annotations,
    upsert_annotations,
)
from bennu.traces.annotations.targets import TARGETS, find_targets
from bennu.traces.projects.flow import visible_project
from bennu.traces.projects.store import Project
from bennu.traces.spans.cursors import row_of_id_cursor

#: More do not wait at once; whoever sends them is told to come again.
MOST_WAITING: Final = 20_000
_DELETED_AT_ONCE: Final = 5_000
_NAMED_IN_A_REFUSAL: Final = 20


@dataclass(frozen=True, slots=True)
class Posted:
    """One annotation as it was sent: what it is about, and what it says."""

    target: str
    annotation: Annotation


@dataclass(frozen=True, slots=True)
class AnnotationQuery:
    """One page of the annotations of a project.

    Args:
        targets: ids of what they are about; None for any.
        identifiers: any of them; None for any.
        names: only these; None for all.
        but_not: none of these.
        cursor: of the page before, or None.
        limit: 1 or more.
    """

    targets: tuple[str, ...] | None
    identifiers: tuple[str, ...] | None
    names: tuple[str, ...] | None
    but_not: tuple[str, ...]
    cursor: str | None
    limit: int


@dataclass(frozen=True, slots=True)
class AnnotationPage:
    """Some annotations, newest first, and where the next page starts."""

    annotations: tuple[StoredAnnotation, ...]
    next_cursor: str | None


class Annotations:
    """The use cases around annotations of every kind."""

    def __init__(self, database: Database, clock: Clock, entropy: Entropy, audit: AuditLog) -> None:
        self._database, self._clock, self._entropy, self._audit = database, clock, entropy, audit

    def _now(self) -> int:
        return to_microseconds(self._clock.now_utc())

    async def annotate(
        self, caller: Caller, kind: AnnotationKind, given: Sequence[Posted], *, at_once: bool
    ) -> list[str]:
        """Write annotations, all or none; one of the same name and identifier is replaced.

        Args:
            caller: who writes them.
            kind: what they are about.
            given: in the order of the request.
            at_once: refuse where something is not there yet, instead of waiting for it.

        Returns:
            Their public ids in the order given; empty unless they were to be written at once.

        Raises:
            NotFoundError: something is none that the caller may see, and they do not wait.
            InvalidError: an annotation cannot be stored, or names a document that is not there.
            AmbiguousTargetError: an id stands in several projects that the caller may see.
            UnavailableError: too many wait already.
            TooLargeError: one is too large to wait.
        """
        require(caller.principal, Permission.ANNOTATIONS_WRITE)
        for number, posted in enumerate(given):
            check_annotation(posted.annotation, ("body", "data", number))
        if not given:
            return []
        now, author = self._now(), author_of(caller)

        def work(connection: Connection) -> list[int]:
            places = find_targets(
                connection,
                kind,
                {posted.target for posted in given},
                visible_project_rows=caller.principal.project_ids,
            )
            missing = [posted for posted in given if posted.target not in places]
            if missing and at_once:
                raise _missing(kind, missing)
            here = [p for p in given if p.target in places]
            placed = [Placed(places[p.target], p.annotation, author) for p in here]
            _refuse_unknown_documents(connection, kind, placed, [p.target for p in here])
            rows = upsert_annotations(connection, kind, placed, now)
            if missing:
                _let_wait(connection, caller, kind, missing, now)
            return rows

        rows = await self._database.write(work)
        return [global_id(GLOBAL_KINDS[kind], row) for row in rows] if at_once else []

    async def add_note(
        self, caller: Caller, kind: AnnotationKind, target: str, note: str, identifier: str
    ) -> str:
        """Write a note; one of the same identifier is replaced, without one it is a further one.

        Returns:
            Its public id.

        Raises:
            NotFoundError: there is no such thing that the caller may see.
            InvalidError: the note is blank, or its identifier is too long.
            AmbiguousTargetError: the id stands in several projects that the caller may see.
        """
        require(caller.principal, Permission.ANNOTATIONS_WRITE)
        text = note.strip()
        if not text:
            raise InvalidError("note must not be blank")
        # A name of its own, since the one of notes is refused for annotations.
        check_annotation(Annotation("-", "HUMAN", identifier=identifier), ("body", "data"))
        own = uuid.UUID(bytes=self._entropy.bytes(16), version=4)
        said = Annotation(
            NOTE, "HUMAN", explanation=text, identifier=identifier or f"px-{kind}-note:{own}"
        )
        now, author = self._now(), author_of(caller)

        def work(connection: Connection) -> int:
            visible = caller.principal.project_ids
            places = find_targets(connection, kind, [target], visible_project_rows=visible)
            if target not in places:
                raise _missing(kind, [Posted(target, said)])
            placed = [Placed(places[target], said, author)]
            return upsert_annotations(connection, kind, placed, now)[0]

        return global_id(GLOBAL_KINDS[kind], await self._database.write(work))

    async def page_of_project(
        self, caller: Caller, kind: AnnotationKind, project: str, query: AnnotationQuery
    ) -> AnnotationPage:
        """Return one page of the annotations of a project, newest first.

        Raises:
            NotFoundError: there is no such project that the caller may see, or it holds none of
                the things that were named.
            InvalidError: nothing was named, or the cursor is not one.
        """
        require(caller.principal, Permission.ANNOTATIONS_READ)
        if query.targets is None and query.identifiers is None:
            word = TARGETS[kind].thing_id
            raise InvalidError(f"At least one of {word}s and identifier must be given")
        newest = None
        if query.cursor is not None:
            newest = row_of_id_cursor(query.cursor, GLOBAL_KINDS[kind])

        def work(connection: Connection) -> list[StoredAnnotation]:
            found = visible_project(connection, caller, project, Permission.ANNOTATIONS_READ)
            rows = _named_rows(connection, kind, found, query.targets)
            wanted = AnnotationFilter(rows, query.identifiers, query.names, query.but_not)
            limit = query.limit + 1
            return list_annotations(connection, kind, found.row_id, wanted, newest, limit)

        found = await self._database.read(work)
        following = None
        if len(found) > query.limit:
            following = global_id(GLOBAL_KINDS[kind], found[query.limit].row_id)
        return AnnotationPage(tuple(found[: query.limit]), following)

    async def delete(
        self, caller: Caller, kind: AnnotationKind, project: str, deletion: AnnotationDeletion
    ) -> None:
        """Delete annotations of a project, one's own unless one administers the project.

        It goes in several transactions where there are many, each with its record.

        Raises:
            NotFoundError: there is no such project that the caller may see.
            InvalidError: nothing bounds the deletion and the caller did not say that it means it.
        """
        require(caller.principal, Permission.ANNOTATIONS_WRITE)
        deletion.require_bounds()
        is_admin = caller.principal.may(Permission.PROJECTS_UPDATE)
        own = None if is_admin else author_of(caller)

        def work(connection: Connection) -> bool:
            found = visible_project(connection, caller, project, Permission.ANNOTATIONS_WRITE)
            count = delete_annotations(
                connection, kind, found.row_id, deletion, own, _DELETED_AT_ONCE
            )
            if count:
                self._audit.record(connection, _deleted(kind, found, deletion, count), caller)
            return count == _DELETED_AT_ONCE

        while await self._database.write(work):
            pass


def author_of(caller: Caller) -> Author:
    """Return who writes, as it is kept with each annotation."""
    principal = caller.principal
    source = "APP" if principal.is_session else "API"
    return Author(source, principal.public_id, principal.user_id)


def _refuse_unknown_documents(
    connection: Connection, kind: AnnotationKind, placed: Sequence[Placed], names: Sequence[str]
) -> None:
    """Refuse annotations of documents that their span does not hold.

    Raises:
        InvalidError: names the first one.
    """
    known = are_known_documents(connection, kind, placed)
    for one, name, is_known in zip(placed, names, known, strict=True):
        if not is_known:
            position = one.annotation.document_position
            raise InvalidError(f"Span {name[:200]} holds no document at position {position}")


def _named_rows(
    connection: Connection,
    kind: AnnotationKind,
    project: Project,
    targets: tuple[str, ...] | None,
) -> tuple[int, ...] | None:
    if targets is None:
        return None
    places = find_targets(connection, kind, targets, project_row=project.row_id)
    if not places:
        words = TARGETS[kind].words
        raise NotFoundError(f"{words[1]} not found in project {project.name}")
    return tuple({place.row_id for place in places.values()})


def _missing(kind: AnnotationKind, missing: Sequence[Posted]) -> NotFoundError:
    names = list(dict.fromkeys(posted.target[:200] for posted in missing))
    shown = ", ".join(names[:_NAMED_IN_A_REFUSAL])
    return NotFoundError(f"{TARGETS[kind].words[1]} with IDs {shown} do not exist.")


def _let_wait(
    connection: Connection,
    caller: Caller,
    kind: AnnotationKind,
    missing: Sequence[Posted],
    now: int,
) -> None:
    if count_waiting(connection) + len(missing) > MOST_WAITING:
        raise UnavailableError(
            "Too many annotations wait for what they are about", retry_after_seconds=60
        )
    author, projects = author_of(caller), caller.principal.project_ids
    add_waiting(
        connection,
        [Waiting(0, kind, p.target, projects, p.annotation, author, now) for p in missing],
    )


def _deleted(
    kind: AnnotationKind, project: Project, deletion: AnnotationDeletion, count: int
) -> AuditEvent:
    asked = {"name": deletion.name, "annotator_kind": deletion.annotator_kind}
    return AuditEvent(
        EventName.ANNOTATION_DELETED,
        Outcome.SUCCEEDED,
        target=Target(kind="project", id=project.public_id, name=project.name),
        before={k: v for k, v in asked.items() if v is not None} | {"kind": str(kind)},
        after={"deleted": count},
    )
