"""Certificates and keys: what is read, what is refused, what is made."""

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bennu.tls.certificate import (
    PemError,
    chain_gap,
    make_self_signed,
    read_certificate_der,
    read_certificates,
    read_private_key,
    subject_keys,
)
from peers.pki import KEY_PASSWORD, Authority, Certificate, Pki

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def pairs(pki: Pki) -> dict[str, Certificate]:
    """One certificate of each algorithm with its key in every form."""
    found = {}
    for algorithm in ("RSA", "EC"):
        plain = pki.authority.issue(f"forms-{algorithm}", "/CN=x", algorithm=algorithm)
        found[f"{algorithm}-plain"] = plain
        found[f"{algorithm}-pkcs8"] = pki.authority.encrypt_key(plain)
        found[f"{algorithm}-traditional"] = pki.authority.encrypt_key_traditionally(plain)
    return found


@pytest.mark.parametrize("algorithm", ["RSA", "EC"])
@pytest.mark.parametrize("form", ["plain", "pkcs8", "traditional"])
def test_every_form_of_a_key_is_read(
    pairs: dict[str, Certificate], algorithm: str, form: str
) -> None:
    pair = pairs[f"{algorithm}-{form}"]
    key = read_private_key(pair.key.read_bytes(), "" if form == "plain" else KEY_PASSWORD)
    (certificate,) = read_certificates(pair.cert.read_bytes())
    assert key.public_key == certificate.public_key
    assert key.key == certificate.key
    assert key.key.startswith(algorithm)
    assert key.was_encrypted is (form != "plain")
    assert b"ENCRYPTED" not in key.pem
    assert KEY_PASSWORD not in repr(key)
    assert "BEGIN" not in repr(key)


@pytest.mark.parametrize("form", ["pkcs8", "traditional"])
@pytest.mark.parametrize(("password", "why"), [("wrong", "wrong password"), ("", "no password")])
def test_a_wrong_or_missing_password_is_told(
    pairs: dict[str, Certificate], form: str, password: str, why: str
) -> None:
    with pytest.raises(PemError, match=why):
        read_private_key(pairs[f"EC-{form}"].key.read_bytes(), password)


def test_what_stands_around_a_key_is_skipped(tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-out", "k.pem"],
        cwd=tmp_path,
        check=True,
    )
    text = (tmp_path / "k.pem").read_bytes()
    assert b"EC PARAMETERS" in text
    certificate, _ = make_self_signed(["h"], 1, NOW)
    assert read_private_key(certificate + text, "").key == "EC secp256r1"


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (b"", "no private key"),
        (b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "cannot be read"),
        (b"-----BEGIN EC PRIVATE KEY-----\n!!\n-----END EC PRIVATE KEY-----", "cannot be read"),
    ],
)
def test_what_is_no_key_is_refused(pem: bytes, why: str) -> None:
    with pytest.raises(PemError, match=why):
        read_private_key(pem, "")


@pytest.mark.asvs("11.6.1")
def test_a_key_that_few_clients_know_is_refused(tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", "k.pem"], cwd=tmp_path, check=True
    )
    with pytest.raises(PemError, match="neither RSA nor EC"):
        read_private_key((tmp_path / "k.pem").read_bytes(), "")


def test_the_facts_of_a_certificate(pki: Pki) -> None:
    (facts,) = read_certificates(pki.client.cert.read_bytes())
    assert facts.subject == "CN=agent-7,OU=Agents,O=Test"
    assert facts.issuer == "CN=Test CA,O=Test"
    assert facts.names == ("email:agent7@corp.test",)
    assert not facts.may_serve
    assert not facts.is_self_issued
    (server,) = read_certificates(pki.server.cert.read_bytes())
    assert server.names == ("DNS:localhost", "IP:127.0.0.1", "IP:::1")
    assert server.may_serve
    printed = subprocess.run(
        ["openssl", "x509", "-in", str(pki.server.cert), "-noout", "-fingerprint", "-sha256"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip().rpartition("=")[2].replace(":", "").lower() == server.fingerprint


@pytest.mark.parametrize("pem", [b"", b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_certificate_is_refused(pem: bytes) -> None:
    with pytest.raises(PemError):
        read_certificates(pem)
    with pytest.raises(PemError):
        read_certificate_der(pem)


def test_a_chain_that_does_not_fit_is_told(pki: Pki) -> None:
    leaf, issuer = pki.server.cert.read_bytes(), pki.authority.cert.read_bytes()
    assert chain_gap(leaf) == ""
    assert chain_gap(leaf + issuer) == ""
    assert "did not issue certificate 1" in chain_gap(leaf + pki.foreign.cert.read_bytes())


@pytest.mark.parametrize(
    "text",
    [
        "CN=agent-7,OU=Agents,O=Test",
        "CN = agent-7, OU = Agents, O = Test",
        "O = Test, OU = Agents, CN = agent-7",
        "/O=Test/OU=Agents/CN=agent-7",
        "2.5.4.3=agent-7,OU=Agents,O=Test",
    ],
)
def test_a_subject_is_read_in_every_spelling(pki: Pki, text: str) -> None:
    (facts,) = read_certificates(pki.client.cert.read_bytes())
    assert facts.subject_key in subject_keys(text)


@pytest.mark.parametrize(
    "text", ["CN=agent-7", "CN=agent-7,O=Test", "CN=Agent-7,OU=Agents,O=Test", "OU=Agents,O=Test"]
)
def test_a_part_of_a_subject_is_another_one(pki: Pki, text: str) -> None:
    (facts,) = read_certificates(pki.client.cert.read_bytes())
    assert facts.subject_key not in subject_keys(text)


def test_special_characters_of_a_subject(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    made = authority.issue("odd", r"/O=A, Inc\/B/emailAddress=a@b.test/CN=x \+ y")
    (facts,) = read_certificates(made.cert.read_bytes())
    assert facts.subject_key in subject_keys(facts.subject)
    assert facts.subject_key in subject_keys(r"CN=x \+ y,emailAddress=a@b.test,O=A\, Inc/B")
    assert facts.subject_key in subject_keys("/O=A, Inc/B/emailAddress=a@b.test/CN=x + y")


@pytest.mark.parametrize("text", ["CNN=x", "CN", "=x", "CN=x,,O=y"])
def test_what_is_no_subject_is_refused(text: str) -> None:
    with pytest.raises(PemError):
        subject_keys(text)


@pytest.mark.asvs("11.6.1")
@pytest.mark.parametrize("use_ec", [False, True])
def test_a_certificate_that_signs_itself(tmp_path: Path, *, use_ec: bool) -> None:
    hosts = ["phoenix.local", "*.phoenix.local", "127.0.0.1", "::1"]
    cert, key = make_self_signed(hosts, 365, NOW, use_ec=use_ec)
    (facts,) = read_certificates(cert)
    assert facts.subject == facts.issuer == "CN=phoenix.local"
    assert facts.names == ("DNS:phoenix.local", "DNS:*.phoenix.local", "IP:127.0.0.1", "IP:::1")
    assert facts.not_after_utc == NOW + timedelta(days=365)
    assert facts.not_before_utc < NOW
    assert facts.key == ("EC secp256r1" if use_ec else "RSA 2048")
    assert facts.may_serve
    assert read_private_key(key, "").public_key == facts.public_key
    (tmp_path / "cert.pem").write_bytes(cert)
    done = subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-attime", str(int(NOW.timestamp()))),
            *("-CAfile", "cert.pem", "cert.pem"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("host", ["", "a b", "https://x", "x/y", "-x", "a..b"])
def test_what_is_no_host_gets_no_certificate(host: str) -> None:
    with pytest.raises(PemError):
        make_self_signed([host], 1, NOW)


def der_with(*extensions: tuple[str, str]) -> bytes:
    """Make a certificate with extensions as they stand: object identifier, content in hex."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string("CN=odd")
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(9))
    for oid, content in extensions:
        odd = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), bytes.fromhex(content))
        builder = builder.add_extension(odd, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


ODD = {
    # A name in the form of X.400, which nobody uses.
    "unsupported_name": der_with(("2.5.29.17", "3004a3020500")),
    "duplicate_extension": der_with(("2.5.29.37", "3000"), ("2.5.29.38", "3000")).replace(
        bytes.fromhex("0603551d26"), bytes.fromhex("0603551d25")
    ),
    "broken_extension": der_with(("2.5.29.17", "ff")),
    # The identifier of elliptic curves turned into one that nobody knows.
    "unknown_key": der_with().replace(
        bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0277")
    ),
    "unknown_version": der_with().replace(
        bytes.fromhex("a003020102"), bytes.fromhex("a003020109"), 1
    ),
}


@pytest.mark.parametrize("kind", sorted(ODD))
def test_a_certificate_that_the_library_cannot_read_is_refused(kind: str) -> None:
    pem = ssl.DER_cert_to_PEM_cert(ODD[kind]).encode()
    with pytest.raises(PemError):
        read_certificate_der(ODD[kind])
    with pytest.raises(PemError):
        read_certificates(pem)


def test_an_issuer_whose_key_nobody_knows_is_a_gap() -> None:
    chain = ssl.DER_cert_to_PEM_cert(der_with()) + ssl.DER_cert_to_PEM_cert(ODD["unknown_key"])
    assert "did not issue certificate 1" in chain_gap(chain.encode())
