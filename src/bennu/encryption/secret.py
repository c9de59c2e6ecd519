"""The rules of ``PHOENIX_SECRET`` and the key that is made from it.

Spec: lines 14-23 (what a secret must look like), 158-162 (how the key is derived).
Source: RFC 8018 section 5.2 (PBKDF2), OWASP Password Storage (600,000 rounds).
"""

import base64
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from bennu.kernel.secret import Secret

SECRET_MIN_LENGTH: Final = 32
KDF_NAME: Final = "PBKDF2-HMAC-SHA256"
KDF_ITERATIONS: Final = 600_000
#: Why safe: the salt separates this use of the secret from others; it need not be unknown or
#: different per server, because the secret itself is random and never shared between servers.
KDF_SALT: Final = b"bennu:encryption:v1"
KEY_LENGTH_BYTES: Final = 32


def secret_problems(text: str) -> tuple[str, ...]:
    """Say what is wrong with a secret, never what it is.

    Args:
        text: as given, already stripped of white space around it.

    Returns:
        One sentence per broken rule, in a fixed order; empty when the secret is acceptable.
    """
    problems: list[str] = []
    if len(text) < SECRET_MIN_LENGTH:
        problems.append(f"must be at least {SECRET_MIN_LENGTH} characters long; it has {len(text)}")
    if not any("0" <= character <= "9" for character in text):
        problems.append("must include at least one digit")
    if not any("a" <= character <= "z" for character in text):
        problems.append("must include at least one lowercase letter")
    if any(character.isspace() for character in text):
        problems.append("must not contain white space")
    if not (text.isascii() and text.isprintable()):
        problems.append("must consist of printable ASCII characters only")
    return tuple(problems)


def derive_fernet_key(secret: Secret) -> bytes:
    """Derive the Fernet key; takes about 75 ms on purpose, so it is done once at start.

    Returns:
        44 bytes: the 32 derived ones in URL-safe base64, as Fernet takes them.
    """
    kdf = PBKDF2HMAC(
        algorithm=SHA256(), length=KEY_LENGTH_BYTES, salt=KDF_SALT, iterations=KDF_ITERATIONS
    )
    return base64.urlsafe_b64encode(kdf.derive(secret.reveal().encode()))
