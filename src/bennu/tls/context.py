"""TLS of the HTTP listener: versions, ciphers, client certificates; exchanged while it serves.

Spec: lines 179-196. Source: Mozilla Server Side TLS 5.7, profile "intermediate", without its
finite-field key exchange, which costs much and no client of today needs.
"""

import ssl
from pathlib import Path
from typing import Any, Final

from bennu.kernel.errors import InvalidError

#: Of TLS 1.2; those of TLS 1.3 are all good.
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
#: Handshakes that are not finished by then are dropped.
HANDSHAKE_SECONDS: Final = 10
#: A client that does not confirm the end of a connection by then is left alone.
SHUTDOWN_SECONDS: Final = 1


_RECORD_BYTES: Final = 16_384


class TlsContextError(InvalidError):
    """The TLS library refuses a file; the text names the file and the reason."""

    code = "tls_context"


class RecordReads(ssl.SSLObject):
    """The server's side of one connection, which reads a record at a time.

    uvloop asks for 256 KiB at once, although no more than a record ever comes, and to allocate
    them costs more than the whole rest of TLS: 27 of 29 microseconds a request on a kept connection
    became 10.
    """

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002, ANN401 - as in ssl
        """Read at most one record."""
        if buffer is not None:
            return super().read(len, buffer)
        return super().read(min(len, _RECORD_BYTES))


def server_context(
    cert_file: Path, key_file: Path, password: str, ca_file: Path | None, min_version: str
) -> ssl.SSLContext:
    """Return a context of its own for these files; they are read once, now.

    Args:
        cert_file: certificate and chain.
        key_file: its key.
        password: for an encrypted key; "" for none, never asked for on a terminal.
        ca_file: client certificates are required and checked against it; None asks for none.
        min_version: ``1.2`` or ``1.3``.

    Raises:
        TlsContextError: a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[min_version]
    context.set_ciphers(CIPHERS)
    context.options |= (
        ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    )
    context.sslobject_class = RecordReads
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert_file, key_file, password=lambda: password)
    except (OSError, ssl.SSLError) as error:
        raise TlsContextError(f"{cert_file} with {key_file}: {_reason(error)}") from None
    if ca_file is not None:
        _require_client_certificates(context, ca_file)
    return context


def _require_client_certificates(context: ssl.SSLContext, ca_file: Path) -> None:
    try:
        context.load_verify_locations(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise TlsContextError(f"PHOENIX_TLS_CA_FILE: {ca_file}: {_reason(error)}") from None
    context.verify_mode = ssl.CERT_REQUIRED
    # Whoever stands in the file is trusted, an intermediate authority too; gRPC does the same.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN


def _reason(error: OSError) -> str:
    reason: str | None = getattr(error, "reason", None)
    return reason or error.strerror or type(error).__name__


class ExchangeableContext(ssl.SSLContext):
    """What the listener holds: every handshake goes to the context that is current then.

    A context that is loaded again keeps what it had: old authorities, and half of a pair whose
    other half is broken. So each change gets a context of its own, and only this one stays.
    """

    current: ssl.SSLContext

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:  # noqa: ANN401
        """Begin a handshake with the current certificate and authorities."""
        return self.current.wrap_bio(*arguments, **options)


def exchangeable_context(first: ssl.SSLContext) -> ExchangeableContext:
    """Return a context that begins with ``first``."""
    context = ExchangeableContext(ssl.PROTOCOL_TLS_SERVER)
    context.current = first
    return context
