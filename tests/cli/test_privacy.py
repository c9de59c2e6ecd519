"""``bennu privacy verify-receipt`` beside a server that signed none. Spec: line 265."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bennu.audit.store import SIGNING_PURPOSE
from bennu.cli.main import main
from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.vault import Vault, verify_secret
from bennu.kernel.clock import SystemClock
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.privacy.receipt import sign_receipt
from bennu.storage.database import Database
from bennu.storage.migrate import migrate
from bennu.storage.settings import StorageSettings

SECRET = "0123456789abcdef0123456789abcdef"
FIELDS = {"id": "1", "subject": {"kind": "user"}, "erased": {"spans": 3}}


async def start_database(path: Path, *, signs: bool) -> bytes:
    """Make a database as a server leaves it; return the seed it signs with, or b""."""
    settings = StorageSettings(path.parent, sqlite_path=path)
    database = Database(settings, SystemClock())
    await database.start()
    await migrate(database, settings)
    vault = Vault(Cipher(Keyring.from_secrets(Secret(SECRET))), SystemClock(), SystemEntropy())
    await database.write(lambda c: verify_secret(c, vault.cipher))
    seed = b""
    if signs:
        seed = await database.write(lambda c: vault.purpose_key(c, SIGNING_PURPOSE))
    await database.stop()
    return seed


def verify(folder: Path, seed: bytes) -> Result:
    env_file, receipt = folder / "bennu.env", folder / "receipt.json"
    url = f"sqlite:///{folder / 'bennu.db'}"
    env_file.write_text(f"PHOENIX_SECRET={SECRET}\nPHOENIX_SQL_DATABASE_URL={url}\n")
    env_file.chmod(0o600)
    receipt.write_text(json.dumps(sign_receipt(seed, FIELDS)))
    arguments = ["privacy", "verify-receipt", str(receipt), "--env-file", str(env_file)]
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("signs", [True, False])
def test_a_receipt_of_another_server_is_not_authentic(tmp_path: Path, *, signs: bool) -> None:
    asyncio.run(start_database(tmp_path / "bennu.db", signs=signs))
    done = verify(tmp_path, b"o" * 32)
    assert (done.exit_code, done.stdout) == (1, "The receipt is NOT authentic.\n"), done.output


def test_a_receipt_of_its_own_is(tmp_path: Path) -> None:
    seed = asyncio.run(start_database(tmp_path / "bennu.db", signs=True))
    done = verify(tmp_path, seed)
    assert (done.exit_code, done.stdout) == (0, "The receipt is authentic.\n"), done.output
