"""``/v1/annotation_configs`` and ``/v1/projects/{project}/annotation_configs``.

Source: data-plane contract, section 9.
"""

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, json_of, path_value, query_values
from bennu.httpio.respond import empty_answer, json_answer
from bennu.httpio.route import Query, Route
from bennu.traces.annotation_configs.flow import AnnotationConfigs, public_id_of
from bennu.traces.annotation_configs.model import (
    CategoricalGiven,
    ConfigGiven,
    ContinuousGiven,
    FreeformGiven,
    StoredConfig,
)

_DEFAULT_LIMIT: Final = 100
_MOST_LIMIT: Final = 1_000
_TAGS: Final = ("annotation configs",)


class CategoricalShown(CategoricalGiven, kw_only=True):
    """One of some labels."""

    id: str


class ContinuousShown(ContinuousGiven, kw_only=True):
    """A number."""

    id: str


class FreeformShown(FreeformGiven, kw_only=True):
    """A free text, perhaps with a score."""

    id: str


ConfigShown = CategoricalShown | ContinuousShown | FreeformShown


class ConfigAnswer(msgspec.Struct):
    """One annotation config."""

    data: ConfigShown


class ConfigListAnswer(msgspec.Struct):
    """One page of annotation configs, newest first."""

    data: list[ConfigShown]
    next_cursor: str | None


class AssignConfigsBody(msgspec.Struct):
    """The configs that a project has from now on, by id or name."""

    annotation_config_ids: list[str]


_LIST_QUERY: Final = (
    Query("cursor", meaning="next_cursor of the page before"),
    Query(
        "limit",
        kind="integer",
        minimum=1,
        meaning=f"configs per page, {_DEFAULT_LIMIT} by default; at most {_MOST_LIMIT} come",
    ),
)


def _shown(config: StoredConfig) -> dict[str, Any]:
    return {
        "name": config.name,
        "type": config.type,
        **config.config,
        "id": public_id_of(config),
    }


class _ConfigHandlers:
    def __init__(self, flow: AnnotationConfigs) -> None:
        self._flow = flow

    async def list(self, request: Request) -> Response:
        return await self._list(request, None)

    async def list_of_project(self, request: Request) -> Response:
        return await self._list(request, path_value(request, "project"))

    async def _list(self, request: Request, project: str | None) -> Response:
        values: Any = query_values(request, _LIST_QUERY)
        limit = min(values["limit"] or _DEFAULT_LIMIT, _MOST_LIMIT)
        page = await self._flow.page(caller_of(request), project, values["cursor"], limit)
        data = [_shown(config) for config in page.configs]
        return json_answer({"data": data, "next_cursor": page.next_cursor})

    async def get(self, request: Request) -> Response:
        config = await self._flow.one_config(caller_of(request), path_value(request, "config"))
        return json_answer({"data": _shown(config)})

    async def create(self, request: Request) -> Response:
        given: ConfigGiven = await json_of(request, ConfigGiven)  # type: ignore[arg-type]
        config = await self._flow.create_config(caller_of(request), given)
        return json_answer({"data": _shown(config)})

    async def replace(self, request: Request) -> Response:
        given: ConfigGiven = await json_of(request, ConfigGiven)  # type: ignore[arg-type]
        config = await self._flow.replace_config(
            caller_of(request), path_value(request, "config"), given
        )
        return json_answer({"data": _shown(config)})

    async def delete(self, request: Request) -> Response:
        config = await self._flow.delete_config(caller_of(request), path_value(request, "config"))
        return json_answer({"data": _shown(config)})

    async def assign(self, request: Request) -> Response:
        config = await self._flow.assign_one(
            caller_of(request), path_value(request, "project"), path_value(request, "config")
        )
        return json_answer({"data": _shown(config)})

    async def unassign(self, request: Request) -> Response:
        await self._flow.unassign_one(
            caller_of(request), path_value(request, "project"), path_value(request, "config")
        )
        return empty_answer()

    async def assign_exactly(self, request: Request) -> Response:
        body = await json_of(request, AssignConfigsBody)
        configs = await self._flow.assign_exactly(
            caller_of(request), path_value(request, "project"), body.annotation_config_ids
        )
        return json_answer({"data": [_shown(one) for one in configs], "next_cursor": None})


def annotation_config_routes(flow: AnnotationConfigs) -> tuple[Route, ...]:
    """Return the routes of annotation configs."""
    handlers = _ConfigHandlers(flow)
    return (*_of_configs(handlers), *_of_projects(handlers))


def _of_configs(handlers: _ConfigHandlers) -> tuple[Route, ...]:
    path = "/v1/annotation_configs"
    return (
        Route(
            method="GET",
            path=path,
            handler=handlers.list,
            permission=Permission.ANNOTATIONS_READ,
            summary="List annotation configs, newest first",
            response=ConfigListAnswer,
            query=_LIST_QUERY,
            tags=_TAGS,
        ),
        Route(
            method="POST",
            path=path,
            handler=handlers.create,
            permission=Permission.ANNOTATIONS_WRITE,
            summary="Create an annotation config",
            request=ConfigGiven,  # type: ignore[arg-type]
            response=ConfigAnswer,
            events=(EventName.ANNOTATION_CONFIG_CREATED,),
            errors=(409,),
            tags=_TAGS,
        ),
        Route(
            method="GET",
            path=path + "/{config}",
            handler=handlers.get,
            permission=Permission.ANNOTATIONS_READ,
            summary="Read one annotation config by id or name",
            response=ConfigAnswer,
            tags=_TAGS,
        ),
        Route(
            method="PUT",
            path=path + "/{config}",
            handler=handlers.replace,
            permission=Permission.ANNOTATIONS_WRITE,
            summary="Replace an annotation config",
            request=ConfigGiven,  # type: ignore[arg-type]
            response=ConfigAnswer,
            events=(EventName.ANNOTATION_CONFIG_CHANGED,),
            errors=(409,),
            tags=_TAGS,
        ),
        Route(
            method="DELETE",
            path=path + "/{config}",
            handler=handlers.delete,
            permission=Permission.ANNOTATIONS_WRITE,
            summary="Delete an annotation config; annotations of its name stay",
            response=ConfigAnswer,
            events=(EventName.ANNOTATION_CONFIG_DELETED,),
            tags=_TAGS,
        ),
    )


def _of_projects(handlers: _ConfigHandlers) -> tuple[Route, ...]:
    path = "/v1/projects/{project}/annotation_configs"
    assigned = (EventName.ANNOTATION_CONFIG_ASSIGNED,)
    return (
        Route(
            method="GET",
            path=path,
            handler=handlers.list_of_project,
            permission=Permission.ANNOTATIONS_READ,
            summary="List the annotation configs of a project, newest first",
            response=ConfigListAnswer,
            query=_LIST_QUERY,
            tags=_TAGS,
        ),
        Route(
            method="PUT",
            path=path,
            handler=handlers.assign_exactly,
            permission=Permission.ANNOTATIONS_WRITE,
            summary="Give a project these annotation configs and no others",
            request=AssignConfigsBody,
            response=ConfigListAnswer,
            events=assigned,
            tags=_TAGS,
        ),
        Route(
            method="PUT",
            path=path + "/{config}",
            handler=handlers.assign,
            permission=Permission.ANNOTATIONS_WRITE,
            summary="Assign an annotation config to a project",
            response=ConfigAnswer,
            events=assigned,
            tags=_TAGS,
        ),
        Route(
            method="DELETE",
            path=path + "/{config}",
            handler=handlers.unassign,
            permission=Permission.ANNOTATIONS_WRITE,
            summary="Take an annotation config away from a project",
            status=204,
            events=assigned,
            tags=_TAGS,
        ),
    )
