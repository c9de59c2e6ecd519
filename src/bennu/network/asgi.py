"""The few words of ASGI that the layers of this folder share, without a framework.

Source: ASGI specification 3.0, HTTP connection scope.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


def header_values(scope: Scope, name: bytes) -> list[str]:
    """Return all values of one header, in the order of the request.

    Args:
        scope: of the request.
        name: in lower case.
    """
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def route_path(scope: Scope) -> str:
    """Return the path as the table of routes has it: without root path, aliases resolved.

    Every path under ``/v1`` is served under ``/api/v1`` too, and is the same route.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root:
        path = path.removeprefix(root)
    return path[4:] if path.startswith("/api/v1/") else path
