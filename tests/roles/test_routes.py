"""Roles and the catalog of permissions over HTTP."""

import pytest

from bennu.access import BUILT_IN_ROLES, VIEWER, Permission
from fakes.accounts import ADMIN_SECRET, Accounts

NEW = {"name": "Auditor", "permissions": ["audit:read"], "description": "reads the trail"}


async def test_the_catalog_says_what_the_caller_may(accounts: Accounts) -> None:
    viewer = await accounts.open(await accounts.add_user("vi", VIEWER))
    async with accounts.client(viewer.access) as client:
        data = (await client.get("/v1/permissions")).json()["data"]
    assert [p["name"] for p in data] == [str(p) for p in Permission]
    assert {p["name"] for p in data if p["granted"]} == BUILT_IN_ROLES[VIEWER]
    assert all(p["meaning"] for p in data)


async def test_a_role_over_http(accounts: Accounts) -> None:
    async with accounts.client(ADMIN_SECRET) as client:
        made = await client.post("/v1/roles", json=NEW)
        assert made.status_code == 201
        role = made.json()["data"]
        assert {**role, **NEW} == role
        assert (role["built_in"], role["holders"]) == (False, 0)
        assert (await client.get(f"/v1/roles/{role['id']}")).json()["data"] == role
        assert (await client.get("/v1/roles/auditor")).json()["data"] == role
        answer = await client.patch("/v1/roles/Auditor", json={"description": None})
        assert (answer.status_code, answer.json()["data"]["description"]) == (200, None)
        listed = (await client.get("/v1/roles")).json()["data"]
        assert [r["name"] for r in listed] == [*BUILT_IN_ROLES, "Auditor"]
        assert "id" not in listed[0]
        assert (await client.delete("/v1/roles/Auditor")).status_code == 204
        assert (await client.get("/v1/roles/Auditor")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/roles", {**NEW, "permissions": []}, 422),
        ("POST", "/v1/roles", {**NEW, "permissions": ["audit:reed"]}, 422),
        ("POST", "/v1/roles", {**NEW, "name": "a/b"}, 422),
        ("POST", "/v1/roles", {**NEW, "name": "ADMIN"}, 422),
        ("POST", "/v1/roles", {**NEW, "more": 1}, 422),
        ("POST", "/v1/roles", {"name": "x"}, 422),
        ("POST", "/v1/roles", [], 422),
        ("PATCH", "/v1/roles/ADMIN", {"description": "x"}, 403),
        ("PATCH", "/v1/roles/nope", {"description": "x"}, 404),
        ("PATCH", "/v1/roles/VXNlcjox", {}, 404),
        ("DELETE", "/v1/roles/VIEWER", None, 403),
        ("DELETE", "/v1/roles/nope", None, 404),
        ("GET", "/v1/roles/" + "x" * 3000, None, 404),
    ],
)
async def test_a_bad_request_is_told_why(
    accounts: Accounts, method: str, path: str, body: object, status: int
) -> None:
    async with accounts.client(ADMIN_SECRET) as client:
        answer = await client.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.content
