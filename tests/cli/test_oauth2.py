"""``bennu oauth2 test``: shape, statuses, stored providers. Spec: lines 91-133."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bennu.cli.main import main
from bennu.encryption.vault import StoredSetting, Vault
from bennu.kernel.clock import SystemClock
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.migrate import migrate
from bennu.storage.settings import StorageSettings
from fakes.accounts import CIPHER
from fakes.clock import FrozenClock
from fakes.hostile_provider import CLIENT_ID, CLIENT_SECRET, HostileProvider

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def provider() -> Iterator[HostileProvider]:
    with HostileProvider(FrozenClock(SystemClock().now_utc())) as made:
        yield made


def env_file(folder: Path, config_url: str, secret: str = CLIENT_SECRET) -> Path:
    file = folder / "bennu.env"
    file.write_text(
        f"PHOENIX_SECRET={SECRET}\nPHOENIX_ENABLE_AUTH=true\n"
        f"PHOENIX_SQL_DATABASE_URL=sqlite:///{folder / 'bennu.db'}\n"
        "PHOENIX_ROOT_URL=https://b.example\n"
        f"PHOENIX_OAUTH2_CORP_CLIENT_ID={CLIENT_ID}\n"
        f"PHOENIX_OAUTH2_CORP_CLIENT_SECRET='{secret}'\n"
        f"PHOENIX_OAUTH2_CORP_OIDC_CONFIG_URL={config_url}\n"
    )
    file.chmod(0o600)
    return file


def run(file: Path, name: str, *more: str) -> Result:
    return CliRunner().invoke(main, ["oauth2", "test", name, "--env-file", str(file), *more])


def test_a_good_provider_is_one_document_and_status_0(
    tmp_path: Path, provider: HostileProvider
) -> None:
    sample = tmp_path / "claims.json"
    sample.write_text('{"email": "a@b.example"}')
    file = env_file(tmp_path, provider.config_url)
    result = run(file, "CORP", "--json", "--claims-file", str(sample))
    document = json.loads(result.stdout)
    assert result.exit_code == 0, result.output
    assert document["ok"] is True
    assert [step["step"] for step in document["steps"]] == [
        *("metadata", "keys", "clock", "client", "redirect", "scopes", "claims"),
    ]
    assert set(document["steps"][0]) == {"step", "ok", "seconds", "detail", "variables"}
    assert "https://b.example/oauth2/corp/tokens" in document["steps"][4]["detail"]


def test_a_fault_is_status_1_and_its_variable(tmp_path: Path, provider: HostileProvider) -> None:
    file = env_file(tmp_path, provider.config_url, "wrong")
    result = run(file, "corp")
    assert result.exit_code == 1
    assert "FAIL client" in result.stdout
    assert "PHOENIX_OAUTH2_CORP_CLIENT_SECRET" in result.stdout
    assert "wrong" not in result.output
    document = json.loads(run(file, "corp", "--json").stdout)
    assert document["ok"] is False


def test_an_unknown_provider_is_status_2_and_the_known_ones(
    tmp_path: Path, provider: HostileProvider
) -> None:
    result = run(env_file(tmp_path, provider.config_url), "other")
    assert result.exit_code == 2
    assert "configured: corp" in result.output


def test_a_stored_provider_can_be_tried_too(tmp_path: Path, provider: HostileProvider) -> None:
    file = env_file(tmp_path, provider.config_url)

    async def store() -> None:
        settings = StorageSettings(working_dir=tmp_path, sqlite_path=tmp_path / "bennu.db")
        database = Database(settings, SystemClock())
        await database.start()
        await migrate(database, settings)
        vault = Vault(CIPHER, SystemClock(), SystemEntropy())
        plain = {"client_id": CLIENT_ID, "oidc_config_url": provider.config_url}
        setting = StoredSetting("oauth2:mine", plain, Secret(CLIENT_SECRET))
        await database.write(lambda c: vault.keep_setting(c, setting))
        await database.stop()

    asyncio.run(store())
    result = run(file, "mine", "--json")
    assert result.exit_code == 0, result.output
