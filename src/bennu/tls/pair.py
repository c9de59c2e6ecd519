"""Whether a certificate and a key can serve, and what about them deserves a word.

The server at its start, ``bennu tls check`` and the doctor ask here, so that they cannot disagree.

Spec: lines 179-204, 286-292.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bennu.tls.certificate import (
    CertificateFacts,
    KeyFacts,
    PemError,
    chain_gap,
    read_certificates,
    read_private_key,
)

WARN_DAYS: Final = 30
_TIME: Final = "%Y-%m-%d %H:%M UTC"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a pair.

    Args:
        part: ``certificate`` or ``key``: which of the two files it is about.
        text: what is wrong.
        is_error: the pair cannot serve; else it can and somebody should know.
    """

    part: str
    text: str
    is_error: bool = True


@dataclass(frozen=True, slots=True)
class PairReport:
    """What was found: the certificate first, then its chain; the key, or None if unreadable."""

    chain: tuple[CertificateFacts, ...]
    key: KeyFacts | None
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What keeps the pair from serving."""
        return tuple(finding for finding in self.findings if finding.is_error)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What somebody should know."""
        return tuple(finding for finding in self.findings if not finding.is_error)


def inspect_pair(cert_pem: bytes, key_pem: bytes, password: str, now_utc: datetime) -> PairReport:
    """Read a certificate with its chain and a key, and note everything that is wrong."""
    findings: list[Finding] = []
    chain: tuple[CertificateFacts, ...] = ()
    key: KeyFacts | None = None
    try:
        chain = read_certificates(cert_pem)
    except PemError as error:
        findings.append(Finding("certificate", str(error)))
    else:
        findings += inspect_chain(chain, cert_pem, now_utc)
    try:
        key = read_private_key(key_pem, password)
    except PemError as error:
        findings.append(Finding("key", str(error)))
    if chain and key is not None:
        findings += _inspect_match(chain, key)
    if key is not None and password and not key.was_encrypted:
        text = "a password is set and the key is not encrypted"
        findings.append(Finding("key", text, is_error=False))
    return PairReport(chain, key, tuple(findings))


def inspect_chain(
    chain: tuple[CertificateFacts, ...], cert_pem: bytes, now_utc: datetime
) -> Iterator[Finding]:
    """Note what is wrong with a certificate and its chain, whatever its key."""
    first = chain[0]
    yield from _inspect_dates(first, now_utc)
    if not first.key_is_strong:
        yield Finding("certificate", f"its key is too weak for TLS of today ({first.key})")
    if not first.names:
        text = (
            "it names no host in subjectAltName, so that clients which check names refuse it; "
            "`bennu tls selfsigned --host NAME` makes one that does"
        )
        yield Finding("certificate", text, is_error=False)
    if not first.may_serve:
        text = "its extended key usage does not allow a server; clients refuse it"
        yield Finding("certificate", text, is_error=False)
    gap = chain_gap(cert_pem)
    if gap:
        yield Finding("certificate", f"the chain does not fit: {gap}", is_error=False)
    for above in chain[1:]:
        if above.not_after_utc <= now_utc:
            text = f"of the chain, {above.subject} expired on {above.not_after_utc:{_TIME}}"
            yield Finding("certificate", text, is_error=False)


def _inspect_dates(first: CertificateFacts, now_utc: datetime) -> Iterator[Finding]:
    if first.not_after_utc <= now_utc:
        yield Finding("certificate", f"expired on {first.not_after_utc:{_TIME}}")
    elif first.not_before_utc > now_utc:
        yield Finding("certificate", f"not valid before {first.not_before_utc:{_TIME}}")
    elif days_left(first, now_utc) <= WARN_DAYS:
        text = f"expires in {days_left(first, now_utc)} days, on {first.not_after_utc:{_TIME}}"
        yield Finding("certificate", text, is_error=False)


def _inspect_match(chain: tuple[CertificateFacts, ...], key: KeyFacts) -> Iterator[Finding]:
    if key.public_key == chain[0].public_key:
        return
    if any(key.public_key == other.public_key for other in chain[1:]):
        text = "the certificate of the key must be the first one of the file"
        yield Finding("certificate", text)
        return
    yield Finding("key", f"it is not the key of the certificate {chain[0].subject}")


def days_left(certificate: CertificateFacts, now_utc: datetime) -> int:
    """Return how many whole days a certificate is still good; negative when it has expired."""
    return (certificate.not_after_utc - now_utc).days
