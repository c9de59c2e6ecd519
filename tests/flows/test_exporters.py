"""The real exporters deliver, over both protocols, compressed or not, and spans are read back."""

from pathlib import Path

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from phoenix.otel import register

from started import StartedServer


def exporters(server: StartedServer, key: str) -> dict[str, SpanExporter]:
    headers = {"authorization": f"Bearer {key}"}
    http = f"{server.base_url}/v1/traces"
    rpc = f"http://127.0.0.1:{server.grpc_port}"
    return {
        "http-plain": HttpExporter(http, headers=headers),
        "http-gzip": HttpExporter(http, headers=headers, compression=Compression.Gzip),
        "http-deflate": HttpExporter(http, headers=headers, compression=Compression.Deflate),
        "grpc-plain": GrpcExporter(rpc, insecure=True, headers=headers),
        "grpc-gzip": GrpcExporter(
            rpc, insecure=True, headers=headers, compression=grpc.Compression.Gzip
        ),
    }


def send_with(exporter: SpanExporter, project: str) -> None:
    provider = TracerProvider(resource=Resource({"openinference.project.name": project}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span(
        "root", attributes={"openinference.span.kind": "CHAIN", "input.value": "hi"}
    ):
        pass
    assert provider.force_flush()
    provider.shutdown()


def test_plain_opentelemetry_exporters_deliver(tmp_path: Path) -> None:
    with StartedServer(tmp_path) as server:
        key = server.api_key()
        for name, exporter in exporters(server, key).items():
            send_with(exporter, name)
            spans = server.client(key).get(f"/v1/projects/{name}/spans").json()["data"]
            assert [span["name"] for span in spans] == ["root"], name
            assert spans[0]["span_kind"] == "CHAIN"
            assert spans[0]["attributes"]["input.value"] == "hi"


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_the_official_registration_delivers(tmp_path: Path, protocol: str) -> None:
    with StartedServer(tmp_path) as server:
        key = server.api_key()
        endpoint = (
            f"http://127.0.0.1:{server.grpc_port}"
            if protocol == "grpc"
            else f"{server.base_url}/v1/traces"
        )
        provider = register(
            endpoint=endpoint,
            protocol=protocol,
            project_name="registered",
            set_global_tracer_provider=False,
            verbose=False,
            batch=True,
            headers={"authorization": f"Bearer {key}"},
        )
        with provider.get_tracer("test").start_as_current_span("root"):
            pass
        provider.force_flush()
        provider.shutdown()
        spans = server.client(key).get("/v1/projects/registered/spans").json()["data"]
        assert [span["name"] for span in spans] == ["root"]
