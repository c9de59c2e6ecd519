"""What an entry says."""

import uuid
from datetime import UTC, datetime

import pytest

from bennu.auth.ldap.entries import (
    AccountState,
    account_state,
    bytes_of_unique_id,
    make_entry,
    unique_id_of,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
GUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")


def test_values_by_name_in_any_case_without_options() -> None:
    entry = make_entry("cn=a", {"memberOf;range=0-1": [b" a ", b""], "MEMBEROF": [b"b\0", b"\xff"]})
    assert entry.texts("memberof") == ("a",)
    assert entry.all_bytes("memberOf") == (b" a ", b"", b"b\0", b"\xff")
    assert entry.text("mail") == ""
    assert make_entry("cn=a", {"n": [b"12"], "x": [b"1.5"]}).number("N") == 12
    assert make_entry("cn=a", {"n": [b"12"], "x": [b"1.5"]}).number("x") is None


@pytest.mark.parametrize(
    ("attribute", "value", "text"),
    [
        ("objectGUID", GUID.bytes_le, str(GUID)),
        ("objectGUID", b"ABCDEFGHIJKLMNOP", "44434241-4645-4847-494a-4b4c4d4e4f50"),
        ("entryUUID", b"2FA3D16E-7CA2-1041-87E3-7BCC968BACEF", None),
        ("employeeNumber", b"1234567890123456", "1234567890123456"),
        ("some", b"\x00\x01\xff", "0001ff"),
        ("some", b"", ""),
    ],
)
def test_unique_ids_as_text(attribute: str, value: bytes, text: str | None) -> None:
    expected = value.decode().lower() if text is None else text
    assert unique_id_of(make_entry("cn=a", {attribute: [value]}), attribute) == expected
    assert unique_id_of(make_entry("cn=a", {}), attribute) == ""


def test_bytes_of_a_unique_id() -> None:
    assert bytes_of_unique_id(str(GUID)) == GUID.bytes_le
    assert bytes_of_unique_id("0001ff") == b"\x00\x01\xff"
    assert bytes_of_unique_id("e-17") is None


#: 2026-01-01 and 2026-01-03 as Windows counts, 20454 is 2026-01-01 in days.
PAST, FUTURE = "134117856000000000", "134119584000000000"


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({}, AccountState.USABLE),
        ({"userAccountControl": "512"}, AccountState.USABLE),
        ({"userAccountControl": "514"}, AccountState.DISABLED),
        ({"msDS-User-Account-Control-Computed": "16"}, AccountState.LOCKED),
        ({"msDS-User-Account-Control-Computed": "8388608"}, AccountState.USABLE),
        ({"accountExpires": "0"}, AccountState.USABLE),
        ({"accountExpires": "9223372036854775807"}, AccountState.USABLE),
        ({"accountExpires": PAST}, AccountState.EXPIRED),
        ({"accountExpires": FUTURE}, AccountState.USABLE),
        ({"pwdAccountLockedTime": "000001010000Z"}, AccountState.LOCKED),
        ({"nsAccountLock": "TRUE"}, AccountState.DISABLED),
        ({"loginDisabled": "false"}, AccountState.USABLE),
        ({"shadowExpire": "20455"}, AccountState.EXPIRED),
        ({"shadowExpire": "20456"}, AccountState.USABLE),
        ({"shadowExpire": "-1"}, AccountState.USABLE),
    ],
)
def test_whether_an_account_may_be_used(values: dict[str, str], state: AccountState) -> None:
    entry = make_entry("cn=a", {name: [value.encode()] for name, value in values.items()})
    assert account_state(entry, NOW) is state
    if state is AccountState.LOCKED:
        assert account_state(entry, NOW, has_just_bound=True) is AccountState.USABLE
