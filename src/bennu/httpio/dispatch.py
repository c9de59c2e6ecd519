"""From the table of routes to an ASGI application: permission first, then the handler.

Every path under ``/v1`` is served under ``/api/v1`` too (spec line 145). A path that is in no
table is a 404, never a page of the application; to a browser the pages may tell it in their form.

Spec: lines 142-155. Source: OWASP ASVS 5.0 V8.3.1 (rules enforced at one trusted place).
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Router
from starlette.routing import Route as Path
from starlette.types import ASGIApp, Receive, Scope, Send

from bennu.access import Caller, Principal, PrincipalKind, require
from bennu.httpio.request import BLOCKED, CALLER, REFUSAL
from bennu.httpio.respond import error_answer, text_answer
from bennu.httpio.route import Door, Route
from bennu.kernel.errors import (
    AppError,
    DeniedError,
    InvalidError,
    NotFoundError,
    UnauthenticatedError,
)

CHANGE_FIRST: Final = (
    "The password must be changed first: PATCH /v1/user with current_password and password"
)
ACCOUNTS_NEED_AUTHENTICATION: Final = (
    "This action requires authentication to be enabled. "
    "Set the PHOENIX_ENABLE_AUTH environment variable to true."
)
ONLY_PEOPLE: Final = "This action needs a signed-in person; API keys cannot perform it."

#: Told of every refusal for lack of a permission, so that it reaches the audit trail.
DenialListener = Callable[[Caller, Route, AppError], Awaitable[None]]
#: Answers to people that there is no such address (404) or form (405); None leaves it as it is.
StrayAnswer = Callable[[Request, int], Response | None]


def check_route(route: Route, scope: Scope) -> None:
    """Refuse the call unless its caller may use this route.

    Raises:
        UnauthenticatedError: a credential is needed, and none or a bad one came.
        DeniedError: the permission is missing, or the password must be changed first.
    """
    if route.permission is Door.OPEN:
        return
    refusal: AppError | None = scope.get(REFUSAL)
    if refusal is not None:
        raise refusal
    principal: Principal = scope[CALLER].principal
    if principal.kind is PrincipalKind.ANONYMOUS and not principal.permissions:
        raise UnauthenticatedError("Invalid token", detail="no credential")
    if principal.must_change_password and not route.before_password_change:
        raise DeniedError(CHANGE_FIRST, detail="password must be changed")
    if isinstance(route.permission, Door):
        _check_door(route.permission, principal, route.refuses_keys or ONLY_PEOPLE)
    else:
        require(principal, route.permission)
    if route.refuses_keys:
        _check_door(Door.ACCOUNT, principal, "")
        if principal.is_key:
            raise DeniedError(route.refuses_keys, detail="not with an API key")


def _check_door(door: Door, principal: Principal, only_people: str) -> None:
    if door is Door.SIGNED_IN:
        return
    if principal.kind is PrincipalKind.ANONYMOUS:
        raise DeniedError(ACCOUNTS_NEED_AUTHENTICATION, detail="authentication is off")
    if door is Door.PERSON and not principal.is_session:
        raise DeniedError(only_people, detail="not a session")


class PathEndpoint:
    """All methods of one path, as a plain ASGI application."""

    def __init__(
        self, routes: Iterable[Route], on_denied: DenialListener | None, stray: StrayAnswer | None
    ) -> None:
        self._routes = {route.method: route for route in routes}
        if "GET" in self._routes:
            self._routes.setdefault("HEAD", self._routes["GET"])
        self._allow = ", ".join(sorted(self._routes))
        self._on_denied, self._stray = on_denied, stray

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, call, answer; errors of the application become answers here."""
        request = Request(scope, receive)
        route = self._routes.get(scope["method"])
        if route is None:
            answer = self._not_allowed(request)
        else:
            answer = await self._answer(route, request)
        await answer(scope, receive, send)

    def _not_allowed(self, request: Request) -> Response:
        status = HTTPStatus.METHOD_NOT_ALLOWED
        page = None if self._stray is None else self._stray(request, status)
        answer = page or text_answer("Method Not Allowed", status)
        answer.headers["allow"] = self._allow
        return answer

    async def _answer(self, route: Route, request: Request) -> Response:
        try:
            if (blocked := request.scope.get(BLOCKED)) is not None:
                raise blocked
            check_route(route, request.scope)
            _refuse_nul(request.scope)
            return await route.handler(request)
        except ClientDisconnect:
            return text_answer("The client went away", HTTPStatus.BAD_REQUEST)
        except AppError as error:
            if isinstance(error, DeniedError) and self._on_denied is not None:
                await self._on_denied(request.scope[CALLER], route, error)
            if route.on_refusal is not None:
                return await route.on_refusal(request, error)
            return refusal_answer(error, request)


def _refuse_nul(scope: Scope) -> None:
    """Refuse addresses with the character NUL, which nothing stored can hold.

    Raises:
        NotFoundError: it stands in the path, so that there is no such thing.
        InvalidError: it stands in a query parameter.
    """
    if "\0" in scope["path"]:
        raise NotFoundError("Not Found")
    if b"%00" in scope["query_string"]:
        raise InvalidError("Query parameters must not hold the character NUL")


def refusal_answer(error: AppError, request: Request) -> Response:
    """Turn an error into an answer; a 401 says where to learn how to sign in (RFC 9728)."""
    answer = error_answer(error)
    request.scope["bennu.error"] = error
    if isinstance(error, UnauthenticatedError):
        answer.headers["www-authenticate"] = (
            'Bearer realm="Arize Phoenix", '
            f'resource_metadata="{origin_of(request)}/.well-known/oauth-protected-resource"'
        )
    return answer


def origin_of(request: Request) -> str:
    """Return the public origin: the configured root URL, else what the client connected to."""
    root_url: str | None = request.scope.get("bennu.root_url")
    if root_url:
        return root_url.rstrip("/")
    host = request.headers.get("host", "localhost")
    shown = host if all(c.isalnum() or c in ".-:[]_" for c in host) else "localhost"
    return f"{request.scope['scheme']}://{shown}"


def public_address(request: Request) -> str:
    """Return the address that people use, without a slash at the end.

    It is PHOENIX_ROOT_URL; without it, what the client connected to and the path in front.
    """
    origin = origin_of(request)
    has_root_url = bool(request.scope.get("bennu.root_url"))
    return origin if has_root_url else origin + str(request.scope.get("root_path", "")).rstrip("/")


def _not_found(stray: StrayAnswer | None) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        page = None if stray is None else stray(request, HTTPStatus.NOT_FOUND)
        made = page or refusal_answer(NotFoundError("Not Found"), request)
        await made(scope, receive, send)

    return answer


def _whole_path(path: str, endpoint: PathEndpoint) -> Path:
    """Return a route that a whole path matches, and nothing else.

    Why safe: Starlette's own pattern ends in ``$``, which matches before a line break too. The
    layers in front (limits, origins) compare whole paths, and would let such a request by.
    """
    found = Path(path, endpoint)
    found.path_regex = re.compile(found.path_regex.pattern.removesuffix("$") + r"\Z")
    return found


def application_of(
    routes: Sequence[Route],
    on_denied: DenialListener | None = None,
    stray: StrayAnswer | None = None,
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Build the ASGI application of a table of routes.

    Args:
        routes: the table.
        on_denied: told of every refusal for lack of a permission.
        stray: answers people who asked for what is in no table.

    Raises:
        ValueError: the same method stands twice on one path.
    """
    by_path: dict[str, list[Route]] = {}
    for route in routes:
        known = by_path.setdefault(route.path, [])
        if any(other.method == route.method for other in known):
            raise ValueError(f"{route.method} {route.path} is declared twice")
        known.append(route)
    # A fixed word goes before a name in braces at the same place of a path.
    in_order = sorted(by_path.items(), key=lambda item: [s[:1] == "{" for s in item[0].split("/")])
    endpoints = {path: PathEndpoint(of, on_denied, stray) for path, of in in_order}
    paths: list[BaseRoute] = [_whole_path(path, endpoint) for path, endpoint in endpoints.items()]
    paths += [
        _whole_path("/api" + path, endpoint)
        for path, endpoint in endpoints.items()
        if path.startswith("/v1/")
    ]
    return Router(paths, redirect_slashes=False, default=_not_found(stray))
