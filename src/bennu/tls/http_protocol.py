"""HTTP connections that tell the application which certificate the client has shown.

Spec: lines 190-196.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bennu.tls.certificate import CertificateFacts
from bennu.tls.identity import CERTIFICATE, client_certificate_of_der


class CertificateProtocol(HttpToolsProtocol):
    """uvicorn's protocol; the certificate is read once a connection."""

    _certificate: CertificateFacts | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take note of the verified certificate; there is none unless one was asked for."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        der = None if tls is None else tls.getpeercert(binary_form=True)
        if der:
            self._certificate = client_certificate_of_der(der)

    def on_message_begin(self) -> None:
        """Put the certificate into the scope of each request."""
        super().on_message_begin()
        if self._certificate is not None:
            self.scope[CERTIFICATE] = self._certificate  # type: ignore[typeddict-unknown-key]
