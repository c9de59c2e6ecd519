"""The files of TLS, read and proved good together."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bennu.kernel.errors import AppError
from bennu.kernel.secret import Secret
from bennu.tls.material import TlsFileError, load_tls_material, read_tls_files, remarks_on
from bennu.tls.settings import TlsSettings
from peers.pki import KEY_PASSWORD, Certificate, Pki


def now() -> datetime:
    return datetime.now(UTC)


def settings_of(
    pair: Certificate, *, password: str = "", ca: Path | None = None, http: bool = True
) -> TlsSettings:
    return TlsSettings(
        http=http,
        grpc=True,
        cert_file=pair.cert,
        key_file=pair.key,
        key_file_password=Secret(password) if password else None,
        ca_file=ca,
        verify_client=ca is not None,
    )


def load(settings: TlsSettings, after: timedelta = timedelta()) -> str:
    """Load the material; return what is wrong, "" when nothing is."""
    try:
        load_tls_material(settings, read_tls_files(settings), now() + after)
    except AppError as error:
        return error.public
    return ""


def test_good_files_make_a_context_for_http_only(pki: Pki) -> None:
    settings = settings_of(pki.server, ca=pki.authority.cert)
    material = load_tls_material(settings, read_tls_files(settings), now())
    assert material.context is not None
    assert material.certificate.subject == "CN=localhost,O=Test"
    assert [a.subject for a in material.authorities] == ["CN=Test CA,O=Test"]
    assert "PRIVATE" not in repr(material)
    settings = settings_of(pki.server, http=False)
    material = load_tls_material(settings, read_tls_files(settings), now())
    assert (material.context, material.authorities) == (None, ())


def test_an_encrypted_key_is_kept_in_memory_without_its_password(pki: Pki) -> None:
    pair = pki.authority.encrypt_key(pki.server)
    settings = settings_of(pair, password=KEY_PASSWORD)
    material = load_tls_material(settings, read_tls_files(settings), now())
    assert material.report.key is not None
    assert material.report.key.pem.startswith(b"-----BEGIN PRIVATE KEY-----")


def test_what_is_wrong_names_variable_file_and_reason(pki: Pki, tmp_path: Path) -> None:
    encrypted = pki.authority.encrypt_key(pki.server)
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    cert, key = pki.server.cert, pki.server.key
    for pair, password, variable, path, reason in (
        (Certificate(cert, pki.client.key), "", "KEY", pki.client.key, "not the key of"),
        (Certificate(cert, encrypted.key), "x", "KEY", encrypted.key, "wrong password"),
        (Certificate(cert, encrypted.key), "", "KEY", encrypted.key, "there is no password"),
        (Certificate(cert, junk), "", "KEY", junk, "no private key"),
        (Certificate(junk, key), "", "CERT", junk, "no certificate"),
        (Certificate(tmp_path / "none", key), "", "CERT", tmp_path / "none", "No such file"),
        (Certificate(cert, tmp_path), "", "KEY", tmp_path, "Is a directory"),
    ):
        text = load(settings_of(pair, password=password))
        assert f"PHOENIX_TLS_{variable}_FILE: {path}: " in text
        assert reason in text


def test_a_certificate_out_of_its_time_is_refused(pki: Pki) -> None:
    assert "expired on" in load(settings_of(pki.server), timedelta(days=31))
    assert "not valid before" in load(settings_of(pki.server), timedelta(days=-2))


@pytest.mark.parametrize("content", ["", "junk"])
def test_authorities_must_be_there(pki: Pki, tmp_path: Path, content: str) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(content)
    assert f"PHOENIX_TLS_CA_FILE: {ca}: no certificate" in load(settings_of(pki.server, ca=ca))


def test_files_that_change_while_they_are_read_are_not_taken(pki: Pki, tmp_path: Path) -> None:
    pair = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    pair.cert.write_bytes(pki.server.cert.read_bytes())
    pair.key.write_bytes(pki.server.key.read_bytes())
    settings = settings_of(pair)
    files = read_tls_files(settings)
    pair.cert.write_bytes(pki.server.cert.read_bytes() + b"\n")
    with pytest.raises(TlsFileError, match="changed while it was read"):
        load_tls_material(settings, files, now())


def test_what_works_and_deserves_a_word(pki: Pki) -> None:
    settings = settings_of(pki.server, password="unused")
    material = load_tls_material(settings, read_tls_files(settings), now())
    remarks = remarks_on(settings, material)
    assert f"PHOENIX_TLS_CERT_FILE: {pki.server.cert}: expires in" in remarks[0]
    assert "PHOENIX_TLS_KEY_FILE" in remarks[1]
    assert "a password is set" in remarks[1]
