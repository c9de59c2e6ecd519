"""TLS of the gRPC listener, with a real one and real channels."""

from datetime import UTC, datetime
from typing import Self

import grpc
import grpc.aio
import pytest

from bennu.tls.grpc_credentials import GrpcCertificates
from bennu.tls.material import TlsMaterial, load_tls_material, read_tls_files
from bennu.tls.settings import TlsSettings
from peers.pki import Certificate, Pki

METHOD = "/tests.Service/Call"


def material_of(pki: Pki, pair: Certificate, *, verify_client: bool = False) -> TlsMaterial:
    settings = TlsSettings(
        grpc=True,
        cert_file=pair.cert,
        key_file=pair.key,
        ca_file=pki.authority.cert,
        verify_client=verify_client,
    )
    return load_tls_material(settings, read_tls_files(settings), datetime.now(UTC))


class Listener:
    """A gRPC server whose one method answers with the common name of the client."""

    def __init__(self, material: TlsMaterial, *, verify_client: bool) -> None:
        self.material = material
        certificates = GrpcCertificates(lambda: self.material, verify_client=verify_client)
        self._server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(self._call)
        generic = grpc.method_handlers_generic_handler("tests.Service", {"Call": handler})
        self._server.add_generic_rpc_handlers((generic,))
        self.port = self._server.add_secure_port("127.0.0.1:0", certificates.credentials())

    async def _call(self, _request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        names: list[bytes] = context.auth_context().get("x509_common_name", [b"nobody"])
        return names[0]

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)

    async def ask(self, ca: Certificate | bytes, shown: Certificate | None = None) -> str:
        """Call over a channel of its own; return the answer, "" when there is none."""
        roots = ca if isinstance(ca, bytes) else ca.cert.read_bytes()
        pair = (None, None) if shown is None else (shown.key.read_bytes(), shown.cert.read_bytes())
        credentials = grpc.ssl_channel_credentials(roots, *pair)
        async with grpc.aio.secure_channel(f"127.0.0.1:{self.port}", credentials) as channel:
            call = channel.unary_unary(METHOD)(b"", timeout=20)
            code = await call.code()
            assert code in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
            answer: bytes = await call if code is grpc.StatusCode.OK else b""
        return answer.decode()


async def test_the_current_certificate_is_shown(pki: Pki) -> None:
    other = pki.foreign.issue("server", "/CN=other")
    trusted, foreign = pki.authority.cert.read_bytes(), pki.foreign.cert.read_bytes()
    async with Listener(material_of(pki, pki.server), verify_client=False) as listener:
        assert await listener.ask(trusted) == "nobody"
        assert await listener.ask(foreign) == ""
        listener.material = material_of(pki, other)
        assert await listener.ask(trusted) == ""
        assert await listener.ask(foreign) == "nobody"


@pytest.mark.parametrize("algorithm", ["RSA", "EC"])
async def test_a_client_certificate_is_required_and_checked(pki: Pki, algorithm: str) -> None:
    trusted = pki.authority.cert.read_bytes()
    pair = pki.authority.issue(f"grpc-{algorithm}", "/CN=localhost", algorithm=algorithm)
    expired = pki.authority.issue("grpc-expired", "/CN=agent-7", usage="clientAuth", days=-1)
    material = material_of(pki, pair, verify_client=True)
    async with Listener(material, verify_client=True) as listener:
        assert await listener.ask(trusted, pki.client) == "agent-7"
        for shown in (None, pki.foreign_client, expired):
            assert await listener.ask(trusted, shown) == ""
