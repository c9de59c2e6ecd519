"""What an exporter is told about refused spans. Source: OTLP, Partial Success."""

import json

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from bennu.traces.ingest.acknowledge import (
    json_acknowledgement,
    protobuf_acknowledgement,
    rejection_message,
)
from bennu.traces.spans.model import DecodedExport, Rejection


def refused(*reasons: str) -> DecodedExport:
    return DecodedExport((), tuple(Rejection(reason, 2) for reason in reasons), 0)


def test_nothing_refused_is_nothing_said() -> None:
    for decoded in (None, refused()):
        assert protobuf_acknowledgement(decoded) == b""
        assert json_acknowledgement(decoded) == b"{}"


def test_both_forms_say_the_same() -> None:
    decoded = refused("no id", "too long")
    told = ExportTraceServiceResponse.FromString(protobuf_acknowledgement(decoded))
    assert told.partial_success.rejected_spans == 4
    assert told.partial_success.error_message == "no id; too long"
    assert json.loads(json_acknowledgement(decoded)) == {
        "partialSuccess": {"rejectedSpans": "4", "errorMessage": "no id; too long"}
    }


def test_many_reasons_are_cut() -> None:
    assert rejection_message(refused("same", "same")) == "same"
    many = rejection_message(refused(*(f"reason {n}" for n in range(9))))
    assert many.endswith("; and 4 further reasons")
    assert len(rejection_message(refused("x" * 9_999))) == 2_000
