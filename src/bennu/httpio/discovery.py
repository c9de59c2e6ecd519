"""How a client finds out what this server is: its version, its interface, how to sign in.

Source: RFC 9728 (protected resource metadata), RFC 9116 (security.txt).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from bennu.httpio.dispatch import origin_of
from bennu.httpio.frame import SERVER_VERSION
from bennu.httpio.openapi import interface_document
from bennu.httpio.respond import json_answer, text_answer
from bennu.httpio.route import Door, Limit, Route
from bennu.httpio.security_txt import SECURITY_TXT_PATH, SecurityContactSettings
from bennu.kernel.clock import Clock
from bennu.kernel.errors import NotFoundError


def discovery_routes(
    table: Callable[[], Sequence[Route]], contact: SecurityContactSettings, clock: Clock
) -> tuple[Route, ...]:
    """Return the routes.

    Args:
        table: gives all routes once they are known.
        contact: whom to tell of a vulnerability; the file is missing when it names nobody.
        clock: what ``Expires`` of that file is counted from.
    """
    made: dict[str, Any] = {}

    async def version(_: Request) -> Response:
        return text_answer(SERVER_VERSION)

    async def openapi(_: Request) -> Response:
        if not made:
            made.update(interface_document(table(), SERVER_VERSION))
        return json_answer(made)

    async def protected_resource(request: Request) -> Response:
        origin = origin_of(request)
        return json_answer(
            {
                "resource": origin,
                "authorization_servers": [],
                "bearer_methods_supported": ["header"],
                "resource_name": "Bennu",
            }
        )

    async def robots(_: Request) -> Response:
        return text_answer("User-agent: *\nDisallow: /\n")

    async def security_txt(request: Request) -> Response:
        if not contact.contacts:
            raise NotFoundError("Not Found")
        return text_answer(contact.text(clock.now_utc(), request.scope.get("bennu.root_url")))

    return (
        _open("/arize_phoenix_version", version, "The version that clients compare with theirs"),
        Route(
            method="GET",
            path="/openapi.json",
            handler=openapi,
            permission=Door.SIGNED_IN,
            summary="This interface as an OpenAPI document",
            response=dict,
        ),
        _open(
            "/.well-known/oauth-protected-resource",
            protected_resource,
            "Where and how to present a bearer credential",
            "application/json",
        ),
        _open("/robots.txt", robots, "Crawlers are asked to stay away"),
        replace(
            _open(SECURITY_TXT_PATH, security_txt, "Whom to tell of a vulnerability"), errors=(404,)
        ),
    )


def _open(path: str, handler: Any, summary: str, media: str = "text/plain") -> Route:  # noqa: ANN401
    return Route(
        method="GET",
        path=path,
        handler=handler,
        permission=Door.OPEN,
        limit=Limit.NONE,
        summary=summary,
        responses_media=media,
    )
