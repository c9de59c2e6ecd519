"""Lists of names and mappings, in each accepted form."""

import json

import pytest

from bennu.auth.ldap.name_lists import read_names, read_role_mappings
from bennu.kernel.env_file import env_of

ROLES = ("ADMIN", "MEMBER", "VIEWER")
A, B = "OU=Users,DC=company,DC=com", "OU=Contractors,DC=company,DC=com"
MAPPINGS = "PHOENIX_LDAP_GROUP_ROLE_MAPPINGS"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (A, (A,)),
        (f"{A};{B}", (A, B)),
        (f" {A} ; {B} ; ", (A, B)),
        (json.dumps([A, B]), (A, B)),
        (f"[\n{json.dumps(A)}\n]", (A,)),
        ("", ()),
    ],
)
def test_every_form_of_a_list_of_names_is_read(text: str, names: tuple[str, ...]) -> None:
    env = env_of({"A": text})
    assert read_names(env, "A") == names
    assert env.problems == []


@pytest.mark.parametrize("text", ["[", "[]", "[1]", '["x"]', ";", "Users", f"{A};x", '[""]'])
def test_a_wrong_list_of_names_is_refused(text: str) -> None:
    env = env_of({"A": text})
    assert read_names(env, "A") == ()
    assert [p.name for p in env.problems] == ["A"]


def test_mappings_keep_their_order() -> None:
    rows = [{"group_dn": A, "role": "member"}, {"group_dn": "*", "role": "VIEWER"}]
    env = env_of({MAPPINGS: json.dumps(rows)})
    assert read_role_mappings(env, ROLES) == ((A, "MEMBER"), ("*", "VIEWER"))
    assert env.problems == []


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ([], "JSON array"),
        ({}, "JSON array"),
        ([1], "item 1"),
        ([{"group_dn": A}], "item 1"),
        ([{"group_dn": A, "role": "SYSTEM"}], "role"),
        ([{"group_dn": "x", "role": "ADMIN"}], "group_dn"),
        ([{"group_dn": A, "role": 1}], "item 1"),
    ],
)
def test_a_wrong_mapping_is_refused(rows: object, word: str) -> None:
    env = env_of({MAPPINGS: json.dumps(rows)})
    assert read_role_mappings(env, ROLES) == ()
    assert word in env.problems[0].allowed


def test_every_wrong_item_is_a_problem_of_its_own() -> None:
    rows = [1, {"group_dn": "x", "role": "ADMIN"}, {"group_dn": A, "role": "ADMIN"}]
    env = env_of({MAPPINGS: json.dumps(rows)})
    assert read_role_mappings(env, ROLES) == ((A, "ADMIN"),)
    assert [p.allowed[:6] for p in env.problems] == ["item 1", "item 2"]


def test_broken_json_is_refused_once() -> None:
    env = env_of({MAPPINGS: "[{"})
    assert read_role_mappings(env, ROLES) == ()
    assert len(env.problems) == 1
