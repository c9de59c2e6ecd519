"""What an entry of the directory says: values, unique id, and whether the account may be used.

Spec: lines 38-41, 62-66, 76-79. Contract: section 6.
Source: MS-ADTS 2.2.16 (userAccountControl), MS-ADTS 2.2.1.20 and 3.1.1.4.5.17 (its computed
twin), draft-behera-ldap-password-policy-10 section 5.3 (pwdAccountLockedTime), shadow(5).
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

#: Attributes whose 16 bytes are a GUID in Microsoft's byte order.
GUID_ATTRIBUTES: Final = frozenset({"objectguid", "ms-ds-consistencyguid"})
_GUID_BYTES: Final = 16

CONTROL: Final = "userAccountControl"
COMPUTED_CONTROL: Final = "msDS-User-Account-Control-Computed"
ACCOUNT_EXPIRES: Final = "accountExpires"
LOCKED_TIME: Final = "pwdAccountLockedTime"
SHADOW_EXPIRE: Final = "shadowExpire"
#: Of 389 Directory Server and FreeIPA, and of eDirectory: ``TRUE`` means no more signing in.
_SWITCHES: Final = ("nsAccountLock", "loginDisabled")
STATE_ATTRIBUTES: Final = (
    CONTROL,
    COMPUTED_CONTROL,
    ACCOUNT_EXPIRES,
    LOCKED_TIME,
    SHADOW_EXPIRE,
    *_SWITCHES,
)
_DISABLED_BIT: Final = 0x2
_LOCKED_BIT: Final = 0x10
_NEVER: Final = frozenset({0, 0x7FFFFFFFFFFFFFFF})
_WINDOWS_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class AccountState(StrEnum):
    """Whether an account may be used; all but the first are reasons to refuse."""

    USABLE = "usable"
    DISABLED = "disabled"
    LOCKED = "locked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.

    Args:
        dn: its distinguished name.
        values: the values by attribute name in small letters, options such as ``;binary`` and
            ``;range=0-1499`` left out.
    """

    dn: str
    values: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)

    def all_bytes(self, attribute: str) -> tuple[bytes, ...]:
        """Return every value of an attribute."""
        return self.values.get(_bare(attribute), ())

    def texts(self, attribute: str) -> tuple[str, ...]:
        """Return every value of an attribute that is text, without blanks around it."""
        found = (_text_of(value) for value in self.all_bytes(attribute))
        return tuple(text for text in found if text)

    def text(self, attribute: str) -> str:
        """Return the first value that is text; "" when there is none."""
        return next(iter(self.texts(attribute)), "")

    def number(self, attribute: str) -> int | None:
        """Return the first value as a whole number; None when it is none."""
        try:
            return int(self.text(attribute))
        except ValueError:
            return None


def make_entry(dn: str, attributes: Mapping[str, Sequence[bytes]]) -> Entry:
    """Make an entry from what the library read."""
    values: dict[str, tuple[bytes, ...]] = {}
    for name, found in attributes.items():
        values[_bare(name)] = values.get(_bare(name), ()) + tuple(found)
    return Entry(dn, values)


def _bare(attribute: str) -> str:
    return attribute.partition(";")[0].lower()


def _text_of(value: bytes) -> str:
    """Return a value as text that a database can hold; "" when it is not text."""
    try:
        text = value.decode("utf-8").strip()
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else text


def unique_id_of(entry: Entry, attribute: str) -> str:
    """Return the unique id of an entry as text; "" when it has none.

    Sixteen bytes that are no text are a GUID in Microsoft's byte order; other bytes are written
    in hexadecimal digits.
    """
    value = next(iter(entry.all_bytes(attribute)), b"")
    text = _text_of(value)
    is_guid = len(value) == _GUID_BYTES and (_bare(attribute) in GUID_ATTRIBUTES or not text)
    if is_guid:
        return str(uuid.UUID(bytes_le=value))
    return text.lower() if text and text.isprintable() else value.hex()


def bytes_of_unique_id(unique_id: str) -> bytes | None:
    """Return the bytes that ``unique_id_of`` may have made this text from, None for plain text."""
    try:
        return uuid.UUID(unique_id).bytes_le
    except ValueError:
        pass
    try:
        return bytes.fromhex(unique_id)
    except ValueError:
        return None


def account_state(entry: Entry, now_utc: datetime, *, has_just_bound: bool = False) -> AccountState:
    """Say whether the account of an entry may be used.

    Args:
        entry: read with ``STATE_ATTRIBUTES``.
        now_utc: the time.
        has_just_bound: the server has just taken the password, so a lock of it is over even if
            the entry still tells of one.
    """
    if _is_disabled(entry):
        return AccountState.DISABLED
    if not has_just_bound and _is_locked(entry):
        return AccountState.LOCKED
    return AccountState.EXPIRED if _is_expired(entry, now_utc) else AccountState.USABLE


def _is_disabled(entry: Entry) -> bool:
    control = entry.number(CONTROL) or 0
    switched_off = any(entry.text(name).lower() == "true" for name in _SWITCHES)
    return bool(control & _DISABLED_BIT) or switched_off


def _is_locked(entry: Entry) -> bool:
    control = entry.number(COMPUTED_CONTROL) or 0
    return bool(control & _LOCKED_BIT) or bool(entry.text(LOCKED_TIME))


def _is_expired(entry: Entry, now_utc: datetime) -> bool:
    ticks = entry.number(ACCOUNT_EXPIRES)
    if ticks is not None and ticks not in _NEVER:
        passed = (now_utc - _WINDOWS_EPOCH) // timedelta(microseconds=1) * 10
        if passed >= ticks:
            return True
    days = entry.number(SHADOW_EXPIRE)
    return days is not None and days > 0 and (now_utc - _UNIX_EPOCH).days >= days
