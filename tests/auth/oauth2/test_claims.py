"""Who the claims describe. Spec: lines 98-99, 106, 112-113, 119-121, 129-133."""

from typing import Any

import pytest

from bennu.auth.oauth2.claims import (
    ClaimsRefusedError,
    identity_of,
    merged_claims,
    read_claims,
    role_of,
)
from fakes.provider_world import provider_settings

CLAIMS = {"iss": "https://idp.example", "sub": "s", "email": "Ada@Corp.example", "name": "Ada"}


def settings(**more: Any) -> Any:
    return provider_settings("https://idp.example/.well-known/openid-configuration", **more)


def identity(claims: dict[str, Any], **more: Any) -> Any:
    return identity_of({**CLAIMS, **claims}, settings(**more))


def test_a_plain_person() -> None:
    found = identity({"email_verified": True, "picture": "https://idp.example/a.png"})
    assert (found.provider, found.issuer, found.subject) == ("corp", "https://idp.example", "s")
    assert (found.email, found.email_verified) == ("ada@corp.example", True)
    assert (found.display_name, found.picture) == ("Ada", "https://idp.example/a.png")
    assert found.role is None
    assert found.client_id == "bennu-client"


@pytest.mark.parametrize(
    ("claims", "groups"),
    [
        ({"groups": ["a", "b"]}, ("a", "b")),
        ({"groups": "a"}, ("a",)),
        ({"groups": ["a", 7, None, {"b": 1}]}, ("a",)),
        ({"groups": []}, ()),
        ({"groups": {"a": 1}}, None),
        ({"groups": None}, None),
        ({}, None),
    ],
)
def test_groups_are_one_text_or_many(claims: dict[str, Any], groups: object) -> None:
    assert read_claims({**CLAIMS, **claims}, settings(groups_attribute_path="groups")).groups == (
        groups
    )


@pytest.mark.parametrize(
    ("path", "claims", "groups"),
    [
        ('"cognito:groups"', {"cognito:groups": ["Admins"]}, ("Admins",)),
        (
            "resource_access.phoenix.roles",
            {"resource_access": {"phoenix": {"roles": ["u"]}}},
            ("u",),
        ),
        ("resource_access.phoenix.roles", {"resource_access": {}}, None),
        ("resource_access.phoenix.roles", {"resource_access": "text"}, None),
        ("groups[*].name", {"groups": [{"name": "a"}, {"name": "b"}]}, ("a", "b")),
        ("keys(groups)", {"groups": "a text has no keys"}, None),
    ],
)
def test_paths_lead_into_nested_claims(path: str, claims: dict[str, Any], groups: object) -> None:
    assert read_claims({**CLAIMS, **claims}, settings(groups_attribute_path=path)).groups == groups


@pytest.mark.parametrize(
    ("claims", "more", "email", "verified"),
    [
        ({"email_verified": "true"}, {}, "ada@corp.example", True),
        ({"email_verified": "False"}, {}, "ada@corp.example", False),
        ({"email_verified": 1}, {}, "ada@corp.example", None),
        ({}, {}, "ada@corp.example", None),
        # What is said of one address says nothing of another.
        (
            {"email_verified": True, "preferred_username": "ada@other.example"},
            {"email_attribute_path": "preferred_username"},
            "ada@other.example",
            None,
        ),
        (
            {"email_verified": True, "preferred_username": "ada@corp.example"},
            {"email_attribute_path": "preferred_username"},
            "ada@corp.example",
            True,
        ),
        (
            {"email": None, "email_verified": True, "upn": "a@b.example"},
            {"email_attribute_path": "upn"},
            "a@b.example",
            None,
        ),
    ],
)
def test_an_address_is_verified_if_this_very_one_is(
    claims: dict[str, Any], more: dict[str, Any], email: str, verified: bool | None
) -> None:
    found = identity(claims, **more)
    assert (found.email, found.email_verified) == (email, verified)


@pytest.mark.parametrize("email", [None, "", "no address", 7, ["a@b.example"], "a b@c.example"])
def test_without_an_address_nobody_enters(email: object) -> None:
    with pytest.raises(ClaimsRefusedError, match="missing_email"):
        identity({"email": email})


def test_a_groups_path_without_allowed_groups_restricts_nobody() -> None:
    """The Keycloak sample of the specification."""
    assert identity({}, groups_attribute_path="resource_access.phoenix.roles")


MAPPING = (("admin", "ADMIN"), ("user", "MEMBER"))


@pytest.mark.parametrize(
    ("word", "more", "role"),
    [
        ("admin", {"role_mapping": MAPPING}, "ADMIN"),
        ("user", {"role_mapping": MAPPING}, "MEMBER"),
        ("Admin", {"role_mapping": MAPPING}, "VIEWER"),
        ("ADMIN", {"role_mapping": MAPPING}, "VIEWER"),
        (None, {"role_mapping": MAPPING}, "VIEWER"),
        ("ADMIN", {}, "ADMIN"),
        ("SYSTEM", {}, "VIEWER"),
        ("", {}, "VIEWER"),
    ],
)
def test_a_word_stands_for_a_role(word: str | None, more: dict[str, Any], role: str) -> None:
    assert role_of(word, settings(role_attribute_path="role", **more)) == role


def test_without_a_path_roles_are_left_alone() -> None:
    assert role_of("ADMIN", settings()) is None


@pytest.mark.parametrize("word", [None, "", "nobody", "SYSTEM"])
def test_strict_settings_refuse_who_has_no_role(word: str | None) -> None:
    strict = settings(role_attribute_path="role", role_attribute_strict=True)
    with pytest.raises(ClaimsRefusedError, match="no_role"):
        role_of(word, strict)


@pytest.mark.parametrize(
    ("claim", "word"), [(["a", "b"], "a"), ([], None), ([["a"]], None), ({"a": 1}, None), (7, None)]
)
def test_of_many_roles_the_first_counts(claim: object, word: str | None) -> None:
    assert read_claims({**CLAIMS, "role": claim}, settings(role_attribute_path="role")).role == word


@pytest.mark.parametrize(
    ("claims", "more", "misses"),
    [
        ({}, {}, False),
        ({"email": None}, {}, True),
        ({}, {"groups_attribute_path": "groups"}, False),
        ({}, {"groups_attribute_path": "groups", "allowed_groups": ("a",)}, True),
        ({}, {"role_attribute_path": "role"}, True),
    ],
)
def test_the_provider_is_asked_again_for_what_is_needed(
    claims: dict[str, Any], more: dict[str, Any], misses: bool
) -> None:
    configured = settings(**more)
    assert read_claims({**CLAIMS, **claims}, configured).misses_something(configured) is misses


def test_what_is_signed_stays() -> None:
    assert merged_claims({"sub": "s", "a": 1}, {"sub": "s", "a": 2, "b": 3}) == {
        "sub": "s",
        "a": 1,
        "b": 3,
    }
    with pytest.raises(ClaimsRefusedError):
        merged_claims({"sub": "s"}, {"a": 2})


@pytest.mark.asvs("1.2.2")
@pytest.mark.parametrize("picture", ["http://a.example/p", "javascript:x", "x" * 3000, 7, None])
def test_only_an_https_picture_is_kept(picture: object) -> None:
    assert identity({"picture": picture}).picture is None


@pytest.mark.parametrize("name", [None, "", "  ", 7])
def test_without_a_name_the_address_gives_one(name: object) -> None:
    assert identity({"name": name}).display_name == "ada"
