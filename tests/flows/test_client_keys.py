"""The key calls of the official client: its own HTTP client, and the shapes that it declares.

Its release has no methods for keys yet, only these types; extra fields are allowed by them.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from phoenix.client import Client
from phoenix.client.__generated__ import v1

from started import ADMIN_SECRET, StartedServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("client")) as started:
        yield started


def http_of(server: StartedServer, bearer: str) -> httpx.Client:
    """Return the HTTP client that the official client makes for itself."""
    made: httpx.Client = Client(base_url=server.base_url, api_key=bearer)._client  # noqa: SLF001
    return made


def checked(answer: httpx.Response, status: int, shape: Any) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-phoenix-server-version"]
    return msgspec.convert(answer.json(), shape)


def test_user_keys_have_the_shapes_that_the_client_declares(server: StartedServer) -> None:
    token = server.admin().cookies["phoenix-access-token"]
    http = http_of(server, token)
    body = v1.CreateApiKeyRequestBody(data=v1.ApiKeyData(name="k", description="d"))
    made = checked(http.post("v1/user/api_keys", json=body), 201, v1.CreateApiKeyResponseBody)
    listed = checked(http.get("v1/user/api_keys"), 200, v1.GetApiKeysResponseBody)["data"]
    assert listed[0] == {name: value for name, value in made["data"].items() if name != "key"}
    everybodys = checked(http.get("v1/users/api_keys"), 200, v1.GetAllUserApiKeysResponseBody)
    assert everybodys["data"][0]["user"]["username"] == "admin"
    assert everybodys["next_cursor"] is None
    with Client(base_url=server.base_url, api_key=made["data"]["key"])._client as own:  # noqa: SLF001
        assert own.get("v1/user/api_keys").status_code == 200
        assert own.post("v1/user/api_keys", json=body).text == "API keys cannot create API keys"
    answer = http.delete(f"v1/user/api_keys/{made['data']['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert http.delete(f"v1/user/api_keys/{made['data']['id']}").status_code == 404
    assert http.delete("v1/user/api_keys/nonsense").status_code == 422


def test_system_keys_have_the_shapes_that_the_client_declares(server: StartedServer) -> None:
    http = http_of(server, ADMIN_SECRET)
    data = v1.ApiKeyData(name="sys", expires_at="2030-01-01T00:00:00+00:00")
    body = v1.CreateApiKeyRequestBody(data=data)
    made = checked(http.post("v1/system/api_keys", json=body), 201, v1.CreateApiKeyResponseBody)
    assert made["data"]["expires_at"] == "2030-01-01T00:00:00+00:00"
    listed = checked(http.get("v1/system/api_keys"), 200, v1.GetApiKeysResponseBody)["data"]
    assert [key["id"] for key in listed] == [made["data"]["id"]]
    assert http.delete(f"v1/system/api_keys/{made['data']['id']}").status_code == 204
    for wrong in ({"name": " "}, {"name": "k", "expires_at": "2020-01-01T00:00:00Z"}):
        assert http.post("v1/system/api_keys", json={"data": wrong}).status_code == 422
