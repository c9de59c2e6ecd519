"""TLS of the HTTP listener, without a listener: handshakes in memory."""

import ssl
from pathlib import Path

import pytest

from bennu.tls.context import TlsContextError, exchangeable_context, server_context
from peers.pki import KEY_PASSWORD, Certificate, Pki


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """Shake hands through memory; return the server's side."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    other = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [one, other]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                continue
        if not waiting:
            return other
    raise AssertionError("no end of the handshake")


def client_context(pki: Pki, shown: Certificate | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=pki.authority.cert)
    if shown is not None:
        context.load_cert_chain(shown.cert, shown.key)
    return context


def context_of(
    pki: Pki, pair: Certificate | None = None, *, ca: Path | None = None, version: str = "1.2"
) -> ssl.SSLContext:
    pair = pair or pki.server
    return server_context(pair.cert, pair.key, KEY_PASSWORD, ca, version)


@pytest.mark.asvs("12.1.1")
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_the_oldest_version_is_the_setting(pki: Pki, version: str) -> None:
    client = client_context(pki)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    server = context_of(pki, version=version)
    if version == "1.2":
        cipher = shake_hands(server, client).cipher()
        assert cipher is not None
        assert cipher[0].startswith("ECDHE-")
    else:
        with pytest.raises(ssl.SSLError):
            shake_hands(server, client)
    assert shake_hands(server, client_context(pki)).version() == "TLSv1.3"


@pytest.mark.asvs("11.3.1", "12.1.2")
@pytest.mark.parametrize("cipher", ["AES128-SHA256", "ECDHE+AESCCM", "ECDHE-ECDSA-AES128-SHA256"])
def test_a_weak_cipher_is_refused(pki: Pki, cipher: str) -> None:
    client = client_context(pki)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(cipher)
    with pytest.raises(ssl.SSLError):
        shake_hands(context_of(pki), client)


@pytest.mark.asvs("12.1.3")
def test_a_client_certificate_is_required_and_checked(pki: Pki) -> None:
    server = context_of(pki, ca=pki.authority.cert)
    done = shake_hands(server, client_context(pki, pki.client))
    assert done.getpeercert()["subject"]  # type: ignore[index]
    for shown in (None, pki.foreign_client, pki.server):
        with pytest.raises(ssl.SSLError):
            shake_hands(server, client_context(pki, shown))


def test_other_files_serve_from_the_next_handshake_on(pki: Pki) -> None:
    other = pki.authority.issue("other", "/O=Test/CN=other")
    server = exchangeable_context(context_of(pki))
    for pair, ca in ((pki.server, None), (other, pki.authority.cert), (pki.server, None)):
        server.current = context_of(pki, pair, ca=ca)
        done = shake_hands(server, client_context(pki, pki.client))
        assert (done.getpeercert(binary_form=True) is not None) is (ca is not None)


def test_authorities_that_were_taken_away_are_forgotten(pki: Pki) -> None:
    server = exchangeable_context(context_of(pki, ca=pki.authority.cert))
    shake_hands(server, client_context(pki, pki.client))
    server.current = context_of(pki, ca=pki.foreign.cert)
    with pytest.raises(ssl.SSLError):
        shake_hands(server, client_context(pki, pki.client))


def test_a_file_that_cannot_be_used_is_named(pki: Pki, tmp_path: Path) -> None:
    with pytest.raises(TlsContextError, match=str(pki.client.key)):
        context_of(pki, Certificate(pki.server.cert, pki.client.key))
    with pytest.raises(TlsContextError, match="No such file"):
        context_of(pki, Certificate(tmp_path / "none", pki.client.key))
    with pytest.raises(TlsContextError, match="PHOENIX_TLS_CA_FILE"):
        context_of(pki, ca=pki.server.key)


def test_a_wrong_password_is_not_asked_for_on_a_terminal(pki: Pki) -> None:
    pair = pki.authority.encrypt_key(pki.server, "another password")
    with pytest.raises(TlsContextError):
        context_of(pki, pair)
