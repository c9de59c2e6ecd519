"""The user calls of the official client: its own HTTP client, and the shapes that it declares.

Its release has no methods for users yet, only these types; extra fields are allowed by them.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from phoenix.client import Client
from phoenix.client.__generated__ import v1

from started import ADMIN_SECRET, FIRST_PASSWORD, StartedServer

#: The client's union has several types of one shape; each is tried by its own name.
SHAPES = {"LOCAL": v1.LocalUser, "OAUTH2": v1.OAuth2User, "LDAP": v1.LDAPUser}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("client")) as started:
        yield started


@pytest.fixture(scope="module")
def http(server: StartedServer) -> Iterator[httpx.Client]:
    """The HTTP client that the official client makes for itself."""
    with Client(base_url=server.base_url, api_key=ADMIN_SECRET)._client as made:  # noqa: SLF001
        yield made


def checked(user: dict[str, Any]) -> Any:
    return msgspec.convert(user, SHAPES[user["auth_method"]])


@pytest.mark.parametrize(
    "user",
    [
        v1.LocalUserData(
            email="ada@example.com",
            username="ada",
            role="MEMBER",
            auth_method="LOCAL",
            password=FIRST_PASSWORD,
        ),
        v1.LocalUserData(email="cy@example.com", username="cy", role="VIEWER", auth_method="LOCAL"),
        v1.OAuth2UserData(
            email="bob@example.com",
            username="bob",
            role="ADMIN",
            auth_method="OAUTH2",
            oauth2_client_id="client",
            oauth2_user_id="subject",
        ),
        v1.LDAPUserData(email="eve@example.com", username="eve", role="MEMBER", auth_method="LDAP"),
    ],
)
def test_a_user_is_made_and_listed_as_the_client_declares(http: httpx.Client, user: Any) -> None:
    body = v1.CreateUserRequestBody(user=user, send_welcome_email=False)
    answer = http.post("v1/users", json=body)
    assert answer.status_code == 201, answer.text
    made = checked(answer.json()["data"])
    assert {name: made[name] for name in user if name != "password"} == {
        name: value for name, value in user.items() if name != "password"
    }
    listed = http.get("v1/users").json()
    assert listed["next_cursor"] is None
    assert made in [checked(one) for one in listed["data"]]
    gone = http.delete(f"v1/users/{made['id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert http.delete(f"v1/users/{made['id']}").status_code == 404


def test_pages_are_walked_by_the_cursor(http: httpx.Client) -> None:
    for name in ("p1", "p2", "p3"):
        user = {"email": f"{name}@example.com", "username": name, "role": "VIEWER"}
        assert http.post("v1/users", json={"user": user}).status_code == 201
    whole = [user["id"] for user in http.get("v1/users").json()["data"]]
    seen, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = http.get("v1/users", params=query).json()
        seen += [user["id"] for user in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == whole
    for wrong in ({"limit": 0}, {"limit": "x"}, {"cursor": "nonsense"}):
        assert http.get("v1/users", params=wrong).status_code == 422


def test_who_one_is(http: httpx.Client) -> None:
    answer = http.get("v1/user").json()
    msgspec.convert(answer["data"], v1.LocalUser)
    assert answer["data"]["username"] == "system"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"role": "SYSTEM"}, 400),
        ({"role": "OWNER"}, 422),
        ({"email": "nonsense"}, 422),
        ({"email": "admin@localhost.x", "username": "admin"}, 409),
        ({"password": "short"}, 422),
        ({"password": "password1234"}, 422),
        ({"auth_method": "MAGIC"}, 422),
        ({"username": None}, 422),
        ({"username": ""}, 422),
    ],
)
def test_a_bad_user_is_never_a_500(http: httpx.Client, change: dict[str, Any], status: int) -> None:
    user = {
        "email": "x@example.com",
        "username": "x",
        "role": "MEMBER",
        "auth_method": "LOCAL",
        "password": FIRST_PASSWORD,
        **change,
    }
    assert http.post("v1/users", json={"user": user}).status_code == status
