"""Empty but valid lists of what Bennu does not keep, so that clients that list everything go on.

Source: data-plane contract, section 13 (stage c2).
"""

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.httpio.request import path_value, query_values
from bennu.httpio.respond import json_answer
from bennu.httpio.route import Query, Route
from bennu.kernel.errors import NotFoundError


class EmptyListAnswer(msgspec.Struct):
    """A list that is always empty."""

    data: list[dict[str, Any]]
    next_cursor: str | None


_LIST_QUERY: Final = (
    Query("cursor", meaning="accepted, without effect"),
    Query("limit", kind="integer", minimum=1, meaning="accepted, without effect"),
    Query("name", meaning="accepted, without effect"),
)


async def _nothing(request: Request) -> Response:
    query_values(request, _LIST_QUERY)
    return json_answer(EmptyListAnswer([], None))


async def _no_dataset(request: Request) -> Response:
    raise NotFoundError(f"Dataset {path_value(request, 'dataset')[:200]} not found")


def absent_routes() -> tuple[Route, ...]:
    """Return the routes that answer with nothing."""
    return (
        *(
            Route(
                method="GET",
                path=f"/v1/{what}",
                handler=_nothing,
                permission=Permission.PROJECTS_READ,
                summary=f"Bennu keeps no {what}: an empty list",
                response=EmptyListAnswer,
                query=_LIST_QUERY,
                tags=(what,),
            )
            for what in ("datasets", "prompts", "experiments")
        ),
        Route(
            method="GET",
            path="/v1/datasets/{dataset}/experiments",
            handler=_no_dataset,
            permission=Permission.PROJECTS_READ,
            summary="Bennu keeps no experiments: there is no such dataset",
            response=EmptyListAnswer,
            tags=("experiments",),
        ),
    )
