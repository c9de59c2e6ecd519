"""The rows of a key, and the proof of one."""

from typing import Any

import pytest
from sqlalchemy import select

from bennu.auth.api_keys.making import KeyMaker, found_key
from bennu.auth.credential import CredentialKind, make_credential, parse_credential
from bennu.kernel.errors import NotFoundError
from bennu.storage.database import Database
from bennu.storage.schema import credentials
from fakes.accounts import CIPHER
from fakes.entropy import RepeatableEntropy

VALUES: dict[str, Any] = {
    "kind": "system",
    "user_id": None,
    "name": "key",
    "created_at": 5,
    "expires_at": 9,
}


async def test_a_key_is_proved_by_its_sealed_digest_only(
    database: Database, entropy: RepeatableEntropy
) -> None:
    maker = KeyMaker(entropy, CIPHER)
    made = await database.write(lambda c: maker.make(c, VALUES, "VIEWER"))
    assert (made.key.role, made.key.expires_at) == ("VIEWER", 9)
    row = await database.read(lambda c: c.execute(select(credentials)).one())
    credential = parse_credential(made.text.reveal())
    assert credential is not None
    assert (row.lookup, row.kind, row.expires_at) == (credential.lookup, "sk", 9)
    assert maker.is_proved(credential, row.digest)
    other = make_credential(CredentialKind.SYSTEM_KEY, entropy)
    assert not maker.is_proved(other, row.digest)


def test_what_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFoundError):
        found_key(None)
