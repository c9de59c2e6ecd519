"""Signatures that anybody can check. Source: RFC 8032 section 7.1, RFC 8410."""

import subprocess
from pathlib import Path

import pytest

from bennu.encryption.signing import PublicKeyError, is_signed_by, public_key_pem, sign_message

# RFC 8032, test 2.
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
MESSAGE = bytes.fromhex("72")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


@pytest.mark.asvs("11.6.1")
def test_known_answer() -> None:
    assert sign_message(SEED, MESSAGE) == SIGNATURE
    assert is_signed_by(public_key_pem(SEED), MESSAGE, SIGNATURE)


def test_another_message_key_or_signature_is_refused() -> None:
    public = public_key_pem(SEED)
    assert not is_signed_by(public, b"other", SIGNATURE)
    assert not is_signed_by(public_key_pem(bytes(32)), MESSAGE, SIGNATURE)
    assert not is_signed_by(public, MESSAGE, bytes(64))
    assert not is_signed_by(public, MESSAGE, b"short")


@pytest.mark.parametrize("text", ["", "hello", "-----BEGIN PUBLIC KEY-----\nAAAA\n"])
def test_what_is_no_key_is_told(text: str) -> None:
    with pytest.raises(PublicKeyError, match="Ed25519"):
        is_signed_by(text, MESSAGE, SIGNATURE)


def test_a_key_of_another_kind_is_told(tmp_path: Path) -> None:
    private = tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "X25519", "-out", str(private)],
        check=True,
        capture_output=True,
    )
    public = subprocess.run(
        ["openssl", "pkey", "-in", str(private), "-pubout"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    with pytest.raises(PublicKeyError):
        is_signed_by(public, MESSAGE, SIGNATURE)


def test_openssl_agrees(tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_text(public_key_pem(SEED))
    (tmp_path / "message").write_bytes(MESSAGE)
    (tmp_path / "signature").write_bytes(SIGNATURE)
    done = subprocess.run(
        [
            *("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-rawin"),
            *("-in", "message", "-sigfile", "signature"),
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
