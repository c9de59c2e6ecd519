"""Where the secret comes from: the environment, a key file, later a key management service.

Spec: lines 158-163 (the secret), 178 (rotation).
"""

import base64
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from bennu.encryption.cipher import Keyring
from bennu.encryption.secret import KEY_LENGTH_BYTES, secret_problems
from bennu.kernel.errors import UnavailableError
from bennu.kernel.ids import Entropy
from bennu.kernel.secret import Secret

KEY_FILE_NAME: Final = "bennu.key"
_OWNER_ONLY: Final = 0o600
_KEY_FILE_LIMIT_BYTES: Final = 4096


class KeyFileError(UnavailableError):
    """The key file cannot be read, cannot be made, or holds no usable secret."""

    code = "key_file"


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """Secrets in the order of use.

    Args:
        current: the one that seals.
        previous: those that may still open.
    """

    current: Secret
    previous: tuple[Secret, ...] = ()

    def keyring(self) -> Keyring:
        """Derive the keys; takes about 75 ms per secret."""
        return Keyring.from_secrets(self.current, self.previous)


class KeySource(Protocol):
    """Something that hands out the secrets; a key management service would be one more."""

    def key_material(self) -> KeyMaterial:
        """Return the secrets.

        Raises:
            UnavailableError: they cannot be had.
        """


@dataclass(frozen=True, slots=True)
class EnvironmentKeySource:
    """The secrets of ``PHOENIX_SECRET`` and ``PHOENIX_SECRET_PREVIOUS``.

    Args:
        secret: the current one, already checked by ``secret_problems``.
        previous: older ones.
        adopted_file: a key file that sealed values before there was a secret; when it exists,
            what it sealed stays readable until a rotation re-seals it.
    """

    secret: Secret
    previous: tuple[Secret, ...] = ()
    adopted_file: Path | None = None

    def key_material(self) -> KeyMaterial:
        """Return the given secrets, and that of the key file as a previous one."""
        adopted = _read_key_file(self.adopted_file) if self.adopted_file is not None else None
        previous = self.previous if adopted is None else (*self.previous, adopted)
        return KeyMaterial(self.secret, previous)


@dataclass(frozen=True, slots=True)
class FileKeySource:
    """A random secret in a file that only its owner may read; made when it is not there.

    It takes the place of ``PHOENIX_SECRET`` while authentication is off, so that what is sealed
    at rest is sealed there too. It protects a database that is copied without the file.
    """

    path: Path
    entropy: Entropy
    previous: tuple[Secret, ...] = ()

    def key_material(self) -> KeyMaterial:
        """Return the secret of the file, making the file first if there is none.

        Raises:
            KeyFileError: it can be neither read nor made, or holds no usable secret.
        """
        found = _read_key_file(self.path)
        return KeyMaterial(found or _make_key_file(self.path, self.entropy), self.previous)


@dataclass(frozen=True, slots=True)
class EphemeralKeySource:
    """A random secret that nobody keeps, for a database that lives in memory only."""

    entropy: Entropy

    def key_material(self) -> KeyMaterial:
        """Return a fresh secret."""
        return KeyMaterial(_random_secret(self.entropy))


def choose_key_source(
    secret: Secret | None, previous: Sequence[Secret], key_file: Path | None, entropy: Entropy
) -> KeySource:
    """Decide where the secrets come from.

    Args:
        secret: that of ``PHOENIX_SECRET``, if it is set.
        previous: those of ``PHOENIX_SECRET_PREVIOUS``.
        key_file: where a key file is or would be; None for a database in memory.
        entropy: for a secret that must be made.
    """
    if secret is not None:
        return EnvironmentKeySource(secret, tuple(previous), key_file)
    if key_file is not None:
        return FileKeySource(key_file, entropy, tuple(previous))
    return EphemeralKeySource(entropy)


def _random_secret(entropy: Entropy) -> Secret:
    """Make a secret that meets the rules of ``PHOENIX_SECRET``."""
    while True:
        text = base64.urlsafe_b64encode(entropy.bytes(KEY_LENGTH_BYTES)).decode("ascii")
        if not secret_problems(text):
            return Secret(text)


def _read_key_file(path: Path) -> Secret | None:
    """Return the secret of a key file, or None when there is no such file."""
    try:
        with path.open("rb") as file:
            raw = file.read(_KEY_FILE_LIMIT_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyFileError(f"The key file {path} cannot be read: {error.strerror}") from None
    text = raw.decode("ascii", errors="replace").strip()
    problems = secret_problems(text)
    if problems:
        raise KeyFileError(f"The key file {path} holds no usable secret: it {problems[0]}")
    return Secret(text)


def _make_key_file(path: Path, entropy: Entropy) -> Secret:
    """Write a new secret beside and link it into place, so that a reader never sees half of it.

    Two processes may start at once: the second one's link fails and it takes the first one's.
    """
    secret = _random_secret(entropy)
    draft = path.with_name(f".{path.name}.{entropy.bytes(8).hex()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secret.reveal() + "\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(draft, path)
            _sync_directory(path.parent)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise KeyFileError(
            f"The key file {path} cannot be made: {error.strerror}. Set PHOENIX_SECRET, or let "
            "PHOENIX_WORKING_DIR name a directory that can be written"
        ) from None
    made = _read_key_file(path)
    if made is None:
        raise KeyFileError(f"The key file {path} disappeared while it was being made")
    return made


def _sync_directory(directory: Path) -> None:
    """Make the new name itself durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
