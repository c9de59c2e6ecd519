"""What was acknowledged survives SIGKILL; SIGTERM loses nothing and ends soon (decision 6)."""

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from started import ADMIN_SECRET, StartedServer

SPANS_PER_EXPORT = 5
SENDERS = 4


def export_request(number: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for position in range(SPANS_PER_EXPORT):
        span = scope.spans.add()
        span.trace_id = (number + 1).to_bytes(16, "big")
        span.span_id = (number * SPANS_PER_EXPORT + position + 1).to_bytes(8, "big")
        span.name = f"span {number}.{position}"
        span.start_time_unix_nano = 1_700_000_000_000_000_000 + number
        span.end_time_unix_nano = span.start_time_unix_nano + 1_000
    return request


class Sender:
    """Sends exports without pause from several threads and keeps what was acknowledged."""

    def __init__(self, send: Callable[[ExportTraceServiceRequest], bool], cycle: int = 0) -> None:
        self.acknowledged: set[int] = set()
        self._send = send
        # Numbers go on where the last cycle ended, so that no span id is sent twice.
        self._numbers = iter(range(1 + cycle * 100_000, (cycle + 1) * 100_000))
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def run_until(self, end: Callable[[], None]) -> None:
        """Send while ``end`` has not returned."""
        threads = [threading.Thread(target=self._run) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        end()
        self._stop.set()
        for thread in threads:
            thread.join(30)

    def wait_until_acknowledged(self, count: int = 20, seconds: float = 30) -> None:
        """Wait until so many exports were acknowledged, however busy the machine is."""
        deadline = time.monotonic() + seconds
        while len(self.acknowledged) < count and time.monotonic() < deadline:
            time.sleep(0.01)

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                number = next(self._numbers)
            if self._send(export_request(number)):
                with self._lock:
                    self.acknowledged.add(number)


def http_send(server: StartedServer) -> Callable[[ExportTraceServiceRequest], bool]:
    client = server.client(ADMIN_SECRET, **{"content-type": "application/x-protobuf"})

    def send(request: ExportTraceServiceRequest) -> bool:
        try:
            return client.post("/v1/traces", content=request.SerializeToString()).status_code == 200
        except httpx.TransportError:
            return False

    return send


def grpc_send(server: StartedServer) -> Callable[[ExportTraceServiceRequest], bool]:
    channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
    stub = TraceServiceStub(channel)
    metadata = (("authorization", f"Bearer {ADMIN_SECRET}"),)

    def send(request: ExportTraceServiceRequest) -> bool:
        try:
            stub.Export(request, metadata=metadata, timeout=10)
        except grpc.RpcError:
            return False
        return True

    return send


SENDS = {"http": http_send, "grpc": grpc_send}


def stored_spans(server: StartedServer) -> list[str]:
    """Read every span id of the default project, page by page."""
    found: list[str] = []
    cursor = None
    with server.client(ADMIN_SECRET) as client:
        while True:
            query = {"limit": "1000"} | ({"cursor": cursor} if cursor else {})
            page = client.get("/v1/projects/default/spans", params=query).json()
            found += [span["context"]["span_id"] for span in page["data"]]
            cursor = page["next_cursor"]
            if not cursor:
                return found


def span_ids(number: int) -> set[str]:
    first = number * SPANS_PER_EXPORT + 1
    return {value.to_bytes(8, "big").hex() for value in range(first, first + SPANS_PER_EXPORT)}


def check_nothing_lost(server: StartedServer, *senders: Sender) -> None:
    """Compare what is stored with what these senders were told."""
    found = stored_spans(server)
    assert len(found) == len(set(found)), "a span is stored twice"
    assert all(s.acknowledged for s in senders), "nothing was acknowledged: nothing was tested"
    acknowledged = set().union(*(sender.acknowledged for sender in senders))
    expected = set().union(*(span_ids(number) for number in acknowledged))
    assert expected <= set(found), f"{len(expected - set(found))} acknowledged spans are lost"


def kill_amid(sender: Sender, server: StartedServer) -> None:
    sender.wait_until_acknowledged()
    server.kill()


@pytest.fixture(params=["sqlite", "postgresql"])
def stored_where(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    if request.param == "sqlite":
        yield {}
    else:
        url = request.getfixturevalue("postgres_url")
        yield {"PHOENIX_SQL_DATABASE_URL": url}


@pytest.mark.parametrize(
    "cycles", [4, pytest.param(40, marks=[pytest.mark.soak, pytest.mark.timeout(3_600)])]
)
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_acknowledged_spans_survive_kills(
    tmp_path: Path, stored_where: dict[str, str], protocol: str, cycles: int
) -> None:
    server = StartedServer(tmp_path, stored_where)
    senders: list[Sender] = []
    for cycle in range(cycles):
        with server:
            senders.append(Sender(SENDS[protocol](server), cycle))
            senders[-1].run_until(partial(kill_amid, senders[-1], server))
            server.start()
            check_nothing_lost(server, *senders)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_sigterm_loses_nothing_and_ends_within_ten_seconds(tmp_path: Path, protocol: str) -> None:
    with StartedServer(tmp_path) as server:
        sender = Sender(SENDS[protocol](server))
        ended: list[tuple[int, float]] = []

        def terminate() -> None:
            sender.wait_until_acknowledged()
            ended.append(server.terminate())

        sender.run_until(terminate)
        status, seconds = ended[0]
        assert status == 0
        assert seconds < 10
        server.start()
        check_nothing_lost(server, sender)


def test_the_flush_to_disk_precedes_the_answer(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.fail("strace is missing: make setup-test installs it")
    trace = tmp_path / "calls.txt"
    calls = "trace=fsync,fdatasync,write,writev,sendto,sendmsg,recvfrom,read"
    # From its start on: a running server lets nobody but root look into it.
    server = StartedServer(tmp_path)
    server.start("strace", "-f", "-s", "64", "-e", calls, "-o", str(trace))
    try:
        with server.client(ADMIN_SECRET, **{"content-type": "application/x-protobuf"}) as client:
            body = export_request(1).SerializeToString()
            assert client.post("/v1/traces", content=body).status_code == 200
    finally:
        server.kill()
    lines = trace.read_text(errors="replace").splitlines()
    asked = next(i for i, line in enumerate(lines) if "POST /v1/traces" in line)
    answered = next(i for i, line in enumerate(lines) if i > asked and "HTTP/1.1 200" in line)
    flushes = [line for line in lines[asked:answered] if re.search(r"f(data)?sync\(.*= 0", line)]
    assert flushes, "the answer left before anything was flushed to the disk"
