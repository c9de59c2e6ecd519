import math

import pytest

from bennu.kernel.errors import InvalidError
from bennu.traces.ingest.assemble import (
    ExportAssembly,
    RawSpan,
    assemble_span,
    finite_or_text,
    project_of_header,
)
from bennu.traces.spans.events import SpanEvent
from bennu.traces.spans.model import DecodedExport, UnusableSpanError

RAW = RawSpan(b"t" * 16, b"s" * 8, b"", "n", 1, 2, 1, "m", ("a.b",), [1], [])


def test_parts_become_a_span() -> None:
    span = assemble_span(RAW)
    assert (span.trace_id, span.span_id, span.parent_id) == (b"t" * 16, b"s" * 8, None)
    assert (span.name, span.start_ns, span.end_ns) == ("n", 1, 2)
    assert (span.status_code, span.status_message) == ("OK", "m")
    assert (span.attributes, span.events) == (b'{"a":{"b":1}}', b"[]")
    assert (span.span_kind, span.session_id, span.prompt_tokens) == ("UNKNOWN", None, None)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (RAW._replace(trace_id=b""), "trace id"),
        (RAW._replace(trace_id=bytes(16)), "trace id"),
        (RAW._replace(trace_id=b"t" * 15), "trace id"),
        (RAW._replace(span_id=b""), "span id"),
        (RAW._replace(span_id=bytes(8)), "span id"),
        (RAW._replace(span_id=b"s" * 9), "span id"),
        (RAW._replace(parent_id=b"p" * 7), "parent span id"),
        (RAW._replace(start_ns=2**63), "64-bit"),
        (RAW._replace(end_ns=2**64 - 1), "64-bit"),
        (RAW._replace(end_ns=-1), "64-bit"),
        (RAW._replace(name="n" * 2_001), "name is longer than 2000 bytes"),
        (RAW._replace(keys=("session.id",), values=["s" * 2_001]), "session.id is longer"),
        (RAW._replace(keys=("a." * 80 + "b",)), "more than 64 segments"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_the_reason(raw: RawSpan, error: str) -> None:
    with pytest.raises(UnusableSpanError, match=error):
        assemble_span(raw)


def test_oddities_that_can_be_stored_are_kept() -> None:
    span = assemble_span(RAW._replace(start_ns=9, end_ns=3, parent_id=bytes(8), status=9))
    assert (span.start_ns, span.end_ns, span.parent_id) == (9, 3, None)
    assert span.status_code == "UNSET"
    assert assemble_span(RAW._replace(status=-1)).status_code == "UNSET"
    assert assemble_span(RAW._replace(parent_id=b"p" * 8)).parent_id == b"p" * 8


def test_nul_does_not_reach_text_columns() -> None:
    raw = RAW._replace(
        name="a\0", status_message="\0b", keys=("session.id", "t"), values=["s\0", "\0"]
    )
    span = assemble_span(raw)
    assert (span.name, span.status_message, span.session_id) == ("a\ufffd", "\ufffdb", "s\ufffd")
    assert b'"t":"\\u0000"' in span.attributes
    assembly = ExportAssembly("p\0")
    assembly.spans_of(None).append(span)
    assert assembly.finish().projects[0].project_name == "p\ufffd"


def test_the_other_convention_is_translated_also_from_events() -> None:
    raw = RAW._replace(keys=("gen_ai.operation.name",), values=["chat"])
    assert assemble_span(raw).span_kind == "LLM"
    event = SpanEvent("gen_ai.user.message", 0, {"content": "hi"})
    assert b'"input_messages":[{"message":{"role":"user","content":"hi"}}]' in (
        assemble_span(RAW._replace(events=[event])).attributes
    )


def test_the_header_names_a_project_unless_it_is_blank() -> None:
    assert project_of_header(None) is None
    assert project_of_header(" \t") is None
    assert project_of_header("p") == "p"
    with pytest.raises(InvalidError, match="x-project-name"):
        project_of_header("p" * 2_001)


@pytest.mark.parametrize(
    ("number", "kept"),
    [(0.5, 0.5), (math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")],
)
def test_numbers_that_json_lacks_become_text(number: float, kept: object) -> None:
    assert finite_or_text(number) == kept


def test_spans_are_gathered_by_project() -> None:
    assembly = ExportAssembly(None)
    span = assemble_span(RAW)
    for project in ("a", 5, "", "a"):
        assembly.spans_of(project).append(span)
    assembly.spans_of("without spans")
    export = assembly.finish()
    assert [(p.project_name, len(p.spans)) for p in export.projects] == [("a", 2), ("default", 2)]
    assert export.span_count == 4
    assert ExportAssembly(None).finish() == DecodedExport((), (), 0)


def test_reasons_are_counted_and_bounded() -> None:
    assembly = ExportAssembly(None)
    for number in range(30):
        assembly.reject_span(f"span {number}", b"", UnusableSpanError("no id"))
    assembly.reject("span 'span 0' (no id): no id", 4)
    export = assembly.finish()
    assert export.rejected_count == 34
    assert len(export.rejected) == 21
    assert (export.rejected[0].count, export.rejected[-1].count) == (5, 10)
    assert export.rejected[-1].reason == "further spans that cannot be used"


def test_a_reason_does_not_repeat_a_whole_name() -> None:
    assembly = ExportAssembly(None)
    assembly.reject_span("n" * 10_000, b"s" * 100, UnusableSpanError("x"))
    assert len(assembly.finish().rejected[0].reason) < 150
