"""The interface document, made from the table of routes and nothing else.

Source: OpenAPI Specification 3.1.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from bennu.httpio.route import Door, Query, Route

_PATH_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
_KINDS: Final = {"datetime": {"type": "string", "format": "date-time"}}
_ERROR_TEXTS: Final = {
    400: "The request cannot be read",
    401: "No credential, or one that is not valid",
    403: "The caller may not do this",
    404: "There is no such thing, or none that the caller may see",
    409: "It exists already, or its state forbids the change",
    413: "The body is too large",
    415: "The content type or encoding is not supported",
    422: "A field is missing or wrong",
    429: "Too many requests; see Retry-After",
    503: "Not now; see Retry-After",
}


def interface_document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """Describe every route that is not hidden as an OpenAPI 3.1 document."""
    shown = [route for route in routes if not route.hidden]
    types = [t for r in shown for t in (r.request, r.response) if t is not None]
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    schema_of = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in shown:
        path = _PATH_PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Bennu", "version": version},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, schema_of: dict[type, Any]) -> dict[str, Any]:
    is_open = route.permission is Door.OPEN
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "security": [] if is_open else [{"bearer": []}],
        "x-permission": str(route.permission),
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in _PATH_PARAMETER.findall(route.path)
            ),
            *(_parameter(query) for query in route.query),
        ],
        "responses": _responses(route, schema_of, is_open=is_open),
    }
    if route.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema_of[route.request]}},
        }
    if route.tags:
        operation["tags"] = list(route.tags)
    return operation


def _operation_id(route: Route) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", route.path.lower()).strip("_")
    return f"{route.method.lower()}_{words}"


def _parameter(query: Query) -> dict[str, Any]:
    schema: dict[str, Any] = dict(_KINDS.get(query.kind, {"type": query.kind}))
    if query.allowed:
        schema["enum"] = list(query.allowed)
    if query.minimum is not None:
        schema["minimum"] = query.minimum
    if query.maximum is not None:
        schema["maximum"] = query.maximum
    if query.many:
        schema = {"type": "array", "items": schema}
    return {
        "name": query.name,
        "in": "query",
        "required": query.required,
        "description": query.meaning,
        "schema": schema,
    }


def _responses(route: Route, schema_of: dict[type, Any], *, is_open: bool) -> dict[str, Any]:
    success: dict[str, Any] = {"description": route.summary}
    if route.response is not None:
        success["content"] = {"application/json": {"schema": schema_of[route.response]}}
    elif route.responses_media:
        success["content"] = {route.responses_media: {}}
    statuses = {400, 422, 429, 503, *route.errors} | (set() if is_open else {401, 403})
    if "{" in route.path:
        statuses.add(404)
    failures = {
        str(status): {"description": _ERROR_TEXTS.get(status, "Refused")} for status in statuses
    }
    return {str(route.status): success, **dict(sorted(failures.items()))}
