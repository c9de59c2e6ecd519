"""The directory as a server uses it."""

import subprocess
import sys
from pathlib import Path

import pytest

from bennu.auth.ldap.configured import (
    ConfiguredDirectory,
    NoLdapLibraryError,
    UnusableDirectoryError,
    require_ldap_library,
)
from bennu.auth.ldap.faults import LdapFault
from bennu.auth.provision import Identity
from bennu.kernel.clock import SystemClock
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from fakes.directories import ldap_settings
from peers.slapd import SlapdServer


def configured(env: dict[str, str]) -> ConfiguredDirectory:
    return ConfiguredDirectory(ldap_settings(env), SystemClock(), SystemEntropy())


async def test_it_proves_people_once_started(slapd: SlapdServer) -> None:
    directory = configured(slapd.env())
    with pytest.raises(RuntimeError, match="not started"):
        await directory.prove("alice", Secret("alicepw"))
    directory.start()
    assert isinstance(await directory.prove("alice", Secret("alicepw")), Identity)
    directory.stop()


async def test_it_starts_while_the_directory_is_away(slapd: SlapdServer) -> None:
    directory = configured(slapd.env(HOST="no-such-host.invalid"))
    directory.start()
    with pytest.raises(LdapFault):
        await directory.prove("alice", Secret("alicepw"))
    directory.stop()


def test_a_file_that_cannot_be_used_is_named(slapd: SlapdServer, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(UnusableDirectoryError, match="PHOENIX_LDAP_TLS_CA_CERT_FILE"):
        configured(slapd.env(TLS_CA_CERT_FILE=str(file))).start()


def test_a_missing_library_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require_ldap_library()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(NoLdapLibraryError, match=r"pip install 'bennu\[ldap\]'"):
        require_ldap_library()


def test_routes_are_listed_and_settings_checked_without_the_library() -> None:
    script = (
        "import sys, bennu.app, bennu.cli.config, bennu.cli.ldap; sys.exit('ldap' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
