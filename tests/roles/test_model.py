"""Names of roles and permissions of the catalog."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.access import ADMIN, BUILT_IN_ROLES, Permission
from bennu.kernel.errors import SchemaError
from bennu.roles.model import (
    DESCRIPTION_LIMIT,
    built_in_role,
    clean_description,
    clean_permissions,
    clean_role_name,
)


@pytest.mark.parametrize("name", ["A", "auditor", "Data Scientist", "a.b-c_d", "r" * 64])
def test_a_good_name_is_kept(name: str) -> None:
    assert clean_role_name(f" {name} ") == name


@pytest.mark.asvs("1.3.3")
@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "1st",
        "a:b",
        "a,b",
        "a;b",
        "-a",
        "a-",
        "é",
        "a\nb",
        "a\0b",
        "r" * 65,
        "admin",
        "System",
    ],
)
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(SchemaError) as refused:
        clean_role_name(name)
    assert refused.value.problems[0].loc == ("body", "name")


@given(st.text())
def test_any_text_is_a_name_or_a_mistake_that_is_named(text: str) -> None:
    name = None
    with suppress(SchemaError):
        name = clean_role_name(text)
    assert name is None or (name == text.strip() and built_in_role(name) is None)


def test_a_built_in_role_is_known_in_any_case() -> None:
    found = built_in_role("Admin")
    assert found is not None
    assert (found.name, found.permissions) == (ADMIN, BUILT_IN_ROLES[ADMIN])
    assert found.is_built_in
    assert built_in_role("auditor") is None


def test_permissions_come_from_the_catalog() -> None:
    assert clean_permissions(["traces:read", "traces:read"]) == {Permission.TRACES_READ}
    for names in ([], ["traces:reed"], ["traces:read", ""]):
        with pytest.raises(SchemaError) as refused:
            clean_permissions(names)
        assert refused.value.problems[0].loc == ("body", "permissions")
        assert "traces:read" in refused.value.problems[0].msg


def test_a_description_has_a_limit() -> None:
    assert clean_description(None) is None
    assert clean_description("d" * DESCRIPTION_LIMIT)
    with pytest.raises(SchemaError):
        clean_description("d" * (DESCRIPTION_LIMIT + 1))
