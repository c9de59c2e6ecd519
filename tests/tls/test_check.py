"""What ``bennu tls check`` says about files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bennu.tls.certificate import make_self_signed
from bennu.tls.check import FileCheck, check_tls_files
from peers.pki import KEY_PASSWORD, Pki

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with two pairs: ``one`` RSA, ``two`` EC; and ``junk``."""
    for name, use_ec in (("one", False), ("two", True)):
        cert, key = make_self_signed([name], 365, NOW, use_ec=use_ec)
        (tmp_path / f"{name}.pem").write_bytes(cert)
        (tmp_path / f"{name}.key").write_bytes(key)
        (tmp_path / f"{name}.both").write_bytes(key + cert)
    (tmp_path / "junk").write_text("junk")
    return tmp_path


def check(folder: Path, *names: str, password: str = "", days: int = 0) -> FileCheck:
    paths = [folder / name for name in names]
    return check_tls_files(paths, password, NOW + timedelta(days=days))


def texts(checked: FileCheck) -> list[str]:
    return [f"{path.name}: {finding.text}" for path, finding in checked.findings]


@pytest.mark.parametrize("names", [("one.pem", "one.key"), ("two.key", "two.pem"), ("two.both",)])
def test_a_good_pair_in_any_order(files: Path, names: tuple[str, ...]) -> None:
    checked = check(files, *names)
    assert checked.is_good
    assert checked.findings == []
    (certificate,), (key,) = checked.certificates, checked.keys
    assert key.belongs_to == certificate.path


def test_each_key_finds_its_certificate(files: Path) -> None:
    checked = check(files, "one.pem", "two.pem", "two.key", "one.key")
    assert checked.is_good
    assert [key.belongs_to for key in checked.keys] == [files / "two.pem", files / "one.pem"]


def test_what_is_wrong_is_told_per_file(files: Path) -> None:
    checked = check(files, "one.pem", "two.key", "junk", "none")
    assert not checked.is_good
    assert texts(checked) == [
        "none: No such file or directory",
        "junk: neither a certificate nor a private key in PEM form",
        f"two.key: it is not the key of {files / 'one.pem'}",
    ]


def test_dates(files: Path) -> None:
    assert "expires in 10 days" in texts(check(files, "one.pem", days=355))[0]
    assert check(files, "one.pem", days=355).is_good
    assert not check(files, "one.pem", days=365).is_good


def test_a_key_alone_belongs_to_nothing_and_is_good(files: Path) -> None:
    checked = check(files, "one.key")
    assert checked.is_good
    assert checked.keys[0].belongs_to is None


def test_an_encrypted_key_needs_its_password(pki: Pki) -> None:
    encrypted = pki.authority.encrypt_key(pki.server).key
    assert check(encrypted.parent, encrypted.name, password=KEY_PASSWORD).is_good
    assert not check(encrypted.parent, encrypted.name).is_good


def test_authorities(pki: Pki, files: Path) -> None:
    checked = check_tls_files([], "", NOW, [pki.authority.cert])
    assert checked.is_good
    assert checked.authorities[0].first.subject == "CN=Test CA,O=Test"
    late = check_tls_files([], "", NOW + timedelta(days=10_000), [pki.authority.cert])
    assert late.is_good
    assert "has expired" in texts(late)[0]
    for name in ("junk", "none"):
        assert not check_tls_files([], "", NOW, [files / name]).is_good


@pytest.mark.parametrize("label", ["CERTIFICATE", "PRIVATE KEY"])
def test_a_broken_block_is_told(tmp_path: Path, label: str) -> None:
    (tmp_path / "x").write_text(f"-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n")
    assert not check(tmp_path, "x").is_good
