"""The token that every form of the pages carries: proof that the form was shown to this session.

It stands beside the origin rule, for browsers and proxies that strip the headers which that rule
reads. A token is a random number and a MAC over it and the session, so that each page has another
one, nothing is stored, and a token of another session is worth nothing.

Spec: line 210 (CSRF tokens). Source: OWASP CSRF Prevention, "Employing HMAC CSRF Tokens".
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

from bennu.kernel.errors import DeniedError
from bennu.kernel.ids import Entropy, equal_in_constant_time

FORM_TOKEN_PURPOSE: Final = "form-tokens"  # noqa: S105 - names a key; it is none
FIELD_NAME: Final = "csrf_token"
REFUSED: Final = "This form is not valid any more; load the page again"
_NONCE_BYTES: Final = 16
_DOMAIN: Final = b"bennu:form-token:v1:"
_MOST_CHARACTERS: Final = 100


class FormTokens:
    """Makes and checks the tokens.

    Args:
        entropy: for the random number.
    """

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._key = b""

    def use_key(self, key: bytes) -> None:
        """Take the key, which is known once the database is open: 32 bytes of the vault."""
        self._key = key

    def make_form_token(self, session: str) -> str:
        """Return a new token.

        Args:
            session: public id of the session (``Principal.credential_id``), "" before signing
                in: such forms rest on the origin rule, which also covers them.
        """
        nonce = self._entropy.bytes(_NONCE_BYTES)
        return base64.urlsafe_b64encode(nonce + self._mac(nonce, session)).decode()

    def check_form_token(self, session: str, token: str) -> None:
        """Refuse a token that was not made for this session.

        Raises:
            DeniedError: missing, damaged, or of another session.
        """
        try:
            raw = base64.b64decode(token[:_MOST_CHARACTERS].encode(), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError, ValueError):
            raw = b""
        nonce, mac = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
        if not equal_in_constant_time(mac, self._mac(nonce, session)):
            raise DeniedError(REFUSED, detail="wrong form token")

    def _mac(self, nonce: bytes, session: str) -> bytes:
        if not self._key:
            raise RuntimeError("the key of form tokens is set at start")
        message = _DOMAIN + nonce + session.encode()
        return hmac.new(self._key, message, hashlib.sha256).digest()
