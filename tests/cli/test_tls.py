"""``bennu tls``: what it writes, what it says."""

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bennu.cli.main import main
from peers.pki import KEY_PASSWORD, Pki


def run(*arguments: object, env: dict[str, str] | None = None) -> Result:
    values = {f"PHOENIX_TLS_{name}_FILE": None for name in ("CERT", "KEY", "CA")}
    return CliRunner().invoke(main, ["tls", *map(str, arguments)], env={**values, **(env or {})})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("options", [(), ("--ec",)])
def test_a_pair_is_made_and_is_good(here: Path, options: tuple[str, ...]) -> None:
    made = run("selfsigned", "--host", "phoenix.local", "--host", "127.0.0.1", *options)
    assert made.exit_code == 0, made.output
    assert f"PHOENIX_TLS_KEY_FILE={here / 'key.pem'}" in made.output
    assert stat.S_IMODE((here / "key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((here / "cert.pem").stat().st_mode) == 0o644
    done = run("check", "cert.pem", "key.pem")
    assert done.exit_code == 0
    assert "DNS:phoenix.local, IP:127.0.0.1" in done.output
    assert ("EC secp256r1" if options else "RSA 2048") in done.output
    assert "belongs to cert.pem" in done.output
    assert "364 days" in done.output
    assert done.output.endswith("good\n")


@pytest.mark.parametrize("there", ["cert.pem", "key.pem"])
def test_nothing_is_overwritten_and_nothing_left_behind(here: Path, there: str) -> None:
    (here / there).write_text("mine")
    done = run("selfsigned", "--host", "x")
    assert done.exit_code == 1
    assert f"{there}: File exists" in done.output
    assert [path.name for path in here.iterdir()] == [there]
    assert (here / there).read_text() == "mine"


def test_other_files_and_days(here: Path) -> None:
    made = run("selfsigned", "--host", "x", "--days", 2, "--cert", "a.crt", "--key", "a.key")
    assert made.exit_code == 0
    done = run("check", "--json", here / "a.crt", "a.key")
    document = json.loads(done.stdout)
    assert document["ok"] is True
    assert document["certificates"][0]["days_left"] == 1
    assert document["findings"][0]["state"] == "warn"
    assert document["keys"][0]["belongs_to"] == str(here / "a.crt")


@pytest.mark.parametrize("arguments", [(), ("--host", "a b"), ("--host", "x", "--days", "0")])
@pytest.mark.usefixtures("here")
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert run("selfsigned", *arguments).exit_code == 2


def test_a_finding_is_a_status(pki: Pki) -> None:
    done = run("check", pki.server.cert, pki.client.key)
    assert done.exit_code == 1
    assert f"fail: {pki.client.key}: it is not the key of {pki.server.cert}" in done.output
    assert done.output.endswith("NOT good\n")
    document = json.loads(run("check", "--json", pki.server.cert, pki.client.key).stdout)
    assert document["ok"] is False
    assert document["keys"][0]["belongs_to"] is None


def test_without_files_those_of_the_settings(pki: Pki, tmp_path: Path) -> None:
    encrypted = pki.authority.encrypt_key(pki.server).key
    env = {
        "PHOENIX_TLS_CERT_FILE": str(pki.server.cert),
        "PHOENIX_TLS_KEY_FILE": str(encrypted),
        "PHOENIX_TLS_CA_FILE": str(pki.authority.cert),
        "PHOENIX_TLS_KEY_FILE_PASSWORD": KEY_PASSWORD,
    }
    done = run("check", env=env)
    assert done.exit_code == 0, done.output
    assert "encrypted, belongs to" in done.output
    assert "authorities of client certificates: CN=Test CA,O=Test" in done.output
    assert KEY_PASSWORD not in done.output
    file = tmp_path / "bennu.env"
    file.write_text("\n".join(f"{name}={value}" for name, value in env.items()))
    assert run("check", "--env-file", file).exit_code == 0
    document = json.loads(run("check", "--json", env=env).stdout)
    assert document["authorities"][0]["subject"] == "CN=Test CA,O=Test"


def test_nothing_to_check_is_wrong_usage(tmp_path: Path) -> None:
    assert run("check").exit_code == 2
    assert run("check", "--env-file", tmp_path / "none", "x").exit_code == 2


def test_a_chain_is_shown(pki: Pki, tmp_path: Path) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_bytes(pki.server.cert.read_bytes() + pki.authority.cert.read_bytes())
    assert "chain 2      CN=Test CA,O=Test" in run("check", chain).output
    document = json.loads(run("check", "--json", chain).stdout)
    assert document["certificates"][0]["chain"][0]["subject"] == "CN=Test CA,O=Test"
