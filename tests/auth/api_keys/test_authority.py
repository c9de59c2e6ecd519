"""Who may touch a key."""

from dataclasses import replace

import pytest

from bennu.access import Caller, Permission, Principal, PrincipalKind
from bennu.auth.api_keys.authority import (
    key_id_of,
    key_row_of,
    known_to,
    recorded_fields,
    refuse_keys,
)
from bennu.auth.api_keys.store import SYSTEM_KEYS, USER_KEYS, ApiKey
from bennu.kernel.errors import DeniedError, InvalidError, NotFoundError
from bennu.kernel.ids import global_id

KEY = ApiKey(
    row_id=7,
    kind=USER_KEYS,
    user_id=3,
    name="key",
    description="d",
    permissions='["traces:read"]',
    projects="[4]",
    created_at=0,
    expires_at=1_000_000,
    last_used_at=None,
    last_used_address=None,
    replaced_by=None,
    role=None,
    username="ada",
    email="ada@example.com",
    lookup="0Ab",
)
MACHINES = {PrincipalKind.USER_KEY, PrincipalKind.SYSTEM_KEY, PrincipalKind.CERTIFICATE}
SERVICE = replace(KEY, kind=SYSTEM_KEYS, user_id=None)


def user(user_id: int | None, *permissions: Permission) -> Caller:
    return Caller(
        Principal(PrincipalKind.USER, user_id=user_id, permissions=frozenset(permissions))
    )


def test_a_key_is_known_to_its_owner_and_to_those_who_manage_keys() -> None:
    assert known_to(user(3), KEY) == KEY
    assert known_to(user(4, Permission.API_KEYS_MANAGE), KEY) == KEY
    assert known_to(user(None, Permission.API_KEYS_MANAGE), SERVICE) == SERVICE
    for caller, key in ((user(4), KEY), (user(None), SERVICE), (user(None), KEY), (user(3), None)):
        with pytest.raises(NotFoundError):
            known_to(caller, key)


def test_ids_name_the_kind() -> None:
    assert key_row_of(key_id_of(KEY), USER_KEYS) == 7
    for identifier, kind in (
        (key_id_of(KEY), SYSTEM_KEYS),
        (global_id("User", 7), USER_KEYS),
        ("7", USER_KEYS),
        ("", USER_KEYS),
    ):
        with pytest.raises(InvalidError):
            key_row_of(identifier, kind)


def test_keys_are_refused_and_others_are_not() -> None:
    for kind in PrincipalKind:
        caller = Caller(Principal(kind))
        if kind in MACHINES:
            with pytest.raises(DeniedError, match=r"^no keys$"):
                refuse_keys(caller, "no keys")
        else:
            refuse_keys(caller, "no keys")


def test_a_record_says_what_the_key_may_do() -> None:
    assert recorded_fields(KEY) == {
        "kind": "user",
        "role": None,
        "permissions": ["traces:read"],
        "projects": [global_id("Project", 4)],
        "expires_at": "1970-01-01T00:00:01+00:00",
    }
