"""``bennu firewall`` as a person runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from bennu.cli.firewall import addresses_of
from fakes.settings import SECRET

BASE = f"PHOENIX_ENABLE_AUTH=true\nPHOENIX_SECRET={SECRET}\n"


def firewall(folder: Path, *arguments: str, env: str = BASE) -> "subprocess.CompletedProcess[str]":
    file = folder / "bennu.env"
    file.write_text(env)
    words = [sys.executable, "-m", "bennu", "firewall", "--env-file", str(file), *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_the_effective_settings_decide(tmp_path: Path) -> None:
    done = firewall(
        tmp_path,
        *("--format", "iptables", "--http-from", "10.0.0.0/8", "--grpc-from", "10.0.1.0/24"),
        env=BASE + "PHOENIX_PORT=7006\nPHOENIX_SQL_DATABASE_URL=postgresql://u:p@10.3.3.3:5433/d\n",
    )
    assert done.returncode == 0
    assert "iptables -A INPUT -p tcp --dport 7006 -s 10.0.0.0/8 -j ACCEPT\n" in done.stdout
    assert "iptables -A INPUT -p tcp --dport 7006 -j DROP\n" in done.stdout
    assert "iptables -A INPUT -p tcp --dport 4317 -s 10.0.1.0/24 -j ACCEPT\n" in done.stdout
    assert "iptables -A OUTPUT -d 10.3.3.3/32 -p tcp --dport 5433 -j ACCEPT\n" in done.stdout
    assert SECRET not in done.stdout


def test_the_other_forms(tmp_path: Path) -> None:
    assert firewall(tmp_path, "--http-from", "10.0.0.0/8").stdout.count("tcp dport 6006") == 3
    done = firewall(tmp_path, "--format", "k8s", "--selector", "app=bennu")
    assert 'matchLabels: {"app": "bennu"}' in done.stdout


def test_a_host_that_cannot_be_resolved_is_a_finding(tmp_path: Path) -> None:
    env = BASE + "PHOENIX_SQL_DATABASE_URL=postgresql://u:p@gone.invalid/d\n"
    done = firewall(tmp_path, env=env)
    assert done.returncode == 1
    assert done.stderr == "error: database: gone.invalid cannot be resolved\n"
    assert "# gone.invalid could not be resolved" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--http-from", "10.0.0.1/8"),
        ("--http-from", "example.com"),
        ("--format", "pf"),
        ("--user", "a; reboot"),
        ("--selector", 'app="x'),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = firewall(tmp_path, *arguments)
    assert done.returncode == 2
    assert arguments[0] in done.stderr


def test_this_machine_resolves_itself() -> None:
    assert "127.0.0.1" in addresses_of("localhost")
