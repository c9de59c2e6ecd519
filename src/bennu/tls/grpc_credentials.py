"""TLS of the gRPC listener: the same certificate, key and authorities, exchanged while it serves.

gRPC's own library speaks TLS 1.2 and 1.3 only, with forward secrecy, and cannot be told to leave
1.2 out.

Spec: lines 186-196.
"""

from collections.abc import Callable
from typing import Any

import grpc

from bennu.tls.material import TlsMaterial


class GrpcCertificates:
    """Hands the current certificate to gRPC, which asks before every handshake.

    Args:
        current: returns what is served now.
        verify_client: whether a client must show a certificate.
    """

    def __init__(self, current: Callable[[], TlsMaterial], *, verify_client: bool) -> None:
        self._current, self._verify_client = current, verify_client
        self._handed_over: TlsMaterial | None = None

    def credentials(self) -> Any:  # noqa: ANN401 - grpc has no types
        """Return the credentials of a listener."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(), self._fetch, self._verify_client
        )

    def _fetch(self) -> Any:  # noqa: ANN401 - grpc has no types
        """Return the new configuration, None for no change; called in a thread of gRPC."""
        return None if self._current() is self._handed_over else self._configuration()

    def _configuration(self) -> Any:  # noqa: ANN401 - grpc has no types
        material = self._handed_over = self._current()
        key = material.report.key
        pair = (b"" if key is None else key.pem, material.files.cert)
        authorities = material.files.ca if self._verify_client else None
        return grpc.ssl_server_certificate_configuration((pair,), authorities)
