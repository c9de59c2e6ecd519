"""Names, filters and servers as the standards write them."""

import pytest

from bennu.auth.ldap.names import (
    is_attribute_name,
    is_balanced_filter,
    is_distinguished_name,
    is_user_principal_name,
    split_names,
    split_server,
)


@pytest.mark.parametrize(
    "text",
    [
        "CN=svc-phoenix,OU=Service Accounts,DC=company,DC=com",
        "cn=a + uid=b, dc = x",
        r"CN=Smith\, John,DC=x",
        r"CN=a\2Cb,DC=x",
        "1.2.840.113556=x",
        "CN=Müller,DC=x",
        "DC=com",
    ],
)
def test_a_distinguished_name_is_recognised(text: str) -> None:
    assert is_distinguished_name(text)


@pytest.mark.parametrize(
    "text", ["", "*", "not a dn", "CN=", "CN=,DC=x", "CN=a,", "CN=a;DC=x", "CN=<x>", "CN=a\\"]
)
def test_anything_else_is_no_distinguished_name(text: str) -> None:
    assert not is_distinguished_name(text)


def test_long_nonsense_is_refused_quickly() -> None:
    assert not is_distinguished_name("CN=" + "=" * 20_000 + "<")
    assert not is_distinguished_name(" " * 20_000 + "CN=a," + " " * 20_000)


@pytest.mark.parametrize("text", ["svc@company.com", "COMPANY\\svc"])
def test_active_directory_names_are_recognised(text: str) -> None:
    assert is_user_principal_name(text)


@pytest.mark.parametrize("text", ["svc", "a b@c", "@x", "x@", "a\\b\\c"])
def test_other_names_are_not(text: str) -> None:
    assert not is_user_principal_name(text)


def test_attribute_names_hold_no_blanks() -> None:
    assert all(is_attribute_name(t) for t in ("mail", "objectGUID", "1.2.3", "cn;lang-de"))
    assert not any(is_attribute_name(t) for t in ("", "display name", "a=b", "ä"))


def test_a_filter_is_one_expression_in_parentheses() -> None:
    good = ("(uid=%s)", "(&(objectClass=user)(sAMAccountName=%s))", r"(cn=\28%s\29)")
    assert all(is_balanced_filter(text) for text in good)
    bad = ("", "uid=%s", "(uid=%s", "(uid=%s))", "(a=b)(c=%s)", ")uid=%s(")
    assert not any(is_balanced_filter(text) for text in bad)


def test_names_are_split_at_semicolons_that_are_not_escaped() -> None:
    assert split_names(r"OU=a,DC=x ; OU=b\;c,DC=x;;") == ("OU=a,DC=x", r"OU=b\;c,DC=x")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("dc1.company.com", ("dc1.company.com", None)),
        ("dc1:636", ("dc1", 636)),
        ("[::1]:636", ("::1", 636)),
        ("10.0.0.1", ("10.0.0.1", None)),
        ("ldap://dc1", None),
        ("dc1:0", None),
        ("dc1:70000", None),
        ("a b", None),
        ("", None),
    ],
)
def test_a_server_is_a_host_and_perhaps_a_port(
    text: str, wanted: tuple[str, int | None] | None
) -> None:
    assert split_server(text) == wanted
