"""Names in filters: whatever is typed stays a name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.auth.ldap.entries import make_entry
from bennu.auth.ldap.filters import (
    any_of,
    escape_value,
    fill_filter,
    filter_of_everybody,
    fold_case,
    is_exact_match,
    login_attributes,
    login_name_of,
    unique_id_filter,
)

AD = "(&(objectClass=user)(sAMAccountName=%s))"


@pytest.mark.asvs("1.2.6")
@pytest.mark.parametrize(
    ("typed", "escaped"),
    [
        # The examples of RFC 4515 section 4.
        ("Parens R Us (for all your parenthetical needs)", None),
        ("*", r"\2a"),
        ("C:\\MyFile", r"C:\5cMyFile"),
        ("\0\0\0\4", "\\00\\00\\00\4"),
        ("Lučić", "Lučić"),
        ("*)(uid=*))(|(uid=*", r"\2a\29\28uid=\2a\29\29\28|\28uid=\2a"),
    ],
)
def test_special_characters_are_escaped(typed: str, escaped: str | None) -> None:
    expected = escaped or r"Parens R Us \28for all your parenthetical needs\29"
    assert escape_value(typed) == expected


@pytest.mark.asvs("1.3.8")
@given(st.text())
def test_no_name_leaves_its_place(name: str) -> None:
    filled = fill_filter("(&(a=b)(uid=%s))", name)
    inside = filled.removeprefix("(&(a=b)(uid=").removesuffix("))")
    assert not re.search(r"[()*\0]", inside)
    assert re.sub(r"\\([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), inside) == name


def test_both_placeholders_are_filled_at_once() -> None:
    template = "(|(memberUid=%s)(member=%d)(x=%s))"
    assert fill_filter(template, "%d", "cn=%s") == "(|(memberUid=%d)(member=cn=%s)(x=%d))"


def test_a_filter_of_everybody() -> None:
    assert filter_of_everybody(AD) == "(&(objectClass=user)(sAMAccountName=*))"
    mixed = "(|(uid=%s)(mail=%s@x)(anr=%s)(cn:2.5.13.5:=%s)(cn>=%s))"
    anything = "(objectClass=*)" * 3
    assert filter_of_everybody(mixed) == f"(|(uid=*)(mail=*@x){anything})"
    assert any_of(["(a=b)"]) == "(a=b)"
    assert any_of(["(a=b)", "(c=d)"]) == "(|(a=b)(c=d))"


def test_unique_ids_are_sought_in_the_form_they_have() -> None:
    guid = "00112233-4455-6677-8899-aabbccddeeff"
    raw = r"\33\22\11\00\55\44\77\66\88\99\aa\bb\cc\dd\ee\ff"
    assert unique_id_filter("objectGUID", guid) == f"(objectGUID={raw})"
    assert unique_id_filter("entryUUID", guid) == f"(|(entryUUID={guid})(entryUUID={raw}))"
    assert unique_id_filter("uid", "ada*") == r"(uid=ada\2a)"


def test_the_attributes_of_a_login_name() -> None:
    assert login_attributes(AD) == ("sAMAccountName",)
    assert login_attributes("(|(uid=%s)(mail=%s)(uid=%s))") == ("uid", "mail")
    assert login_attributes("(cn:caseExactMatch:=%s)") == ()


@pytest.mark.parametrize(
    ("name", "is_exact"),
    [
        ("alice", True),
        ("ALICE", True),
        ("alice ", False),
        ("ali ce", False),
        ("älice", False),
        ("ａlice", False),  # noqa: RUF001 - a wide letter is the point
        ("alic\u00ade", False),
        ("alice\u200b", False),
        ("bob", False),
        ("", False),
    ],
)
def test_only_the_same_name_is_the_same(name: str, *, is_exact: bool) -> None:
    entry = make_entry("cn=a", {"sAMAccountName": [b"alice"]})
    assert is_exact_match(AD, name, entry) == is_exact


def test_names_inside_other_values_and_filters_that_decide_alone() -> None:
    entry = make_entry("cn=a", {"userPrincipalName": [b"alice@corp.test"], "uid": [b"alice"]})
    template = "(|(uid=%s)(userPrincipalName=%s@corp.test))"
    assert is_exact_match(template, "alice", entry)
    assert not is_exact_match(template, "alice@corp.test", entry)
    assert is_exact_match("(cn=*%s*)", "li", entry)
    assert is_exact_match("(anr=%s)", "ali", entry)
    assert not is_exact_match("(description=%s)", "alice", entry)


def test_the_login_name_as_the_directory_writes_it() -> None:
    entry = make_entry("cn=a", {"uid": [b"alice", b"al"], "mail": [b"Alice@corp.test"]})
    assert login_name_of("(uid=%s)", entry, "AL") == "al"
    assert login_name_of("(|(uid=%s)(mail=%s))", entry, "alice@CORP.test") == "Alice@corp.test"
    assert login_name_of("(uid=%s)", entry, "somebody") == "alice"
    assert login_name_of("(cn=*%s*)", entry, "typed") == "typed"


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("Ärger", "ärger", True),
        ("ПЁТР", "пётр", True),
        ("K", "k", True),
        ("\u212a", "k", False),  # the sign of Kelvin
        ("straße", "strasse", False),
        ("İ", "i", False),
    ],
)
def test_case_is_that_of_one_letter(one: str, other: str, *, are_same: bool) -> None:
    assert (fold_case(one) == fold_case(other)) == are_same
