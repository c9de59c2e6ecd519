"""What can be done with projects; every change ends in an audit record.

Spec: line 148. Source: data-plane contract, section 5.
"""

from dataclasses import dataclass
from typing import Final

from bennu.access import Caller, Permission, require
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import DeniedError, InvalidError, NotFoundError
from bennu.kernel.ids import row_id_of
from bennu.storage.database import Connection, Database
from bennu.traces.projects.held import refuse_held_project
from bennu.traces.projects.store import (
    DEFAULT_PROJECT_NAME,
    KIND,
    Project,
    check_project_name,
    delete_project_row,
    find_project,
    insert_project,
    newest_projects,
    update_project_description,
)

#: A page up to this size takes microseconds, so it is read inline on the event loop.
_TINY_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """Some projects and where the next page starts, or None after the last."""

    projects: tuple[Project, ...]
    next_cursor: str | None


def visible_project(
    connection: Connection, caller: Caller, identifier: str, permission: Permission
) -> Project:
    """Return the project that a path names, if this caller may see it.

    Raises:
        NotFoundError: there is none, or the caller is restricted to others.
        DeniedError: the permission is missing.
    """
    require(caller.principal, permission)
    project = find_project(connection, identifier)
    if project is None or not caller.principal.may_see_project(project.row_id):
        by = "ID" if row_id_of(identifier, KIND) is not None else "name"
        raise NotFoundError(f"Project with {by} {identifier} not found")
    return project


def _target_of(project: Project) -> Target:
    return Target(kind="project", id=project.public_id, name=project.name)


class Projects:
    """The use cases around projects."""

    def __init__(self, database: Database, clock: Clock, audit: AuditLog) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit

    def _now(self) -> int:
        return to_microseconds(self._clock.now_utc())

    async def page_of_projects(
        self, caller: Caller, limit: int, cursor: str | None, name_contains: str
    ) -> ProjectPage:
        """Return one page of the projects that the caller may see, newest first.

        Raises:
            InvalidError: the cursor is not one.
        """
        require(caller.principal, Permission.PROJECTS_READ)
        start = None if cursor is None else row_id_of(cursor, KIND)
        if cursor is not None and start is None:
            raise InvalidError(f"Invalid cursor format: {cursor}")
        visible = caller.principal.project_ids
        found = await self._database.read(
            lambda connection: newest_projects(
                connection,
                limit=limit + 1,
                newest_row_id=start,
                name_contains=name_contains,
                visible_row_ids=visible,
            ),
            tiny=limit <= _TINY_PAGE and not name_contains and visible is None,
        )
        following = found[limit].public_id if len(found) > limit else None
        return ProjectPage(tuple(found[:limit]), following)

    async def one_project(self, caller: Caller, identifier: str) -> Project:
        """Return one project by public id or name.

        Raises:
            NotFoundError: there is none that the caller may see.
        """
        return await self._database.read(
            lambda connection: visible_project(
                connection, caller, identifier, Permission.PROJECTS_READ
            ),
            tiny=True,
        )

    async def create_project(self, caller: Caller, name: str, description: str | None) -> Project:
        """Make a project.

        Raises:
            InvalidError: the name is blank or too long, or the description holds NUL.
            DeniedError: the permission is missing, or the key is restricted to projects.
            DuplicateProjectError: the name is taken.
        """
        require(caller.principal, Permission.PROJECTS_CREATE)
        if caller.principal.project_ids is not None:
            raise DeniedError("A key that is restricted to projects cannot create others")
        check_project_name(name)
        _check_description(description)
        now = self._now()

        def work(connection: Connection) -> Project:
            project = insert_project(connection, name, description, now)
            event = AuditEvent(
                EventName.PROJECT_CREATED,
                Outcome.SUCCEEDED,
                target=_target_of(project),
                after={"name": name, "description": description},
            )
            self._audit.record(connection, event, caller)
            return project

        return await self._database.write(work)

    async def describe_project(
        self, caller: Caller, identifier: str, description: str | None
    ) -> Project:
        """Change the description of a project; its name never changes.

        Raises:
            NotFoundError: there is none that the caller may see.
            InvalidError: the description holds NUL.
        """
        _check_description(description)
        now = self._now()

        def work(connection: Connection) -> Project:
            old = visible_project(connection, caller, identifier, Permission.PROJECTS_UPDATE)
            update_project_description(connection, old.row_id, description, now)
            event = AuditEvent(
                EventName.PROJECT_CHANGED,
                Outcome.SUCCEEDED,
                target=_target_of(old),
                before={"description": old.description},
                after={"description": description},
            )
            self._audit.record(connection, event, caller)
            return Project(old.row_id, old.name, description)

        return await self._database.write(work)

    async def delete_project(self, caller: Caller, identifier: str) -> None:
        """Delete a project with everything in it.

        Everything goes in one transaction with its audit record: without the record nothing is
        deleted. Ingest waits meanwhile, for a very large project some seconds.

        Raises:
            NotFoundError: there is none that the caller may see.
            DeniedError: it is the default project.
            ConflictError: a legal hold keeps it, or something in it.
        """

        def work(connection: Connection) -> None:
            project = visible_project(connection, caller, identifier, Permission.PROJECTS_DELETE)
            if project.name == DEFAULT_PROJECT_NAME:
                raise DeniedError("The default project cannot be deleted")
            refuse_held_project(connection, project.row_id)
            delete_project_row(connection, project.row_id)
            event = AuditEvent(
                EventName.PROJECT_DELETED,
                Outcome.SUCCEEDED,
                target=_target_of(project),
                before={"name": project.name, "description": project.description},
            )
            self._audit.record(connection, event, caller)

        await self._database.write(work)


def _check_description(description: str | None) -> None:
    if description is not None and "\x00" in description:
        raise InvalidError("The description must not hold the character NUL")
