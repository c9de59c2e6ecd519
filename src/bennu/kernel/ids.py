"""Identifiers as the official clients send them, and random ones of our own."""

import base64
import binascii
import hmac
import re
import secrets
from typing import Protocol

_GLOBAL_ID = re.compile(r"([A-Za-z]+):([0-9]{1,18})")


class Entropy(Protocol):
    """Where randomness comes from; passed in, so that tests can repeat a run."""

    def bytes(self, count: int) -> bytes:
        """Return ``count`` random bytes."""


class SystemEntropy:
    """The operating system's generator."""

    def bytes(self, count: int) -> bytes:
        """Return ``count`` random bytes."""
        return secrets.token_bytes(count)


def global_id(kind: str, row_id: int) -> str:
    """Return the public identifier of a row: base64 of ``Kind:row``.

    Row ids come from sequences that never reuse a number, so a public id never comes back.
    """
    return base64.b64encode(f"{kind}:{row_id}".encode()).decode()


def parse_global_id(text: str) -> tuple[str, int] | None:
    """Return (kind, row id) of a public identifier, or None when ``text`` is none.

    Only the one form that ``global_id`` gives is one, so that a row has no second name.
    """
    try:
        decoded = base64.b64decode(text.encode(), validate=True).decode("ascii")
    except (binascii.Error, UnicodeError, ValueError):
        return None
    match = _GLOBAL_ID.fullmatch(decoded)
    if match is None or global_id(match[1], int(match[2])) != text:
        return None
    return match[1], int(match[2])


def row_id_of(text: str, kind: str) -> int | None:
    """Return the row id when ``text`` is a public identifier of exactly this kind, else None."""
    parsed = parse_global_id(text)
    return parsed[1] if parsed is not None and parsed[0] == kind else None


def equal_in_constant_time(one: bytes, other: bytes) -> bool:
    """Compare two byte strings without telling by time where they differ."""
    return hmac.compare_digest(one, other)
