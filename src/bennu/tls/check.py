"""What ``bennu tls check`` says about files: dates, chain, match, names; for RSA and EC alike.

Spec: lines 286-292.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from bennu.tls.certificate import (
    CertificateFacts,
    KeyFacts,
    PemError,
    read_certificates,
    read_private_key,
)
from bennu.tls.pair import Finding, inspect_chain

_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_KEY: Final = b"PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class CheckedCertificate:
    """A file with certificates: the first is the one, the others are its chain."""

    path: Path
    chain: tuple[CertificateFacts, ...]

    @property
    def first(self) -> CertificateFacts:
        """The certificate itself."""
        return self.chain[0]


@dataclass(frozen=True, slots=True)
class CheckedKey:
    """A file with a private key, and the certificate file that it belongs to, if one does."""

    path: Path
    facts: KeyFacts
    belongs_to: Path | None


@dataclass(slots=True)
class FileCheck:
    """Everything about some files; ``findings`` are pairs of file and finding."""

    certificates: list[CheckedCertificate] = field(default_factory=list)
    authorities: list[CheckedCertificate] = field(default_factory=list)
    keys: list[CheckedKey] = field(default_factory=list)
    findings: list[tuple[Path, Finding]] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing was found that keeps a file from serving."""
        return not any(finding.is_error for _, finding in self.findings)

    def refuse(self, path: Path, part: str, text: str) -> None:
        """Note an error."""
        self.findings.append((path, Finding(part, text)))


def check_tls_files(
    paths: Sequence[Path], password: str, now_utc: datetime, authorities: Iterable[Path] = ()
) -> FileCheck:
    """Look at certificates and keys, told apart by what is in them.

    Args:
        paths: files with a certificate and its chain, with a key, or with both.
        password: for encrypted keys; "" for none.
        now_utc: the time.
        authorities: files with authorities of client certificates.
    """
    check = FileCheck()
    contents = {path: content for path in paths if (content := _read(path, check)) is not None}
    for path, content in contents.items():
        if _CERTIFICATE in content:
            _add_certificate(check, path, content, now_utc)
        elif _KEY not in content:
            check.refuse(path, "certificate", "neither a certificate nor a private key in PEM form")
    for path, content in contents.items():
        if _KEY in content:
            _add_key(check, path, content, password)
    for path in authorities:
        _add_authorities(check, path, now_utc)
    return check


def _read(path: Path, check: FileCheck) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError as error:
        check.refuse(path, "certificate", error.strerror or "cannot be read")
        return None


def _add_certificate(check: FileCheck, path: Path, content: bytes, now_utc: datetime) -> None:
    try:
        chain = read_certificates(content)
    except PemError as error:
        check.refuse(path, "certificate", str(error))
        return
    check.certificates.append(CheckedCertificate(path, chain))
    check.findings += [(path, finding) for finding in inspect_chain(chain, content, now_utc)]


def _add_key(check: FileCheck, path: Path, content: bytes, password: str) -> None:
    try:
        key = read_private_key(content, password)
    except PemError as error:
        check.refuse(path, "key", str(error))
        return
    owner = next((c for c in check.certificates if c.first.public_key == key.public_key), None)
    check.keys.append(CheckedKey(path, key, None if owner is None else owner.path))
    if owner is None and check.certificates:
        names = " or ".join(str(certificate.path) for certificate in check.certificates)
        check.refuse(path, "key", f"it is not the key of {names}")


def _add_authorities(check: FileCheck, path: Path, now_utc: datetime) -> None:
    content = _read(path, check)
    if content is None:
        return
    try:
        chain = read_certificates(content)
    except PemError as error:
        check.refuse(path, "certificate", str(error))
        return
    check.authorities.append(CheckedCertificate(path, chain))
    for authority in chain:
        if authority.not_after_utc <= now_utc:
            text = f"the authority {authority.subject} has expired"
            check.findings.append((path, Finding("certificate", text, is_error=False)))
