import json
from typing import Any

import pytest

from bennu.traces.ingest.gen_ai_messages import (
    as_list,
    as_structure,
    as_text,
    message_attributes,
    messages_of,
    messages_of_events,
    system_messages,
)
from bennu.traces.spans.events import SpanEvent


def written(value: object, role: str = "user") -> dict[str, object]:
    """Read a conversation and write it, without the prefix of each key."""
    flat = message_attributes("m", messages_of(value, role))
    return {key.removeprefix("m.").replace(".message.", "."): text for key, text in flat.items()}


def one(*parts: object, role: str = "user", **fields: object) -> list[dict[str, Any]]:
    return [{"role": role, "parts": list(parts), **fields}]


def test_a_message_of_one_text_has_a_content() -> None:
    expected = {"0.role": "user", "0.content": "hi"}
    assert written(one({"type": "text", "content": "hi"})) == expected
    assert written(json.dumps(one({"type": "text", "content": "hi"}))) == expected
    assert written([{"role": "user", "content": "hi"}]) == expected
    assert written([{"content": [{"type": "text", "text": "hi"}]}]) == expected
    assert written({"content": "hi"}) == expected
    assert written("hi") == expected
    assert written("5") == {"0.role": "user", "0.content": "5"}


def test_several_parts_become_contents() -> None:
    parts = (
        {"type": "reasoning", "content": "hm"},
        {"type": "text", "content": "see"},
        {"type": "uri", "modality": "image", "uri": "https://example.org/x.png"},
        {"type": "blob", "mime_type": "image/jpeg", "content": "AAAA"},
        {"type": "image_url", "image_url": {"url": "https://example.org/y.png"}},
        {"type": "file", "file_id": "f"},
        "bare",
    )
    assert written(one(*parts, name="bob")) == {
        "0.role": "user",
        "0.name": "bob",
        "0.contents.0.message_content.type": "reasoning",
        "0.contents.0.message_content.text": "hm",
        "0.contents.1.message_content.type": "text",
        "0.contents.1.message_content.text": "see",
        "0.contents.2.message_content.type": "image",
        "0.contents.2.message_content.image.image.url": "https://example.org/x.png",
        "0.contents.3.message_content.type": "image",
        "0.contents.3.message_content.image.image.url": "data:image/jpeg;base64,AAAA",
        "0.contents.4.message_content.type": "image",
        "0.contents.4.message_content.image.image.url": "https://example.org/y.png",
        "0.contents.5.message_content.type": "file",
        "0.contents.5.message_content.text": '{"type":"file","file_id":"f"}',
        "0.contents.6.message_content.type": "text",
        "0.contents.6.message_content.text": "bare",
    }


@pytest.mark.parametrize(
    "message",
    [
        {"parts": [{"type": "tool_call", "id": "c", "name": "f", "arguments": {"x": 1}}]},
        {"tool_calls": [{"id": "c", "name": "f", "arguments": '{"x":1}'}]},
        {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"x":1}'}}, "odd"]},
        {"tool_calls": '[{"id": "c", "function": {"name": "f", "arguments": {"x": 1}}}]'},
    ],
)
def test_calls_of_tools_are_understood_in_each_dress(message: dict[str, Any]) -> None:
    assert written([message], "assistant") == {
        "0.role": "assistant",
        "0.tool_calls.0.tool_call.id": "c",
        "0.tool_calls.0.tool_call.function.name": "f",
        "0.tool_calls.0.tool_call.function.arguments": '{"x":1}',
    }


def test_answers_of_several_tools_become_messages_of_their_own() -> None:
    answers = [
        {"type": "tool_call_response", "id": "a", "response": {"t": 20}},
        {"type": "tool_call_response", "id": "b", "result": "rain"},
    ]
    assert written(one(*answers, role="tool")) == {
        "0.role": "tool",
        "0.tool_call_id": "a",
        "0.content": '{"t":20}',
        "1.role": "tool",
        "1.tool_call_id": "b",
        "1.content": "rain",
    }
    with_text = written(one({"type": "text", "content": "and"}, *answers))
    assert (with_text["0.content"], with_text["2.content"]) == ("and", "rain")


def test_what_is_no_message_is_passed_over() -> None:
    values: list[object] = [None, 5, "", [], [5, None], [{"foo": 1}], {}]
    for value in values:
        assert messages_of(value, "user") == []
    assert written(one({"type": ["odd"]}))["0.contents.0.message_content.type"] == '["odd"]'
    assert written([{"role": 5, "content": 7}]) == {"0.role": "user", "0.content": "7"}


def test_system_instructions_are_a_text_or_parts() -> None:
    assert system_messages(None) == []
    assert system_messages("be kind")[0].text == "be kind"
    parts = [{"type": "text", "content": "be kind"}]
    assert system_messages(json.dumps(parts))[0].text == "be kind"
    assert message_attributes("m", system_messages(parts))["m.0.message.role"] == "system"


def test_messages_come_as_events_too() -> None:
    inputs, outputs = messages_of_events(
        [
            SpanEvent("gen_ai.system.message", 0, {"content": "s"}),
            SpanEvent("gen_ai.user.message", 0, {"content": "u", "role": "customer"}),
            SpanEvent("gen_ai.assistant.message", 0, {"tool_calls": '[{"id": "c", "name": "f"}]'}),
            SpanEvent("gen_ai.tool.message", 0, {"content": "t", "id": "c"}),
            SpanEvent("other", 0, {"content": "x"}),
            SpanEvent("gen_ai.choice", 0, {"message": '{"content": "a"}', "finish_reason": "stop"}),
            SpanEvent("gen_ai.choice", 0, {"content": "b", "role": "assistant"}),
        ]
    )
    assert [message.role for message in inputs] == ["system", "customer", "assistant", "tool"]
    assert [message.text for message in inputs] == ["s", "u", None, "t"]
    assert inputs[3].tool_call_id == "c"
    assert inputs[2].tool_calls == [{"tool_call.id": "c", "tool_call.function.name": "f"}]
    assert [(message.text, message.finish_reason) for message in outputs] == [
        ("a", "stop"),
        ("b", ""),
    ]


def test_values_change_between_text_and_structure() -> None:
    assert (as_text("x"), as_text(None), as_text({"a": 1}), as_text(5)) == ("x", "", '{"a":1}', "5")
    assert (as_structure('{"a": 1}'), as_structure("{"), as_structure(5)) == ({"a": 1}, "{", 5)
    assert (as_list("[1]"), as_list({"a": 1}), as_list("x"), as_list(None)) == (
        [1],
        [{"a": 1}],
        [],
        [],
    )
