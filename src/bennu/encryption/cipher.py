"""Sealing and opening single values, and the keys that do it.

A sealed value is ``<key_id>:<token>``: the token is a plain Fernet token, the id names the key it
was made with. The newest key seals; every key of the ring opens. That makes an online rotation
possible: while values are re-sealed, both keys are at hand.

Spec: lines 156-162 (Fernet), 178 (rotation).
Source: the Fernet specification (github.com/fernet/spec).
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from cryptography.fernet import Fernet, InvalidToken

from bennu.encryption.secret import derive_fernet_key
from bennu.kernel.errors import UnavailableError
from bennu.kernel.secret import Secret

KEY_ID_LENGTH: Final = 12
_KEY_ID_DOMAIN: Final = b"bennu:key-id:v1:"
_PUBLIC: Final = "A stored secret cannot be opened with the configured secrets"


class SealError(UnavailableError):
    """A sealed value cannot be opened: its key is not in the ring, or it was damaged.

    Callers read one vague sentence; ``detail`` tells the operator which key is missing.
    """

    code = "sealed"

    def __init__(self, detail: str) -> None:
        super().__init__(_PUBLIC, detail=detail)


def key_id_of(fernet_key: bytes) -> str:
    """Return the short public name of a key: 12 hexadecimal digits.

    Why safe: it is a hash of a 256-bit key, from which the key cannot be computed; a guess of the
    secret can be tried on it no faster than on any Fernet token, that is after 600,000 rounds.
    """
    return hashlib.sha256(_KEY_ID_DOMAIN + fernet_key).hexdigest()[:KEY_ID_LENGTH]


class Keyring:
    """The key that seals and the older ones that may still open.

    Args:
        current: Fernet key (44 bytes, URL-safe base64) under which new values are sealed.
        previous: keys that may only open; one equal to ``current`` or given twice counts once.
    """

    def __init__(self, current: bytes, previous: Sequence[bytes] = ()) -> None:
        self.current_key_id: Final = key_id_of(current)
        self._fernets = {key_id_of(key): Fernet(key) for key in (current, *previous)}

    @classmethod
    def from_secrets(cls, current: Secret, previous: Sequence[Secret] = ()) -> "Keyring":
        """Derive every key; takes about 75 ms per secret."""
        return cls(derive_fernet_key(current), [derive_fernet_key(secret) for secret in previous])

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Names of all keys, the one that seals first."""
        return tuple(self._fernets)

    def fernet(self, key_id: str) -> Fernet | None:
        """Return the key of that name, or None when it is not in the ring."""
        return self._fernets.get(key_id)

    def __repr__(self) -> str:
        return f"Keyring(key_ids={self.key_ids!r})"


class Cipher:
    """Seals under the newest key and opens under any key of the ring."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring: Final = keyring
        newest = keyring.fernet(keyring.current_key_id)
        assert newest is not None  # noqa: S101 - a ring always holds its own current key
        self._newest = newest

    @property
    def current_key_id(self) -> str:
        """Name of the key that seals."""
        return self.keyring.current_key_id

    def seal(self, value: str | bytes) -> str:
        """Seal a value; sealing the same value twice gives two different texts."""
        raw = value.encode() if isinstance(value, str) else value
        return f"{self.current_key_id}:{self._newest.encrypt(raw).decode('ascii')}"

    def open(self, sealed: str) -> bytes:
        """Return the bytes that were sealed.

        Raises:
            SealError: the value has no key id, its key is not in the ring, or it was changed.
        """
        key_id, separator, token = sealed.partition(":")
        if not separator:
            raise SealError("a sealed value carries no key id")
        fernet = self.keyring.fernet(key_id)
        if fernet is None:
            raise SealError(missing_key_text(key_id, self.keyring))
        try:
            return fernet.decrypt(token)
        except (InvalidToken, ValueError):  # ValueError: a token that is not even ASCII
            raise SealError(f"a value sealed under key {_shown(key_id)} was damaged") from None


def missing_key_text(key_id: str, keyring: Keyring) -> str:
    """Say which secret is missing by the name of its key, and where to put it."""
    known = ", ".join(keyring.key_ids)
    return (
        f"a value is sealed under key {_shown(key_id)}, but PHOENIX_SECRET and "
        f"PHOENIX_SECRET_PREVIOUS give only {known}; add the secret that was in use before to "
        "PHOENIX_SECRET_PREVIOUS"
    )


def _shown(key_id: str) -> str:
    """Return the id when it looks like one, so that no foreign text gets into a log."""
    is_id = len(key_id) == KEY_ID_LENGTH and all(c in "0123456789abcdef" for c in key_id)
    return key_id if is_id else "(unreadable)"
