"""From a client certificate to the service account that it stands for.

Spec: lines 190-196. Source: RFC 8705 section 2.1 (subject or alternative name names the client).
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from bennu.kernel.errors import InvalidError
from bennu.tls.certificate import (
    CertificateFacts,
    NameKey,
    PemError,
    read_certificate_der,
    read_certificates,
    subject_keys,
)

#: Key of the ASGI scope under which the listener leaves the certificate of the connection.
CERTIFICATE: Final = "bennu.certificate"

_MAPPINGS: Final = "PHOENIX_TLS_CLIENT_CERT_MAPPINGS"
_KINDS: Final = {"dns": "DNS", "ip": "IP", "email": "email", "uri": "URI"}
_TYPED: Final = re.compile(r"(dns|ip|email|uri):(.+)", re.IGNORECASE)
_SUBJECT: Final = re.compile(r"/?[A-Za-z][A-Za-z0-9]*\s*=.*|([0-9]+\.)+[0-9]+\s*=.*")
#: An address of a host needs no kind before it; as an address it is told apart from a name.
_BARE_KINDS: Final = ("DNS", "IP", "email", "URI")
_CACHED: Final = 1024


class WrongMappingError(InvalidError):
    """A mapping of client certificates cannot be used; the text names it."""

    code = "client_certificate_mapping"


class CertificateAccounts:
    """Which service account a client certificate stands for.

    A mapping names the whole subject, in either order, or one alternative name, with its kind
    before it (``URI:spiffe://…``) or not. Nothing is compared in part: a certificate that only
    resembles one of them stands for nobody.

    Args:
        mappings: subject or alternative name to the name or the id of a service account.

    Raises:
        WrongMappingError: something that looks like a subject is none.
    """

    def __init__(self, mappings: Mapping[str, str]) -> None:
        self._by_subject: dict[NameKey, set[str]] = {}
        self._by_name: dict[str, set[str]] = {}
        self._known: dict[str, str | None] = {}
        for text, account in mappings.items():
            for name in _names_meant(text):
                self._by_name.setdefault(name, set()).add(account)
            for subject in _subjects_meant(text):
                self._by_subject.setdefault(subject, set()).add(account)

    def account_of(self, certificate: CertificateFacts) -> str | None:
        """Return the account of a certificate, None when it has none, or more than one."""
        if not (self._by_subject or self._by_name):
            return None
        fingerprint = certificate.fingerprint
        if fingerprint not in self._known:
            if len(self._known) >= _CACHED:
                self._known.clear()
            self._known[fingerprint] = self._find(certificate)
        return self._known[fingerprint]

    def _find(self, certificate: CertificateFacts) -> str | None:
        found = set(self._by_subject.get(certificate.subject_key, ()))
        for name in certificate.names:
            found |= self._by_name.get(_comparable(name), set())
        return found.pop() if len(found) == 1 else None


def _subjects_meant(text: str) -> frozenset[NameKey]:
    if _TYPED.fullmatch(text) or not _SUBJECT.fullmatch(text):
        return frozenset()
    try:
        return subject_keys(text)
    except PemError as error:
        raise WrongMappingError(f"{_MAPPINGS}: {error}") from None


def _names_meant(text: str) -> Iterable[str]:
    typed = _TYPED.fullmatch(text)
    if typed is not None:
        return (_comparable(f"{_KINDS[typed[1].lower()]}:{typed[2].strip()}"),)
    if _SUBJECT.fullmatch(text):
        return ()
    return tuple(_comparable(f"{kind}:{text}") for kind in _BARE_KINDS)


def _comparable(name: str) -> str:
    """Write an alternative name so that equal ones are equal texts."""
    kind, _, value = name.partition(":")
    if kind == "DNS":
        return f"DNS:{value.lower().rstrip('.')}"
    if kind == "email":
        local, _, host = value.rpartition("@")
        return f"email:{local}@{host.lower()}"
    if kind == "IP":
        try:
            return f"IP:{ipaddress.ip_address(value)}"
        except ValueError:
            return name
    return name


@lru_cache(maxsize=_CACHED)
def client_certificate_of_der(der: bytes) -> CertificateFacts | None:
    """Return what a client certificate in DER form says; None when it cannot be read."""
    try:
        return read_certificate_der(der)
    except PemError:
        return None


@lru_cache(maxsize=_CACHED)
def client_certificate_of_pem(pem: bytes) -> CertificateFacts | None:
    """Return what a client certificate in PEM form says; None when it cannot be read."""
    try:
        return read_certificates(pem)[0]
    except PemError:
        return None
