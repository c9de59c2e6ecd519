"""TLS of the directory."""

import os
import shutil
import time
from pathlib import Path

import pytest

from bennu.auth.ldap.connection import bind_service, open_connection
from bennu.auth.ldap.faults import LdapFault, Step
from bennu.auth.ldap.settings import LdapServer, LdapSettings
from bennu.auth.ldap.tls import TlsContexts, make_tls_context, secure
from bennu.auth.ldap.wire import dial, resolve
from fakes.directories import answering, ldap_settings, soon
from peers.pki import KEY_PASSWORD, Certificate, Pki
from peers.slapd import SlapdServer, running_slapd

STARTTLS_DONE = bytes.fromhex("300c02010178070a010004000400")
STARTTLS_REFUSED = bytes.fromhex("300c02010178070a013404000400")


def connect(
    settings: LdapSettings, host: str = "", port: int = 0, seconds: float = 30
) -> dict[str, object]:
    """Connect with TLS as a sign-in does; return what the server showed."""
    server = settings.servers[0] if not port else LdapServer(host, port)
    context = make_tls_context(settings)
    assert context is not None
    deadline = soon(seconds)
    plain = dial(server, resolve(server, deadline), deadline)
    with secure(plain, server, settings.tls_mode, deadline, context) as secured:
        return dict(secured.getpeercert() or {})


def fault_of(
    settings: LdapSettings, host: str = "", port: int = 0, seconds: float = 30
) -> LdapFault:
    with pytest.raises(LdapFault) as caught:
        connect(settings, host, port, seconds)
    return caught.value


@pytest.mark.parametrize("mode", ["starttls", "ldaps"])
def test_both_modes_reach_the_server(slapd: SlapdServer, mode: str) -> None:
    port = slapd.port if mode == "starttls" else slapd.tls_port
    shown = connect(ldap_settings(slapd.env(TLS_MODE=mode, PORT=str(port))))
    assert ("IP Address", "127.0.0.1") in shown["subjectAltName"]  # type: ignore[operator]


@pytest.mark.asvs("12.3.2")
def test_an_authority_that_did_not_sign(slapd: SlapdServer, pki: Pki) -> None:
    env = slapd.env(TLS_CA_CERT_FILE=str(pki.foreign.cert))
    fault = fault_of(ldap_settings(env))
    assert (fault.step, fault.variables[0]) == (Step.TLS, "PHOENIX_LDAP_TLS_CA_CERT_FILE")
    assert connect(ldap_settings({**env, "PHOENIX_LDAP_TLS_VERIFY": "false"})) == {}


@pytest.mark.asvs("12.3.4")
def test_the_authorities_of_the_system_do_not_help(slapd: SlapdServer) -> None:
    env = slapd.env()
    del env["PHOENIX_LDAP_TLS_CA_CERT_FILE"]
    assert fault_of(ldap_settings(env)).variables[0] == "PHOENIX_LDAP_TLS_CA_CERT_FILE"


def test_another_name_than_the_certificate_holds(slapd: SlapdServer) -> None:
    fault = fault_of(ldap_settings(slapd.env(HOST="127.0.0.2")), "127.0.0.2", slapd.port)
    assert fault.step is Step.CONNECT  # it does not listen there, so ask by another name
    name = os.uname().nodename
    found = fault_of(ldap_settings(slapd.env(HOST=f"{name}:{slapd.port}")))
    assert found.variables[0] == "PHOENIX_LDAP_HOST"


@pytest.mark.parametrize("days", [-1, 0])
def test_a_certificate_out_of_date(pki: Pki, days: int, tmp_path: Path) -> None:
    made = pki.authority.issue(f"past{days}", "/O=Test/CN=past", days=days)
    with running_slapd(pki, made) as server:
        fault = fault_of(ldap_settings(server.env()))
    assert fault.step is Step.TLS
    assert "expired" in fault.detail
    assert "clock" in fault.detail
    assert tmp_path.exists()


def bind(settings: LdapSettings) -> None:
    """Bind as the service account: with TLS 1.3 a server asks for certificates that late."""
    context = make_tls_context(settings)
    connection = open_connection(settings, context, settings.servers[0], soon())
    try:
        bind_service(connection, settings, soon())
    finally:
        connection.close()


def test_client_certificates(pki: Pki) -> None:
    with running_slapd(pki, verify_client="demand") as server:

        def with_pair(pair: Certificate, mode: str = "starttls", **more: str) -> LdapSettings:
            port = server.port if mode == "starttls" else server.tls_port
            files = {"TLS_CLIENT_CERT_FILE": str(pair.cert), "TLS_CLIENT_KEY_FILE": str(pair.key)}
            return ldap_settings(server.env(TLS_MODE=mode, PORT=str(port), **files, **more))

        for refused in (ldap_settings(server.env()), with_pair(pki.foreign_client)):
            with pytest.raises(LdapFault) as caught:
                bind(refused)
            assert "PHOENIX_LDAP_TLS_CLIENT_CERT_FILE" in caught.value.variables
        bind(with_pair(pki.client))
        bind(with_pair(pki.client, "ldaps"))
        locked = pki.authority.encrypt_key(pki.client)
        bind(with_pair(locked, TLS_CLIENT_KEY_FILE_PASSWORD=KEY_PASSWORD))
        for wrong in (with_pair(locked), with_pair(locked, TLS_CLIENT_KEY_FILE_PASSWORD="x")):
            with pytest.raises(LdapFault) as caught:
                make_tls_context(wrong)
            assert "PHOENIX_LDAP_TLS_CLIENT_KEY_FILE_PASSWORD" in caught.value.variables
        with pytest.raises(LdapFault, match="not that of the certificate"):
            make_tls_context(with_pair(Certificate(pki.client.cert, pki.server.key)))


def test_files_that_hold_no_certificates(slapd: SlapdServer, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    with pytest.raises(LdapFault, match="no certificates in PEM form") as caught:
        make_tls_context(ldap_settings(slapd.env(TLS_CA_CERT_FILE=str(empty))))
    assert caught.value.variables == ("PHOENIX_LDAP_TLS_CA_CERT_FILE",)


def test_replaced_files_are_read_again(slapd: SlapdServer, pki: Pki, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    shutil.copyfile(pki.foreign.cert, file)
    contexts = TlsContexts(ldap_settings(slapd.env(TLS_CA_CERT_FILE=str(file))))
    first = contexts.current()
    assert contexts.current() is first
    file.write_text("half a fi")
    assert contexts.current() is first
    shutil.copyfile(pki.authority.cert, file)
    assert contexts.current() is not first


@pytest.mark.asvs("12.3.1")
@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (STARTTLS_REFUSED, "result code 52"),
        (STARTTLS_DONE, "ended"),
        (STARTTLS_DONE + b"HTTP/1.1 400 Bad Request\r\n\r\n", "wrong version"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not LDAP"),
        (b"\x30\x84\x7f\xff\xff\xff", "not one to StartTLS"),
        (b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00", "result code -1"),
        (b"", "ended the connection"),
    ],
)
def test_servers_that_do_not_speak_tls(slapd: SlapdServer, answer: bytes, word: str) -> None:
    with answering(answer) as (host, port):
        fault = fault_of(ldap_settings(slapd.env()), host, port)
    assert fault.step is Step.TLS
    assert "PHOENIX_LDAP_TLS_MODE" in fault.variables
    assert word in fault.detail or "eof" in fault.detail or "reset" in fault.detail.lower()


@pytest.mark.parametrize(
    ("mode", "answer"), [("starttls", b""), ("starttls", STARTTLS_DONE), ("ldaps", b"")]
)
def test_a_server_that_hangs_is_left_in_time(slapd: SlapdServer, mode: str, answer: bytes) -> None:
    with answering(answer, hangs=True) as (host, port):
        began = time.monotonic()
        fault = fault_of(ldap_settings(slapd.env(TLS_MODE=mode)), host, port, seconds=0.3)
        assert time.monotonic() - began < 20
    assert "in time" in fault.detail
