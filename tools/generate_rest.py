"""Write docs/rest.md from the interface document; ``--check`` only compares.

The same document is served at ``/openapi.json``; this is it for reading.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tools.generate_permissions import application_routes
from tools.generated_page import write_or_compare

from bennu.httpio.openapi import interface_document

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "rest.md"
_INTRODUCTION: Final = """\
# REST reference

This page is generated from the source by `make docs`; a running server gives the same as
`/openapi.json` (OpenAPI 3.1). Paths under `/v1` are served under `/api/v1` too.

Send a bearer credential (`Authorization: Bearer …`) or the cookies of a session. Bodies are JSON
unless something else is said; times are ISO 8601 with a zone. Besides the statuses that are named,
any request may be answered with

| status | when |
| --- | --- |
| 400, 422 | the request cannot be read; a field is missing or wrong, and the answer names it |
| 401, 403 | no valid credential; one that may not do this (not where `open` stands) |
| 404 | under a path with an id: there is no such thing, or none that the caller may see |
| 413 | the body is too large |
| 429, 503 | too many requests; not now. `Retry-After` says when to try again |
"""
#: What every route may answer; not said again at each.
_COMMON: Final = frozenset({"400", "401", "403", "404", "413", "422", "429", "503"})
_AREAS: Final = {
    "auth": "Signing in",
    "oauth2": "Identity providers",
    ".well-known": "Well-known addresses",
}


def rest_page() -> str:
    """Return the whole page."""
    document = interface_document(application_routes(), "")
    areas: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            areas.setdefault(_area(path), []).append((method.upper(), path, operation))
    parts = [_INTRODUCTION]
    for area, operations in sorted(areas.items()):
        parts.append(f"\n## {area}\n")
        for method, path, operation in sorted(operations, key=lambda each: (each[1], each[0])):
            parts.append("\n".join(_operation(method, path, operation)))
    parts.append("\n## Types\n")
    schemas = document["components"]["schemas"]
    parts += ["\n".join(_type(name, schemas[name])) for name in sorted(schemas)]
    return "\n".join(parts) + "\n"


def _area(path: str) -> str:
    parts = path.strip("/").split("/")
    if parts[0] != "v1":
        return _AREAS.get(parts[0], "The server itself")
    name = parts[1]
    if name == "projects" and len(parts) > 3:  # noqa: PLR2004  # /v1/projects/{project}/what
        name = parts[3]
    return name.replace("_", " ").capitalize()


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### {method} {path}\n"
    yield f"{operation['summary']}. Needs `{operation['x-permission']}`.\n"
    queries = [each for each in operation["parameters"] if each["in"] == "query"]
    if queries:
        yield "| parameter | type | |\n| --- | --- | --- |"
        for query in queries:
            required = "required; " if query["required"] else ""
            name, kind = query["name"], _kind(query["schema"])
            yield f"| `{name}` | {kind} | {required}{_cell(query['description'])} |"
        yield ""
    body = operation.get("requestBody")
    if body is not None:
        yield f"- body: {_kind(body['content']['application/json']['schema'])}"
    for status, answer in operation["responses"].items():
        if status not in _COMMON:
            yield f"- {status}: {_answer(status, answer)}"
    yield ""


def _answer(status: str, answer: dict[str, Any]) -> str:
    for media, content in answer.get("content", {}).items():
        return _kind(content["schema"]) if "schema" in content else f"`{media}`"
    return "nothing" if status.startswith("2") else str(answer["description"])


def _type(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    if "description" in schema:
        yield f"{_cell(schema['description'])}\n"
    if "properties" not in schema:
        yield f"{_kind(schema)}\n"
        return
    yield "| field | type | required |\n| --- | --- | --- |"
    required = schema.get("required", ())
    for field, of in schema["properties"].items():
        says = "yes" if field in required else _default(of)
        yield f"| `{field}` | {_kind(of)} | {says} |"
    yield ""


def _default(schema: dict[str, Any]) -> str:
    return f"`{_cell(json.dumps(schema['default']))}`" if "default" in schema else ""


def _kind(schema: dict[str, Any]) -> str:
    """Say in a few words what a value may be."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(_kind(each) for each in schema.get("anyOf") or schema["oneOf"])
    if "enum" in schema:
        return " or ".join(f"`{_cell(json.dumps(value))}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}" if schema.get("items") else "list"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    return f"{schema.get('format') or schema.get('type', 'anything')}{_bounds(schema)}"


def _bounds(schema: dict[str, Any]) -> str:
    words = (
        ("minimum", "at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "at most"),
        ("minLength", "characters, at least"),
        ("maxLength", "characters, at most"),
        ("minItems", "entries, at least"),
        ("maxItems", "entries, at most"),
    )
    return "".join(f", {word} {schema[key]}" for key, word in words if key in schema)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(write_or_compare(PAGE, rest_page(), sys.argv[1:]))
