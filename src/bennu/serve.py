"""Opens both doors, HTTP and gRPC, in one event loop, and closes them in order.

The order at SIGTERM: not ready any more, accept nothing new, finish what is under way, write what
was taken, close the database. What was acknowledged is on disk before it is acknowledged, so even
SIGKILL loses nothing.

Spec: lines 179-196 (both listeners). Decision 5 (drain).
"""

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import grpc.aio
import uvicorn
import uvloop

from bennu.app import Application
from bennu.kernel.clock import SystemClock
from bennu.kernel.errors import AppError
from bennu.monitoring.probe_socket import ProbeSocket, probe_socket_path
from bennu.network.asgi import AsgiApp
from bennu.network.connections import BoundedHttp
from bennu.settings import Settings
from bennu.tls.context import HANDSHAKE_SECONDS, SHUTDOWN_SECONDS
from bennu.tls.grpc_credentials import GrpcCertificates
from bennu.tls.http_protocol import CertificateProtocol
from bennu.tls.rotation import LiveCertificates

logger: Final = logging.getLogger("bennu.serve")

GRACE_SECONDS: Final = 6
#: Longer than most proxies keep a connection: whoever opened it should choose when it ends.
KEEP_ALIVE_SECONDS: Final = 75
_BACKLOG: Final = 2048
#: Who says nothing is asked whether it is there, who stays silent is let go; heads are bounded.
_GRPC_BOUNDS: Final = (
    ("grpc.max_metadata_size", 16_384),
    ("grpc.absolute_max_metadata_size", 65_536),
    ("grpc.server_handshake_timeout_ms", 20_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.max_connection_idle_ms", 900_000),
)
_MOST_DESCRIPTORS: Final = 65_536


class StartError(AppError):
    """The server cannot start; the text names the variable and the reason."""

    code = "start"


class _CertifiedHttp(CertificateProtocol, BoundedHttp):
    """A bounded connection whose client has shown a certificate."""


class _HttpServer(uvicorn.Server):
    """uvicorn without its own signal handlers: one place decides how the server ends.

    It also does not wait for long where a client begins a TLS connection and does not go on, or
    does not confirm its end.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections on sockets that listen already."""
        await self.lifespan.startup()
        config, loop = self.config, asyncio.get_running_loop()

        def new_connection() -> asyncio.Protocol:
            kind: Any = config.http_protocol_class
            protocol: asyncio.Protocol = kind(
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return protocol

        limits: dict[str, Any] = {}
        if config.ssl is not None:
            limits = {
                "ssl": config.ssl,
                "ssl_handshake_timeout": HANDSHAKE_SECONDS,
                "ssl_shutdown_timeout": SHUTDOWN_SECONDS,
            }
        self.servers = [
            await loop.create_server(new_connection, sock=one, backlog=_BACKLOG, **limits)
            for one in sockets or ()
        ]
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to ``serve``."""
        yield


def listening_socket(host: str, port: int, variable: str = "PHOENIX_PORT") -> socket.socket:
    """Bind one TCP socket.

    Args:
        host: an address or a name of this machine.
        port: 1 to 65535.
        variable: that an error names.

    Raises:
        StartError: the address is taken or not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if family == socket.AF_INET6:
            # "::" takes IPv4 too, as deployments of the reference expect.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise StartError(f"{variable}: cannot listen on {host}:{port}: {error}") from None
    listener.setblocking(False)
    return listener


def _http_server(
    application: Application, settings: Settings, certificates: LiveCertificates | None
) -> _HttpServer:
    context = None if certificates is None else certificates.context
    kind = _CertifiedHttp if settings.tls.verify_client else BoundedHttp
    return _uvicorn_server(
        application.asgi,
        application.front.connections.protocol_class(kind),
        root_path=settings.network.root_path,
        ssl_context_factory=None if context is None else lambda _config, _default: context,
    )


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[tuple[socket.socket, socket.socket | None]]:
    """Bind the ports of HTTP and, if anybody wants them, of the metrics while the block runs.

    Raises:
        StartError: one is taken; nothing was begun yet that would have to be ended.
    """
    network, monitoring = settings.network, settings.monitoring
    with listening_socket(network.host, network.port) as http:
        if not monitoring.enabled:
            yield http, None
            return
        with listening_socket(
            monitoring.host, monitoring.port, "PHOENIX_PROMETHEUS_PORT"
        ) as metrics:
            yield http, metrics


@contextlib.asynccontextmanager
async def _serving_metrics(
    application: Application, listener: socket.socket | None
) -> AsyncIterator[None]:
    """Serve the metrics on their own port while the block runs, if anybody wants them."""
    if application.metrics_asgi is None or listener is None:
        yield
        return
    protocol = application.front.connections.protocol_class()
    server = _uvicorn_server(application.metrics_asgi, protocol)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await running


def _uvicorn_server(
    app: AsgiApp,
    protocol: type[asyncio.Protocol],
    **more: Any,  # noqa: ANN401 - as uvicorn takes it
) -> _HttpServer:
    config = uvicorn.Config(
        app,
        loop="none",
        interface="asgi3",
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        **more,
    )
    config.load()
    return _HttpServer(config)


async def _grpc_server(
    application: Application, settings: Settings, certificates: LiveCertificates | None
) -> grpc.aio.Server:
    network = settings.network
    server = grpc.aio.server(
        interceptors=application.grpc_interceptors(),
        options=[
            ("grpc.max_receive_message_length", settings.traces.max_body_bytes),
            ("grpc.so_reuseport", 0),
            *_GRPC_BOUNDS,
        ],
    )
    application.add_grpc_services(server)
    host = f"[{network.host}]" if ":" in network.host else network.host
    address = f"{host}:{network.grpc_port}"
    try:
        if certificates is not None and settings.tls.grpc:
            shown = GrpcCertificates(
                lambda: certificates.material, verify_client=settings.tls.verify_client
            )
            server.add_secure_port(address, shown.credentials())
        else:
            server.add_insecure_port(address)
    except RuntimeError:
        raise StartError(f"PHOENIX_GRPC_PORT: cannot listen on {address}") from None
    await server.start()
    return server


def _certificates(settings: Settings, application: Application) -> LiveCertificates | None:
    """Read the certificate that both listeners show; None when both speak in the clear."""
    if not (settings.tls.http or settings.tls.grpc):
        return None
    return LiveCertificates(settings.tls, SystemClock(), application.note_certificate_change)


def _asked_to_stop() -> asyncio.Event:
    """Return an event that a signal to end sets; the log says which signal it was."""
    stopping = asyncio.Event()

    def stop(because: signal.Signals) -> None:
        logger.warning("server.signal", extra={"signal": because.name})
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    # Asks for a look at renewed certificates. Without TLS there are none, and a process that does
    # not handle the signal would end at it.
    loop.add_signal_handler(signal.SIGHUP, logger.info, "server.nothing_to_reload")
    return stopping


async def serve(settings: Settings) -> None:
    """Start everything, serve until SIGTERM or SIGINT, end in order.

    Raises:
        StartError: a port is taken.
        AppError: the database, a secret or a certificate does not allow a start.
    """
    stopping = _asked_to_stop()
    application = Application(settings)
    certificates = _certificates(settings, application)
    with _listening(settings) as listeners:
        await _serve_on(listeners, settings, application, certificates, stopping)


async def _serve_on(
    listeners: tuple[socket.socket, socket.socket | None],
    settings: Settings,
    application: Application,
    certificates: LiveCertificates | None,
    stopping: asyncio.Event,
) -> None:
    loop = asyncio.get_running_loop()
    path = probe_socket_path(settings.storage.working_dir, settings.network.port)
    probe = ProbeSocket(path, application.readiness.reasons)
    watching: list[asyncio.Task[None]] = []
    try:
        await application.start()
        http = _http_server(application, settings, certificates)
        rpc = await _grpc_server(application, settings, certificates)
        running = asyncio.create_task(http.serve(sockets=[listeners[0]]))
        await probe.start()
        watching.append(asyncio.create_task(application.front.connections.watch()))
        if certificates is not None:
            watching.append(asyncio.create_task(certificates.watch()))
            loop.add_signal_handler(signal.SIGHUP, certificates.look_now)
            application.watched.certificate_days = lambda: certificates.days_left
        async with _serving_metrics(application, listeners[1]):
            application.announce()
            gc.freeze()  # what is there now stays; collections need not walk it again
            waiting = asyncio.create_task(stopping.wait())
            await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
        logger.info("server.stopping")
        application.stop_accepting()
        http.should_exit = True
        await asyncio.gather(running, rpc.stop(GRACE_SECONDS))
        waiting.cancel()
    finally:
        for task in watching:
            task.cancel()
        await probe.stop()
        await application.stop()
        logger.info("server.stopped")


def raise_descriptor_limit() -> None:
    """Use as many descriptors as the system allows: the usual 1,024 are soon held by idlers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, _MOST_DESCRIPTORS) if hard != resource.RLIM_INFINITY else _MOST_DESCRIPTORS
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run_server(settings: Settings) -> None:
    """Run ``serve`` on uvloop until it ends."""
    raise_descriptor_limit()
    uvloop.run(serve(settings))
