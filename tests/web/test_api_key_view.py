"""What rows and forms say of keys."""

import json
from dataclasses import replace

import pytest

from bennu.access import Permission
from bennu.auth.api_keys.store import SYSTEM_KEYS, USER_KEYS, ApiKey
from bennu.kernel.errors import SchemaError
from bennu.web.api_key_view import key_row, new_key_of
from bennu.web.forms import Form

DAY = 86_400_000_000
NOW = 1_800_000_000_000_000
KEY = ApiKey(
    1,
    USER_KEYS,
    2,
    "k",
    None,
    None,
    None,
    NOW - DAY,
    None,
    None,
    None,
    None,
    None,
    "ada",
    "a@b.c",
    "0",
)
OWN = frozenset({Permission.TRACES_READ, Permission.TRACES_INGEST})


@pytest.mark.parametrize(
    ("key", "state"),
    [
        (KEY, "valid"),
        (replace(KEY, expires_at=NOW), "expired"),
        (replace(KEY, expires_at=NOW + 13 * DAY), "ends soon"),
        (replace(KEY, expires_at=NOW + 15 * DAY), "valid"),
        (replace(KEY, expires_at=NOW + DAY, replaced_by=9), "replaced"),
    ],
)
def test_states(key: ApiKey, state: str) -> None:
    assert key_row(key, {}, NOW).state == state


def test_rows_name_owner_and_projects() -> None:
    row = key_row(replace(KEY, projects=json.dumps([1, 2])), {1: "one"}, NOW)
    assert row.owner == "ada"
    assert row.prefix == "bnu_uk_0"
    assert row.projects == ("one", "deleted project")
    system = key_row(replace(KEY, kind=SYSTEM_KEYS, role="VIEWER"), {}, NOW)
    assert system.owner == "service account, VIEWER"


def test_with_everything_ticked_a_key_follows_its_owner() -> None:
    form = Form({"name": ["k"], "permissions": [str(p) for p in OWN]})
    assert new_key_of(form, OWN).permissions is None
    fewer = Form({"name": ["k"], "permissions": ["traces:read"], "expires_at": ["2030-01-31"]})
    new = new_key_of(fewer, OWN)
    assert new.permissions == ("traces:read",)
    assert str(new.expires_at) == "2030-01-31 23:59:59+00:00"


def test_a_day_that_is_none_is_refused() -> None:
    with pytest.raises(SchemaError):
        new_key_of(Form({"expires_at": ["31.1.2030"]}), OWN)
