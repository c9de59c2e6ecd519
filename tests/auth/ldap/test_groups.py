"""Names of groups, and the role that they give."""

import pytest

from bennu.auth.ldap.groups import CanonicalName, RoleRule, canonical_name
from bennu.auth.ldap.settings import GroupRole


@pytest.mark.parametrize(
    "spelling",
    [
        "CN=Phoenix Admins,OU=Groups,DC=company,DC=com",
        "cn=phoenix admins, ou=groups, dc=company, dc=com",
        "CN = Phoenix  Admins ;OU=Groups;DC=company;DC=com",
        r"CN=Phoenix\20Admins,OU=Groups,DC=company,DC=com",
        r"CN=\50hoenix Admins,OU=Groups,DC=company,DC=com",
    ],
)
def test_spellings_of_one_name(spelling: str) -> None:
    name = "CN=Phoenix Admins,OU=Groups,DC=company,DC=com"
    assert canonical_name(spelling) == canonical_name(name)


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        (r"CN=Smith\, John,DC=x", r"CN=Smith\2c John,DC=x", True),
        (r"CN=a\\b,DC=x", r"CN=a\5cb,DC=x", True),
        (r"CN=Smith\, John,DC=x", "CN=Smith,CN=John,DC=x", False),
        ("CN=a+OU=b,DC=x", "OU=b + CN=a,DC=x", True),
        ("CN=a,OU=b,DC=x", "OU=b,CN=a,DC=x", False),
        ("CN=Ärger,DC=x", r"CN=\c3\84RGER,DC=x", True),
        ("CN=K,DC=x", "CN=\u212a,DC=x", False),
        ("CN=admins,DC=x", "CN=admins,DC=x,DC=y", False),
        (r"CN=\ff,DC=x", r"CN=\fe,DC=x", False),
        ("no name", "no name", True),
    ],
)
def test_which_names_are_the_same(one: str, other: str, *, are_same: bool) -> None:
    assert (canonical_name(one) == canonical_name(other)) == are_same


ADMINS, USERS = "CN=Admins,DC=x", "CN=Users,DC=x"
MAPPINGS = (GroupRole(ADMINS, "ADMIN"), GroupRole(USERS, "MEMBER"), GroupRole("*", "VIEWER"))


def names(*dns: str) -> frozenset[CanonicalName]:
    return frozenset(canonical_name(dn) for dn in dns)


def test_the_first_mapping_that_matches_counts() -> None:
    rule = RoleRule(MAPPINGS, "MEMBER")
    assert rule.role_of(names("cn=users,dc=x", "cn=admins,dc=x")) == "ADMIN"
    assert rule.role_of(names(USERS)) == "MEMBER"
    assert rule.role_of(names()) == "VIEWER"
    everybody_first = RoleRule(MAPPINGS[::-1], "MEMBER")
    assert everybody_first.role_of(names(ADMINS)) == "VIEWER"


def test_without_mappings_there_is_a_default_and_with_them_none() -> None:
    assert RoleRule((), "VIEWER").role_of(()) == "VIEWER"
    assert RoleRule(MAPPINGS[:2], "VIEWER").role_of(()) is None


def test_groups_that_could_still_change_the_role() -> None:
    rule = RoleRule(MAPPINGS, "VIEWER")
    assert rule.better_groups([canonical_name(ADMINS)]) == ()
    assert rule.better_groups([canonical_name(USERS)]) == (ADMINS,)
    assert rule.better_groups([]) == (ADMINS, USERS)
    assert RoleRule((), "VIEWER").better_groups([]) == ()
