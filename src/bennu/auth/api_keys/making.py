"""Makes the rows of a new key and the key itself; whoever calls has checked everything before.

Spec: lines 141, 168. Decision 6.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bennu.auth.api_keys.store import USER_KEYS, ApiKey, find_api_key, insert_api_key
from bennu.auth.credential import Credential, CredentialKind, make_credential
from bennu.auth.sessions.store import insert_credential
from bennu.encryption.cipher import Cipher
from bennu.kernel.errors import NotFoundError
from bennu.kernel.ids import Entropy, equal_in_constant_time
from bennu.kernel.secret import Secret


@dataclass(frozen=True, slots=True)
class MadeApiKey:
    """A new key: what is kept, and the key itself, shown this once."""

    key: ApiKey
    text: Secret


class KeyMaker:
    """Makes keys and proves them."""

    def __init__(self, entropy: Entropy, cipher: Cipher) -> None:
        self._entropy, self._cipher = entropy, cipher

    def make(self, connection: Connection, values: dict[str, Any], role: str | None) -> MadeApiKey:
        """Insert a key and its credential.

        Args:
            connection: of the transaction that records it too.
            values: the columns of the key.
            role: of a system key.
        """
        is_user = values["kind"] == USER_KEYS
        credential = make_credential(
            CredentialKind.USER_KEY if is_user else CredentialKind.SYSTEM_KEY, self._entropy
        )
        row_id = insert_api_key(connection, values, role)
        more = {
            "user_id": values["user_id"],
            "api_key_id": row_id,
            "created_at": values["created_at"],
            "expires_at": values["expires_at"],
        }
        insert_credential(connection, credential, self._cipher.seal(credential.digest), more)
        return MadeApiKey(
            found_key(find_api_key(connection, values["kind"], row_id)), credential.text
        )

    def is_proved(self, credential: Credential, sealed_digest: str) -> bool:
        """Whether a credential is the one whose digest was kept."""
        kept = self._cipher.open(sealed_digest)
        return equal_in_constant_time(kept, credential.digest.encode())


def found_key(key: ApiKey | None) -> ApiKey:
    """Return a key that was looked for.

    Raises:
        NotFoundError: there is none, or none that the caller may know of.
    """
    if key is None:
        raise NotFoundError("API key not found")
    return key
