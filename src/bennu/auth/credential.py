"""The one format of every bearer credential, whatever it is good for. Pure.

``bnu_<kind>_<id>_<secret>_<checksum>``: the kind can be read by people and secret scanners, the
id is clear and finds the row, the secret has 160 bits, the checksum refuses a mistyped credential
before anything is looked up. What it may do is looked up live and never read from it.

Spec: lines 134-155. Decision 6.
"""

import hashlib
import re
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bennu.kernel.ids import Entropy
from bennu.kernel.secret import Secret

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_BYTES, _ID_WIDTH = 12, 17
SECRET_BYTES: Final = 20
_SECRET_WIDTH: Final = 27
_CHECKSUM_WIDTH: Final = 6
_FORM: Final = re.compile(
    r"bnu_(at|rt|pr|uk|sk)_"
    rf"([0-9A-Za-z]{{{_ID_WIDTH}}})_([0-9A-Za-z]{{{_SECRET_WIDTH}}})_([0-9A-Za-z]{{{_CHECKSUM_WIDTH}}})",
    re.ASCII,
)


class CredentialKind(StrEnum):
    """What a credential is good for."""

    ACCESS = "at"
    REFRESH = "rt"
    RESET = "pr"
    USER_KEY = "uk"
    SYSTEM_KEY = "sk"


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential in its parts; ``lookup`` is clear, ``text`` is the whole and secret."""

    kind: CredentialKind
    lookup: str
    text: Secret

    @property
    def digest(self) -> str:
        """SHA-256 of the whole text, in hex: what is kept (sealed) to prove it later.

        Why safe without a slow hash: the secret is random with 160 bits, not a password.
        """
        return hashlib.sha256(self.text.reveal().encode()).hexdigest()


def clear_part(kind: CredentialKind, lookup: str) -> str:
    """Return how a credential begins: its kind and its id, which are no secret."""
    return f"bnu_{kind}_{lookup}"


def make_credential(kind: CredentialKind, entropy: Entropy) -> Credential:
    """Make a new random credential."""
    lookup = _base62(int.from_bytes(entropy.bytes(_ID_BYTES), "big"), _ID_WIDTH)
    secret = _base62(int.from_bytes(entropy.bytes(SECRET_BYTES), "big"), _SECRET_WIDTH)
    body = f"{clear_part(kind, lookup)}_{secret}"
    return Credential(kind, lookup, Secret(f"{body}_{_checksum(body)}"))


def parse_credential(text: str) -> Credential | None:
    """Read a credential; None for everything that was not made by ``make_credential``."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    body, _, checksum = text.rpartition("_")
    if _checksum(body) != checksum:
        return None
    return Credential(CredentialKind(match[1]), match[2], Secret(text))


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM_WIDTH)


def _base62(number: int, width: int) -> str:
    digits: list[str] = []
    while number:
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits)).rjust(width, "0")
