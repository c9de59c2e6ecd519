"""``/v1/projects``: decode the request, call the flow, encode the answer.

Spec: line 148. Source: data-plane contract, section 5.
"""

from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, json_of, path_value, query_values
from bennu.httpio.respond import empty_answer, json_answer
from bennu.httpio.route import Query, Route
from bennu.traces.projects.flow import Projects
from bennu.traces.projects.store import Project

_DEFAULT_LIMIT: Final = 100


class ProjectShown(msgspec.Struct):
    """A project as clients see it."""

    name: str
    description: str | None
    id: str


class ProjectAnswer(msgspec.Struct):
    """One project."""

    data: ProjectShown


class ProjectListAnswer(msgspec.Struct):
    """One page of projects, newest first."""

    data: list[ProjectShown]
    next_cursor: str | None


class CreateProjectBody(msgspec.Struct):
    """What a new project is called."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    description: str | None = None


class UpdateProjectBody(msgspec.Struct):
    """The new description; the name never changes."""

    description: str | None = None


_LIST_QUERY: Final = (
    Query("cursor", meaning="next_cursor of the page before"),
    Query("limit", kind="integer", minimum=1, meaning="projects per page, 100 by default"),
    Query("name_contains", meaning="part of the name, letter case does not matter"),
    Query("include_experiment_projects", kind="boolean", meaning="accepted, without effect"),
    Query("include_dataset_evaluator_projects", kind="boolean", meaning="likewise"),
)


def _shown(project: Project) -> ProjectShown:
    return ProjectShown(project.name, project.description, project.public_id)


class _ProjectHandlers:
    def __init__(self, flow: Projects) -> None:
        self._flow = flow

    async def list(self, request: Request) -> Response:
        values = query_values(request, _LIST_QUERY)
        limit, cursor = values["limit"], values["cursor"]
        page = await self._flow.page_of_projects(
            caller_of(request),
            limit if isinstance(limit, int) else _DEFAULT_LIMIT,
            cursor if isinstance(cursor, str) else None,
            str(values["name_contains"] or ""),
        )
        return json_answer(ProjectListAnswer([_shown(p) for p in page.projects], page.next_cursor))

    async def get(self, request: Request) -> Response:
        project = await self._flow.one_project(caller_of(request), path_value(request, "project"))
        return json_answer(ProjectAnswer(_shown(project)))

    async def create(self, request: Request) -> Response:
        body = await json_of(request, CreateProjectBody)
        project = await self._flow.create_project(caller_of(request), body.name, body.description)
        return json_answer(ProjectAnswer(_shown(project)))

    async def update(self, request: Request) -> Response:
        body = await json_of(request, UpdateProjectBody)
        project = await self._flow.describe_project(
            caller_of(request), path_value(request, "project"), body.description
        )
        return json_answer(ProjectAnswer(_shown(project)))

    async def delete(self, request: Request) -> Response:
        await self._flow.delete_project(caller_of(request), path_value(request, "project"))
        return empty_answer()


def project_routes(flow: Projects) -> tuple[Route, ...]:
    """Return the routes under ``/v1/projects``."""
    handlers = _ProjectHandlers(flow)
    return (
        Route(
            method="GET",
            path="/v1/projects",
            handler=handlers.list,
            permission=Permission.PROJECTS_READ,
            summary="List projects, newest first",
            response=ProjectListAnswer,
            query=_LIST_QUERY,
            tags=("projects",),
        ),
        Route(
            method="POST",
            path="/v1/projects",
            handler=handlers.create,
            permission=Permission.PROJECTS_CREATE,
            summary="Create a project",
            request=CreateProjectBody,
            response=ProjectAnswer,
            events=(EventName.PROJECT_CREATED,),
            errors=(409,),
            tags=("projects",),
        ),
        Route(
            method="GET",
            path="/v1/projects/{project}",
            handler=handlers.get,
            permission=Permission.PROJECTS_READ,
            summary="Read one project by id or name",
            response=ProjectAnswer,
            tags=("projects",),
        ),
        Route(
            method="PUT",
            path="/v1/projects/{project}",
            handler=handlers.update,
            permission=Permission.PROJECTS_UPDATE,
            summary="Change the description of a project",
            request=UpdateProjectBody,
            response=ProjectAnswer,
            events=(EventName.PROJECT_CHANGED,),
            tags=("projects",),
        ),
        Route(
            method="DELETE",
            path="/v1/projects/{project}",
            handler=handlers.delete,
            permission=Permission.PROJECTS_DELETE,
            summary="Delete a project with everything in it",
            status=204,
            events=(EventName.PROJECT_DELETED,),
            tags=("projects",),
        ),
    )
