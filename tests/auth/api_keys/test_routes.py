"""The REST interface of API keys; what the flows refuse is tested with them."""

from typing import Any

import httpx
import pytest

from bennu.auth.api_keys.flow import NewApiKey
from bennu.kernel.secret import Secret
from fakes.accounts import ADMIN_SECRET, OPERATOR, Accounts

SHOWN = {"id", "name", "created_at"}


async def session_client(accounts: Accounts, role: str = "MEMBER") -> httpx.AsyncClient:
    return accounts.client((await accounts.open(await accounts.add_user("ada", role))).access)


async def make(client: httpx.AsyncClient, path: str = "/v1/user/api_keys", **data: Any) -> Any:
    answer = await client.post(path, json={"data": {"name": "key", **data}})
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


@pytest.mark.asvs("15.3.1")
async def test_a_key_is_shown_once_and_listed_without_itself(accounts: Accounts) -> None:
    async with await session_client(accounts) as client:
        plain = await make(client)
        assert set(plain) == {*SHOWN, "key"}
        made = await make(
            client,
            description="d",
            permissions=["traces:read"],
            expires_at="2030-01-01T00:00:00",
        )
        assert set(made) == {*SHOWN, "key", "description", "permissions", "expires_at"}
        assert made["expires_at"] == "2030-01-01T00:00:00+00:00"
        listed = (await client.get("/v1/user/api_keys")).json()["data"]
        assert listed == [
            {name: value for name, value in key.items() if name != "key"} for key in (made, plain)
        ]


async def test_an_end_beyond_all_dates_is_refused(accounts: Accounts) -> None:
    async with await session_client(accounts) as client:
        data = {"name": "key", "expires_at": "9999-12-31T23:59:59-10:00"}
        answer = await client.post("/v1/user/api_keys", json={"data": data})
        assert answer.status_code == 422
        assert "expires_at" in answer.text
        made = await make(client, expires_at="9999-12-31T23:59:59Z")
        assert made["expires_at"] == "9999-12-31T23:59:59+00:00"


async def test_a_key_is_revoked_by_its_id(accounts: Accounts) -> None:
    async with await session_client(accounts) as client:
        made = await make(client)
        for status in (204, 404):
            answer = await client.delete(f"/v1/user/api_keys/{made['id']}")
            assert answer.status_code == status
        assert (await client.delete("/v1/user/api_keys/nonsense")).status_code == 422


async def test_the_last_use_is_listed(accounts: Accounts) -> None:
    async with await session_client(accounts) as client:
        made = await make(client)
        async with accounts.client(Secret(made["key"])) as user:
            listed = (await user.get("/v1/user/api_keys")).json()["data"]
        assert listed[0]["last_used_at"] == made["created_at"]
        assert listed[0]["last_used_address"] == "127.0.0.1"


async def test_a_system_key_shows_its_role(accounts: Accounts) -> None:
    async with accounts.client(ADMIN_SECRET) as client:
        made = await make(client, "/v1/system/api_keys", role="viewer")
        assert set(made) == {*SHOWN, "key", "role"}
        assert (await client.get("/v1/system/api_keys")).json()["data"][0]["role"] == "VIEWER"
        answer = await client.delete(f"/v1/system/api_keys/{made['id']}")
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await client.get("/v1/system/api_keys")).json() == {"data": []}


async def test_a_rotation_answers_with_the_new_key(accounts: Accounts) -> None:
    async with await session_client(accounts, "ADMIN") as client:
        for path in ("/v1/user/api_keys", "/v1/system/api_keys"):
            old = await make(client, path)
            answer = await client.post(f"{path}/{old['id']}/rotate", json={"overlap_minutes": 5})
            assert answer.status_code == 201
            new = answer.json()["data"]
            assert new["key"] != old["key"]
            assert set(new) == set(old)
            listed = {key["id"]: key for key in (await client.get(path)).json()["data"]}
            assert listed[old["id"]]["replaced_by"] == new["id"]
            assert "expires_at" in listed[old["id"]]
            again = await client.post(f"{path}/{old['id']}/rotate", json={"overlap_minutes": 5})
            assert again.status_code == 409


@pytest.mark.parametrize(
    "body",
    [{}, {"overlap_minutes": -1}, {"overlap_minutes": 1.5}, {"overlap_minutes": 43_201}],
)
async def test_an_overlap_is_a_number_of_minutes(accounts: Accounts, body: Any) -> None:
    async with await session_client(accounts) as client:
        made = await make(client)
        answer = await client.post(f"/v1/user/api_keys/{made['id']}/rotate", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][-1] == "overlap_minutes"


async def test_an_admin_identifies_a_key_and_is_told_its_owner(accounts: Accounts) -> None:
    ada = await accounts.sign_in(await accounts.add_user("ada"))
    made = await accounts.keys.create_user_key(ada, NewApiKey("leaked"))
    service = await accounts.keys.create_system_key(OPERATOR, NewApiKey("service"))
    async with accounts.client(ADMIN_SECRET) as client:
        answer = await client.post("/v1/api_keys/identify", json={"key": made.text.reveal()})
        found = answer.json()["data"]
        assert found["kind"] == "user"
        assert found["user"]["email"] == "ada@example.com"
        assert made.text.reveal() not in answer.text
        answer = await client.post("/v1/api_keys/identify", json={"key": service.text.reveal()})
        assert (answer.json()["data"]["kind"], "user" in answer.json()["data"]) == ("system", False)
        for text, status in (("bnu_uk_nonsense", 422), ("", 422)):
            answer = await client.post("/v1/api_keys/identify", json={"key": text})
            assert (answer.status_code, answer.json()["detail"][0]["input"]) == (status, None)
        for path in ("user", "system"):
            for shown in (await client.get(f"/v1/{path}/api_keys")).json()["data"]:
                await client.delete(f"/v1/{path}/api_keys/{shown['id']}")
        answer = await client.post("/v1/api_keys/identify", json={"key": service.text.reveal()})
        assert (answer.status_code, answer.text) == (404, "API key not found")


async def test_all_keys_are_listed_page_by_page(accounts: Accounts) -> None:
    ada = await accounts.sign_in(await accounts.add_user("ada"))
    for name in ("one", "two", "three"):
        await accounts.keys.create_user_key(ada, NewApiKey(name))
    async with accounts.client(ADMIN_SECRET) as client:
        page = (await client.get("/v1/users/api_keys", params={"limit": 2})).json()
        assert [key["name"] for key in page["data"]] == ["three", "two"]
        assert page["data"][0]["user"]["username"] == "ada"
        following = {"limit": 2, "cursor": page["next_cursor"]}
        rest = (await client.get("/v1/users/api_keys", params=following)).json()
        assert [key["name"] for key in rest["data"]] == ["one"]
        assert rest["next_cursor"] is None
        wrong = await client.get("/v1/users/api_keys", params={"cursor": "nonsense"})
        assert wrong.status_code == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/user/api_keys"),
        ("POST", "/v1/system/api_keys"),
        ("DELETE", "/v1/user/api_keys/x"),
        ("DELETE", "/v1/system/api_keys/x"),
        ("POST", "/v1/user/api_keys/x/rotate"),
        ("POST", "/v1/system/api_keys/x/rotate"),
        ("POST", "/v1/api_keys/identify"),
        ("GET", "/v1/users/api_keys"),
        ("GET", "/v1/system/api_keys"),
    ],
)
async def test_a_key_is_refused_before_anything_else_is_looked_at(
    accounts: Accounts, method: str, path: str
) -> None:
    root = await accounts.sign_in(await accounts.add_user("root", "ADMIN"))
    key = await accounts.keys.create_user_key(root, NewApiKey("key"))
    system = await accounts.keys.create_system_key(OPERATOR, NewApiKey("key", role="ADMIN"))
    for text in (key.text, system.text):
        async with accounts.client(text) as client:
            answer = await client.request(method, path, content=b"nonsense")
        assert answer.status_code == 403
        assert answer.text.startswith("API keys can")
