"""The interface document says what the table of routes says. Source: OpenAPI 3.1."""

from typing import Any

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.app import Application
from bennu.httpio.openapi import interface_document
from bennu.httpio.respond import text_answer
from bennu.httpio.route import Door, Query, Route
from fakes.settings import SECRET, read_settings


class Sent(msgspec.Struct):
    name: str
    note: str | None = None


class Got(msgspec.Struct):
    data: Sent


async def handler(_: Request) -> Response:
    return text_answer("")


def route(path: str = "/v1/things", method: str = "GET", **more: Any) -> Route:
    declared = {"permission": Permission.PROJECTS_READ, "summary": "Things", **more}
    return Route(method=method, path=path, handler=handler, **declared)


def operation(made: Route) -> dict[str, Any]:
    document = interface_document([made], "1.2.3")
    (of_path,) = document["paths"].values()
    found: dict[str, Any] = of_path[made.method.lower()]
    return found


def test_the_frame_of_the_document() -> None:
    document = interface_document([route(), route(method="POST", request=Sent)], "1.2.3")
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == "1.2.3"
    assert document["paths"].keys() == {"/v1/things"}
    assert document["paths"]["/v1/things"].keys() == {"get", "post"}
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_bodies_and_answers_are_described_by_their_types() -> None:
    made = route(method="POST", request=Sent, response=Got, status=201)
    document = interface_document([made], "1")
    described = document["paths"]["/v1/things"]["post"]
    body = described["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Sent"}
    answer = described["responses"]["201"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/Got"}
    assert document["components"]["schemas"]["Sent"]["required"] == ["name"]
    other = operation(route(responses_media="text/plain"))
    assert other["responses"]["200"]["content"] == {"text/plain": {}}


def test_parameters_of_path_and_query() -> None:
    query = (
        Query("limit", "integer", minimum=1, maximum=9, meaning="how many"),
        Query("order", allowed=("asc", "desc"), required=True),
        Query("at", "datetime", many=True),
    )
    described = operation(route("/v1/things/{thing:path}/x", query=query))
    of_path, limit, order, at = described["parameters"]
    assert (of_path["name"], of_path["in"], of_path["required"]) == ("thing", "path", True)
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 9}
    assert (limit["description"], limit["required"]) == ("how many", False)
    assert (order["schema"]["enum"], order["required"]) == (["asc", "desc"], True)
    date_time = {"type": "string", "format": "date-time"}
    assert at["schema"] == {"type": "array", "items": date_time}


def test_who_may_use_it_and_what_can_go_wrong() -> None:
    closed = operation(route("/v1/things/{thing}", errors=(409, 413)))
    assert closed["security"] == [{"bearer": []}]
    assert closed["x-permission"] == "projects:read"
    failures = {"400", "401", "403", "404", "409", "413", "422", "429", "503"}
    assert closed["responses"].keys() == {"200", *failures}
    opened = operation(route(permission=Door.OPEN))
    assert opened["security"] == []
    assert not {"401", "403", "404"} & opened["responses"].keys()


def test_hidden_routes_are_left_out() -> None:
    assert interface_document([route(hidden=True)], "1")["paths"] == {}


@pytest.fixture(scope="module")
def of_the_server() -> dict[str, Any]:
    values = {"PHOENIX_SECRET": SECRET, "PHOENIX_SQL_DATABASE_URL": "sqlite:///:memory:"}
    application = Application(read_settings(values, PHOENIX_ENABLE_AUTH="true"))
    return interface_document(application.routes, "1")


def test_every_reference_of_the_servers_own_document_leads_somewhere(
    of_the_server: dict[str, Any],
) -> None:
    schemas = of_the_server["components"]["schemas"]

    def check(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                prefix, _, name = node["$ref"].rpartition("/")
                assert prefix == "#/components/schemas"
                assert name in schemas
            for value in node.values():
                check(value)
        elif isinstance(node, list):
            for value in node:
                check(value)

    check(of_the_server)


def test_operations_of_the_server_have_names_of_their_own_and_summaries(
    of_the_server: dict[str, Any],
) -> None:
    operations = [one for path in of_the_server["paths"].values() for one in path.values()]
    ids = [one["operationId"] for one in operations]
    assert len(set(ids)) == len(ids) > 40
    assert all(one["summary"] for one in operations)
