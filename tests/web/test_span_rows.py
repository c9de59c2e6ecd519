"""Rows of spans, of any shape."""

import json

import pytest

from bennu.traces.spans.span_json import StoredSpan
from bennu.web.span_rows import span_row


def stored(attributes: bytes) -> StoredSpan:
    return StoredSpan(1, b"t" * 16, b"s" * 8, None, "n", 1, 3, "OK", "", attributes, b"[]")


def test_a_row_shows_kind_model_input_and_output() -> None:
    row = span_row(
        stored(
            json.dumps(
                {
                    "openinference": {"span": {"kind": "LLM"}},
                    "llm": {"model_name": "m"},
                    "input": {"value": "a\nb"},
                    "output": {"value": "c"},
                }
            ).encode()
        )
    )
    assert (row.kind, row.model, row.input, row.output) == ("LLM", "m", "a b", "c")
    assert (row.trace_id, row.span_id) == ("74" * 16, "73" * 8)


@pytest.mark.parametrize("attributes", [b"", b"{}", b"[]", b"1", b'{"llm": 1}', b'{"input": [1]}'])
def test_other_shapes_show_nothing(attributes: bytes) -> None:
    row = span_row(stored(attributes))
    assert (row.kind, row.model, row.input) == ("UNKNOWN", "", "")
