"""The files of TLS, read and proved good together: what both listeners serve.

Spec: lines 179-196, 286-292.
"""

import ssl
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from bennu.kernel.errors import InvalidError
from bennu.tls.certificate import CertificateFacts, PemError, read_certificates
from bennu.tls.context import server_context
from bennu.tls.pair import Finding, PairReport, inspect_pair
from bennu.tls.settings import TlsSettings

_CERT: Final = "PHOENIX_TLS_CERT_FILE"
_KEY: Final = "PHOENIX_TLS_KEY_FILE"
_CA: Final = "PHOENIX_TLS_CA_FILE"
_VARIABLES: Final = {"certificate": _CERT, "key": _KEY}


class TlsFileError(InvalidError):
    """A file of TLS cannot be used; the text names the variable, the file and the reason."""

    code = "tls_file"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What was in the files at one moment; ``ca`` is "" when no client certificate is asked for."""

    cert: bytes
    key: bytes = field(repr=False)
    ca: bytes = b""


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """A certificate with its key and what client certificates are checked against.

    Args:
        files: what it was made from.
        report: what is known of the pair; without errors.
        authorities: of client certificates; empty when none is asked for.
        context: for the HTTP listener; None when that one speaks plain HTTP.
    """

    files: TlsFiles
    report: PairReport
    authorities: tuple[CertificateFacts, ...]
    context: ssl.SSLContext | None

    @property
    def certificate(self) -> CertificateFacts:
        """The certificate that is shown."""
        return self.report.chain[0]


def read_tls_files(settings: TlsSettings) -> TlsFiles:
    """Read all the files.

    Raises:
        TlsFileError: one is missing or cannot be read.
    """
    return TlsFiles(
        _read(_CERT, settings.cert_file),
        _read(_KEY, settings.key_file),
        _read(_CA, settings.ca_file) if settings.verify_client else b"",
    )


def _read(variable: str, path: Path | None) -> bytes:
    if path is None:
        raise TlsFileError(f"{variable}: not set, and TLS is on")
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsFileError(f"{variable}: {path}: {error.strerror}") from None


def load_tls_material(settings: TlsSettings, files: TlsFiles, now_utc: datetime) -> TlsMaterial:
    """Prove that the files fit together and can serve.

    Args:
        settings: where the files are, and the password of the key.
        files: what was read from them a moment ago.
        now_utc: the time.

    Raises:
        TlsFileError: they cannot, or they are being exchanged at this moment.
        TlsContextError: the TLS library refuses one.
    """
    secret = settings.key_file_password
    password = "" if secret is None else secret.reveal()
    report = inspect_pair(files.cert, files.key, password, now_utc)
    if report.errors:
        raise TlsFileError("; ".join(_told(settings, finding) for finding in report.errors))
    authorities = _authorities_in(files.ca, settings) if settings.verify_client else ()
    context = None
    if settings.http and settings.cert_file is not None and settings.key_file is not None:
        context = server_context(
            settings.cert_file,
            settings.key_file,
            password,
            settings.ca_file if settings.verify_client else None,
            settings.min_version,
        )
        # The library reads the files itself; what it read must be what was checked.
        if read_tls_files(settings) != files:
            raise TlsFileError(f"{_CERT}: {settings.cert_file}: changed while it was read")
    return TlsMaterial(files, report, authorities, context)


def remarks_on(settings: TlsSettings, material: TlsMaterial) -> tuple[str, ...]:
    """Return what somebody should know about files that work, one sentence each."""
    return tuple(_told(settings, finding) for finding in material.report.warnings)


def _told(settings: TlsSettings, finding: Finding) -> str:
    path = settings.cert_file if finding.part == "certificate" else settings.key_file
    return f"{_VARIABLES[finding.part]}: {path}: {finding.text}"


def _authorities_in(pem: bytes, settings: TlsSettings) -> tuple[CertificateFacts, ...]:
    try:
        return read_certificates(pem)
    except PemError as error:
        raise TlsFileError(f"{_CA}: {settings.ca_file}: {error}") from None
