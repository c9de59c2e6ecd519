"""OTLP export requests for tests."""

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from fakes.spans import SECOND_NS, span_id, trace_id

PROTOBUF = {"content-type": "application/x-protobuf"}


def export_request(*numbers: int, project: str | None = None, trace: int = 1) -> bytes:
    """Return an export request in protobuf with one span per number; 0 makes a broken one."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    if project is not None:
        attribute = resource_spans.resource.attributes.add(key="openinference.project.name")
        attribute.value.string_value = project
    spans = resource_spans.scope_spans.add().spans
    for number in numbers:
        spans.add(
            trace_id=trace_id(trace),
            span_id=span_id(number),
            name=f"span {number}",
            start_time_unix_nano=number * SECOND_NS,
            end_time_unix_nano=(number + 1) * SECOND_NS,
        )
    content: bytes = request.SerializeToString()
    return content
