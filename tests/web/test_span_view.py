"""What is shown of a span's content, of any shape."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.web.span_view import span_content

SPAN: dict[str, Any] = {
    "openinference": {"span": {"kind": "LLM"}},
    "llm": {
        "model_name": "m1",
        "provider": "p",
        "input_messages": [
            {"message": {"role": "user", "content": "hello"}},
            {"message": {"role": "user", "contents": [{"message_content": {"text": "part"}}]}},
        ],
        "output_messages": [
            {
                "message": {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "tool_call": {
                                "id": "c1",
                                "function": {"name": "look", "arguments": '{"a": 1}'},
                            }
                        }
                    ],
                }
            }
        ],
    },
    "input": {"value": "hello"},
    "retrieval": {"documents": [{"document": {"id": "d", "content": "text", "score": 0.51234}}]},
    "metadata": {"b": 2, "a": {"c": [1]}},
}
EVENTS = [
    {
        "name": "exception",
        "timestamp": "2026-01-01T00:00:00+00:00",
        "attributes": {"exception.type": "ValueError", "exception.message": "no"},
    },
    {"name": "retry", "timestamp": "2026-01-01T00:00:01+00:00", "attributes": {"n": 1}},
]


def read(attributes: object, events: object = ()) -> Any:
    return span_content(json.dumps(attributes).encode(), json.dumps(events).encode())


def test_a_conversation_with_a_tool() -> None:
    content = read(SPAN)
    assert (content.model, content.provider) == ("m1", "p")
    first, second, answer = content.messages
    assert [part.text for part in first.contents] == ["hello"]
    assert [part.text for part in second.contents] == ["part"]
    assert answer.is_answer
    (call,) = answer.tool_calls
    assert (call.name, call.id, call.arguments.kind) == ("look", "c1", "json")


def test_documents_input_and_the_rest() -> None:
    content = read(SPAN)
    (document,) = content.documents
    assert (document.id, document.content.text, document.score) == ("d", "text", "0.5123")
    assert content.input.text == "hello"
    assert content.output is None
    assert dict(content.attributes) == {
        "llm.model_name": "m1",
        "llm.provider": "p",
        "metadata.a.c": "[\n  1\n]",
        "metadata.b": "2",
        "openinference.span.kind": "LLM",
    }


def test_exceptions_stand_apart_from_other_events() -> None:
    exception, retry = read({}, EVENTS).events
    assert (exception.is_exception, exception.kind, exception.message) == (True, "ValueError", "no")
    assert not retry.is_exception
    assert json.loads(retry.attributes.text) == {"n": 1}


def test_one_span_renders_only_so_much_markdown() -> None:
    hostile = "**" + "[" * 3_900
    message = {
        "message": {"content": hostile, "contents": [{"message_content": {"text": hostile}}]}
    }
    call = {"tool_call": {"function": {"name": "f", "arguments": hostile}}}
    content = read(
        {
            "llm": {
                "input_messages": [message] * 200,
                "output_messages": [{"message": {"tool_calls": [call] * 200}}],
            },
            "input": {"value": hostile},
            "output": {"value": hostile},
            "retrieval": {"documents": [{"document": {"content": hostile}}] * 100},
        }
    )
    shown = [part for message in content.messages for part in message.contents]
    shown += [call.arguments for message in content.messages for call in message.tool_calls]
    shown += [document.content for document in content.documents] + [content.input, content.output]
    assert len(shown) == 702
    assert all(part.text == hostile for part in shown)
    assert sum(len(part.text) for part in shown if part.rendered is not None) <= 40_000


SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)
KEYS = ("llm", "input", "retrieval", "reranker", "output", "metadata")


#: Numbers beyond what a float, a column or a datetime can hold.
HUGE = st.sampled_from([10**400, -(10**400), 2**63, 2**64, 1e308, -1e308])
WORDS = (
    "message", "content", "contents", "message_content", "text", "tool_calls", "tool_call", "id",
    "function", "name", "arguments", "documents", "document", "output_documents", "score",
    "metadata", "value", "mime_type", "input_messages", "output_messages", "model_name",
    "attributes", "timestamp", "exception", "exception.type", "type", "stacktrace",
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(KEYS), SHAPES), st.lists(SHAPES, max_size=3))
def test_any_shape_is_shown(attributes: dict[str, object], events: list[object]) -> None:
    read(attributes, events)
    read({"llm": {"input_messages": events, "output_messages": events}}, events)


ATTRIBUTES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text() | st.integers() | HUGE,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
        | st.builds(lambda value: {"document": {"score": value}}, inner)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(KEYS), ATTRIBUTES), st.lists(ATTRIBUTES, max_size=3))
def test_any_number_at_any_place_is_shown(
    attributes: dict[str, object], events: list[object]
) -> None:
    read(attributes, events)
    documents = {"documents": events, "output_documents": events}
    read({"retrieval": documents, "reranker": documents}, events)


@pytest.mark.parametrize(
    ("score", "text"),
    [(10**400, str(10**400)), (3, "3"), (0.51234, "0.5123")],
    ids=["huge", "whole", "broken"],
)
def test_a_score_of_any_size_is_shown(score: float, text: str) -> None:
    (document,) = read({"retrieval": {"documents": [{"document": {"score": score}}]}}).documents
    assert document.score == text


@given(st.binary())
def test_what_is_no_json_is_shown_as_nothing(raw: bytes) -> None:
    span_content(raw, raw)
