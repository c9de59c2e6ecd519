"""The addresses and bodies that scripts rely on. Contract: section 4; interfaces: Settings."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from starlette.types import Receive, Scope, Send

from bennu.access import (
    BUILT_IN_ROLES,
    EVERYBODY,
    MEMBER,
    Caller,
    Permission,
    Principal,
    PrincipalKind,
)
from bennu.audit.log import AuditLog
from bennu.auth.oauth2.stored import check_stored_provider
from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.vault import Vault
from bennu.httpio.dispatch import application_of
from bennu.httpio.request import CALLER
from bennu.kernel.ids import SystemEntropy
from bennu.storage.database import Database
from bennu.stored_settings.flow import EnvironmentSettings, StoredSettings
from bennu.stored_settings.routes import stored_settings_routes
from fakes.clock import FrozenClock

KEY = Fernet.generate_key()
GOOGLE = {
    "client_id": "id",
    "client_secret": "hush",
    "oidc_config_url": "https://idp.example.com/x",
}
MEMBERS = Principal(
    kind=PrincipalKind.USER, role=MEMBER, permissions=BUILT_IN_ROLES[MEMBER], user_id=1
)


class As:
    """Calls as some principal, the way the gate would let it through."""

    def __init__(self, settings: StoredSettings) -> None:
        self._app = application_of(stored_settings_routes(settings))
        self.principal = EVERYBODY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[CALLER] = Caller(self.principal)
        await self._app(scope, receive, send)


@pytest.fixture
async def door(database: Database, clock: FrozenClock) -> As:
    entropy = SystemEntropy()
    vault = Vault(Cipher(Keyring(KEY)), clock, entropy)
    audit = AuditLog(database, clock, entropy, vault)
    await audit.start()
    flow = StoredSettings(database, vault, audit, EnvironmentSettings(), check_stored_provider)
    return As(flow)


@pytest.fixture
async def client(door: As) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=door)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


async def test_mail_server_round_trip(client: httpx.AsyncClient) -> None:
    path = "/v1/settings/smtp"
    assert (await client.get(path)).status_code == 404
    body = {"hostname": "smtp.example.com", "port": 465, "username": "u", "password": "hush"}
    stored = await client.put(path, json=body)
    assert stored.status_code == 200
    assert stored.json() == {
        "data": {
            "hostname": "smtp.example.com",
            "port": 465,
            "username": "u",
            "mail_from": "noreply@localhost",
            "validate_certs": True,
            "password_set": True,
            "source": "database",
        }
    }
    del body["password"]
    kept = await client.put(path, json={**body, "mail_from": "Bennu <b@example.com>"})
    assert kept.json()["data"]["password_set"] is True
    gone = await client.put(path, json={**body, "username": None, "password": None})
    assert gone.json()["data"]["password_set"] is False
    assert (await client.get("/api" + path)).json() == gone.json()
    assert "hush" not in stored.text + kept.text + gone.text
    deleted = await client.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await client.delete(path)).status_code == 404


async def test_provider_round_trip(client: httpx.AsyncClient) -> None:
    path = "/v1/settings/oauth2_providers"
    assert (await client.get(path)).json() == {"data": []}
    body = {
        **GOOGLE,
        "scopes": ["groups", "offline_access"],
        "groups_attribute_path": "groups",
        "allowed_groups": ["a", "b"],
        "role_attribute_path": "role",
        "role_mapping": {"boss": "ADMIN"},
        "use_pkce": True,
    }
    stored = await client.put(path + "/my_idp", json=body)
    assert stored.status_code == 200
    expected = {
        "name": "my_idp",
        "client_id": "id",
        "oidc_config_url": "https://idp.example.com/x",
        "scopes": "groups offline_access",
        "groups_attribute_path": "groups",
        "allowed_groups": "a,b",
        "role_attribute_path": "role",
        "role_mapping": "boss:ADMIN",
        "use_pkce": True,
        "client_secret_set": True,
        "source": "database",
    }
    assert stored.json() == {"data": expected}
    assert (await client.get(path)).json() == {"data": [expected]}
    assert "hush" not in (await client.get(path)).text
    assert (await client.delete(path + "/my_idp")).status_code == 204
    assert (await client.delete(path + "/my_idp")).status_code == 404


@pytest.mark.asvs("8.2.3", "15.3.1")
async def test_secrets_answer_with_names_only(client: httpx.AsyncClient) -> None:
    body = {
        "secrets": [
            {"key": "A", "value": "first"},
            {"key": "B", "value": None},
            {"key": "A", "value": "hush"},
        ]
    }
    answer = await client.put("/v1/secrets", json=body)
    assert answer.status_code == 200
    assert answer.json() == {"data": {"upserted_keys": ["A"], "deleted_keys": ["B"]}}
    assert (await client.put("/v1/secrets", json={"secrets": []})).json() == {
        "data": {"upserted_keys": [], "deleted_keys": []}
    }
    assert (await client.get("/v1/secrets")).status_code == 405


@pytest.mark.asvs("2.2.2")
@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/v1/secrets", {}, ["body", "secrets"]),
        ("/v1/secrets", {"secrets": [{"key": "A"}]}, ["body", "secrets", 0, "value"]),
        (
            "/v1/secrets",
            {"secrets": [{"key": "1", "value": "hush"}]},
            ["body", "secrets", 0, "key"],
        ),
        ("/v1/secrets", {"secrets": [{"key": "A", "value": 1}]}, None),
        ("/v1/settings/smtp", {"port": 25}, ["body", "hostname"]),
        ("/v1/settings/smtp", {"hostname": "m", "port": "x"}, ["body", "port"]),
        ("/v1/settings/smtp", {"hostname": "m", "port": 0}, ["body", "port"]),
        ("/v1/settings/smtp", {"hostname": "m", "mail_from": "hush"}, ["body", "mail_from"]),
        ("/v1/settings/smtp", {"hostname": "m", "tls": True}, None),
        ("/v1/settings/oauth2_providers/x", {"client_id": "x"}, ["body", "oidc_config_url"]),
        (
            "/v1/settings/oauth2_providers/x",
            {**GOOGLE, "allowed_groups": ["a,b"]},
            ["body", "allowed_groups"],
        ),
        ("/v1/settings/oauth2_providers/x", {**GOOGLE, "private_key_file": "/etc/passwd"}, None),
        ("/v1/settings/oauth2_providers/X", GOOGLE, ["path", "name"]),
    ],
)
async def test_a_wrong_body_is_refused_by_the_name_of_its_field(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], where: list[str | int] | None
) -> None:
    answer = await client.put(path, json=body)
    assert answer.status_code == 422, answer.text
    detail = answer.json()["detail"]
    if where is not None:
        assert where in [item["loc"] for item in detail]
    assert "hush" not in answer.text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"secrets":' * 5000])
async def test_what_is_no_body_is_refused(client: httpx.AsyncClient, content: bytes) -> None:
    for path in ("/v1/secrets", "/v1/settings/smtp", "/v1/settings/oauth2_providers/x"):
        assert (await client.put(path, content=content)).status_code in {400, 422}


@pytest.mark.asvs("13.3.2")
async def test_permissions(client: httpx.AsyncClient, door: As) -> None:
    calls = [
        ("GET", "/v1/settings/smtp", Permission.SETTINGS_MANAGE),
        ("PUT", "/v1/settings/smtp", Permission.SETTINGS_MANAGE),
        ("DELETE", "/v1/settings/smtp", Permission.SETTINGS_MANAGE),
        ("GET", "/v1/settings/oauth2_providers", Permission.SETTINGS_MANAGE),
        ("PUT", "/v1/settings/oauth2_providers/x", Permission.SETTINGS_MANAGE),
        ("DELETE", "/v1/settings/oauth2_providers/x", Permission.SETTINGS_MANAGE),
        ("PUT", "/v1/secrets", Permission.SECRETS_MANAGE),
    ]
    for method, path, needed in calls:
        for permissions, is_let_in in [
            (MEMBERS.permissions, False),
            (frozenset(Permission) - {needed}, False),
            (frozenset({needed}), True),
        ]:
            door.principal = Principal(kind=PrincipalKind.USER, permissions=permissions, user_id=1)
            answer = await client.request(method, path, content=json.dumps({"x": 1}))
            assert (answer.status_code != 403) is is_let_in, (method, path, answer.text)
