"""The links that prove who may reset a password: made, kept as a digest, and proved.

Source: OWASP ASVS 5.0 V6.4.3, V6.5.1, V6.5.5.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from bennu.auth.credential import Credential, CredentialKind, make_credential, parse_credential
from bennu.auth.sessions.store import delete_reset_credentials, find_bearer, insert_credential
from bennu.auth.settings import AuthSettings
from bennu.encryption.cipher import Cipher
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import UnauthenticatedError
from bennu.kernel.ids import Entropy, equal_in_constant_time
from bennu.kernel.secret import Secret
from bennu.users.model import AuthMethod, User
from bennu.users.store import find_user

INVALID: Final = "Invalid token"
_MICROSECOND: Final = timedelta(microseconds=1)


class ResetLinks:
    """Makes links that work once, for minutes, and only the newest of an account."""

    def __init__(
        self, clock: Clock, entropy: Entropy, cipher: Cipher, settings: AuthSettings
    ) -> None:
        self._clock, self._entropy, self._cipher = clock, entropy, cipher
        self.lifetime: Final = settings.reset_lifetime

    def make(self, connection: Connection, user: User) -> Secret:
        """Make the token of a link; the links before it stop working."""
        delete_reset_credentials(connection, user.row_id)
        credential = make_credential(CredentialKind.RESET, self._entropy)
        now = to_microseconds(self._clock.now_utc())
        values = {
            "user_id": user.row_id,
            "created_at": now,
            "expires_at": now + self.lifetime // _MICROSECOND,
        }
        insert_credential(connection, credential, self._cipher.seal(credential.digest), values)
        return credential.text

    def read(self, token: str) -> Credential:
        """Read a token as it was typed or followed.

        Raises:
            UnauthenticatedError: it is none.
        """
        credential = parse_credential(token)
        if credential is None or credential.kind is not CredentialKind.RESET:
            raise UnauthenticatedError(INVALID, detail="not a reset token")
        return credential

    def owner(self, connection: Connection, credential: Credential) -> User:
        """Return whose link this is.

        Raises:
            UnauthenticatedError: it is nobody's, or not good any more.
        """
        row = find_bearer(connection, credential.lookup)
        if row is None or row.user_id is None or row.kind != CredentialKind.RESET:
            raise UnauthenticatedError(INVALID, detail="unknown reset token")
        kept = self._cipher.open(row.digest)
        if not equal_in_constant_time(kept, credential.digest.encode()):
            raise UnauthenticatedError(INVALID, detail="wrong secret of a reset token")
        if to_microseconds(self._clock.now_utc()) >= (row.expires_at or 0):
            raise UnauthenticatedError(INVALID, detail="expired reset token")
        user = find_user(connection, row.user_id)
        if user is None or not user.active or user.auth_method != AuthMethod.LOCAL:
            raise UnauthenticatedError(INVALID, detail="no account for this reset token")
        return user
