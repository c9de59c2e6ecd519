"""Which service account a client certificate stands for."""

import ssl

import pytest

from bennu.tls.certificate import CertificateFacts, read_certificates
from bennu.tls.identity import (
    CertificateAccounts,
    WrongMappingError,
    client_certificate_of_der,
    client_certificate_of_pem,
)
from peers.pki import Pki

NAMES = "email:agent7@corp.test,DNS:Agent-7.corp.test,IP:10.0.0.7,URI:spiffe://corp.test/agent?x=7"


@pytest.fixture(scope="module")
def agent(pki: Pki) -> CertificateFacts:
    made = pki.authority.issue("agent", "/O=Test/CN=agent-7", names=NAMES, usage="clientAuth")
    return read_certificates(made.cert.read_bytes())[0]


@pytest.mark.parametrize(
    "text",
    [
        "CN=agent-7,O=Test",
        "O = Test, CN = agent-7",
        "/O=Test/CN=agent-7",
        "email:agent7@CORP.test",
        "agent7@corp.test",
        "DNS:agent-7.corp.test",
        "agent-7.corp.test",
        "dns:AGENT-7.CORP.TEST.",
        "IP:10.0.0.7",
        "10.0.0.7",
        "URI:spiffe://corp.test/agent?x=7",
        "spiffe://corp.test/agent?x=7",
    ],
)
def test_the_whole_subject_or_one_name_is_enough(agent: CertificateFacts, text: str) -> None:
    accounts = CertificateAccounts({text: "ingest", "CN=somebody-else": "other"})
    assert accounts.account_of(agent) == "ingest"


@pytest.mark.parametrize(
    "text",
    [
        "CN=agent-7",
        "CN=agent-7,O=Test,C=DE",
        "agent-7",
        "corp.test",
        "*.corp.test",
        "DNS:agent7@corp.test",
        "email:agent-7.corp.test",
        "Agent7@corp.test",
        "URI:spiffe://corp.test/agent",
        "IP:10.0.0.70",
    ],
)
def test_nothing_is_compared_in_part(agent: CertificateFacts, text: str) -> None:
    assert CertificateAccounts({text: "ingest"}).account_of(agent) is None


def test_who_is_meant_twice_is_nobody(agent: CertificateFacts) -> None:
    twice = {"CN=agent-7,O=Test": "one", "agent7@corp.test": "two"}
    assert CertificateAccounts(twice).account_of(agent) is None
    same = {"CN=agent-7,O=Test": "one", "agent7@corp.test": "one"}
    assert CertificateAccounts(same).account_of(agent) == "one"
    assert CertificateAccounts({}).account_of(agent) is None


def test_a_misspelt_subject_is_refused_at_the_start() -> None:
    with pytest.raises(WrongMappingError, match=r"PHOENIX_TLS_CLIENT_CERT_MAPPINGS.*CNN=x"):
        CertificateAccounts({"CNN=x": "ingest"})


def test_both_forms_of_a_certificate_are_read(pki: Pki) -> None:
    pem = pki.client.cert.read_bytes()
    der = ssl.PEM_cert_to_DER_cert(pem.decode())
    assert client_certificate_of_pem(pem) == client_certificate_of_der(der)
    assert client_certificate_of_pem(b"x") is None
    assert client_certificate_of_der(b"x") is None
