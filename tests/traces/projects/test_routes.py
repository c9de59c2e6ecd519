"""Projects over HTTP, in the shapes of samples 005 to 014 and 085. Contract: section 5."""

from typing import Any

import httpx
import pytest

from bennu.access import MEMBER
from fakes.principals import user_with_role

DEFAULT = {"name": "default", "description": "Default project", "id": "UHJvamVjdDox"}


async def test_the_life_of_a_project(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/projects", json={"name": "p1", "description": "d"})
    p1 = {"name": "p1", "description": "d", "id": "UHJvamVjdDoy"}
    assert (answer.status_code, answer.json()) == (200, {"data": p1})
    again = await client.post("/v1/projects", json={"name": "p1"})
    assert again.status_code == 409
    listed = await client.get("/v1/projects")
    assert listed.json() == {"data": [p1, DEFAULT], "next_cursor": None}
    for identifier in ("p1", p1["id"]):
        answer = await client.get(f"/v1/projects/{identifier}")
        assert (answer.status_code, answer.json()) == (200, {"data": p1})
    changed = await client.put("/v1/projects/p1", json={"description": "d2"})
    assert changed.json() == {"data": {**p1, "description": "d2"}}
    gone = await client.delete("/v1/projects/p1")
    assert (gone.status_code, gone.content) == (204, b"")
    missing = await client.get("/v1/projects/p1")
    assert (missing.status_code, missing.text) == (404, "Project with name p1 not found")
    missing = await client.get("/v1/projects/UHJvamVjdDoy")
    assert (missing.status_code, missing.text) == (404, "Project with ID UHJvamVjdDoy not found")
    kept = await client.delete("/v1/projects/default")
    assert (kept.status_code, kept.text) == (403, "The default project cannot be deleted")


async def test_pages(client: httpx.AsyncClient) -> None:
    for name in "abc":
        await client.post("/v1/projects", json={"name": name})
    first = (await client.get("/v1/projects", params={"limit": 2})).json()
    assert [project["name"] for project in first["data"]] == ["c", "b"]
    # The cursor is the id of the first row of the next page.
    assert first["next_cursor"] == "UHJvamVjdDoy"
    query = {"limit": 2, "cursor": first["next_cursor"]}
    second = (await client.get("/v1/projects", params=query)).json()
    assert [project["name"] for project in second["data"]] == ["a", "default"]
    assert second["next_cursor"] is None


async def test_part_of_a_name_and_parameters_without_effect(client: httpx.AsyncClient) -> None:
    query = {
        "name_contains": "DEF",
        "include_experiment_projects": "false",
        "include_dataset_evaluator_projects": "true",
        "limit": 100,
    }
    answer = await client.get("/v1/projects", params=query)
    assert answer.json() == {"data": [DEFAULT], "next_cursor": None}


@pytest.mark.parametrize("cursor", ["zzz", "U3BhbjoyMA=="])
async def test_bad_cursor(client: httpx.AsyncClient, cursor: str) -> None:
    answer = await client.get("/v1/projects", params={"cursor": cursor})
    assert (answer.status_code, answer.text) == (422, f"Invalid cursor format: {cursor}")


@pytest.mark.parametrize("limit", ["0", "-1", "x"])
async def test_bad_limit(client: httpx.AsyncClient, limit: str) -> None:
    answer = await client.get("/v1/projects", params={"limit": limit})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "limit"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"name": ""}, 422),
        ({"name": "  "}, 422),
        ({"name": 5}, 422),
        ({"name": "a\x00b"}, 422),
        ({"name": "p", "description": "a\x00b"}, 422),
        ({"name": "x" * 5000}, 422),
        ([], 422),
    ],
)
async def test_bad_bodies(client: httpx.AsyncClient, body: Any, status: int) -> None:
    assert (await client.post("/v1/projects", json=body)).status_code == status


async def test_members_create_and_only_admins_change(client: httpx.AsyncClient, door: Any) -> None:
    door.principal = user_with_role(MEMBER)
    assert (await client.post("/v1/projects", json={"name": "p"})).status_code == 200
    for answer in (
        await client.put("/v1/projects/p", json={"description": "x"}),
        await client.delete("/v1/projects/p"),
    ):
        assert answer.status_code == 403
        assert answer.text == "Only admin or system users can perform this action."


async def test_the_second_prefix(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/projects")).json()["data"] == [DEFAULT]
