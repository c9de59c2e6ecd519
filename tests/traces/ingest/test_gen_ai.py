import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.traces.ingest.gen_ai import has_gen_ai_events, openinference_of, with_openinference
from bennu.traces.spans.events import SpanEvent

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.max_tokens": 100,
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 5,
    "gen_ai.usage.cache_read.input_tokens": 3,
    "gen_ai.conversation.id": "conv-1",
    "gen_ai.agent.name": "planner",
    "gen_ai.response.finish_reasons": ["stop"],
}


def made(events: tuple[SpanEvent, ...] = (), **attributes: object) -> dict[str, Any]:
    named = {f"gen_ai.{key.replace('__', '.')}": value for key, value in attributes.items()}
    return openinference_of(named, events)


def test_a_chat_is_described_in_the_words_of_openinference() -> None:
    assert openinference_of(CHAT, ()) == {
        "openinference.span.kind": "LLM",
        "llm.provider": "openai",
        "llm.system": "openai",
        "llm.model_name": "gpt-4o-2024-08-06",
        "llm.invocation_parameters": '{"temperature":0.5,"max_tokens":100}',
        "llm.token_count.prompt": 10,
        "llm.token_count.completion": 5,
        "llm.token_count.total": 15,
        "llm.token_count.prompt_details.cache_read": 3,
        "session.id": "conv-1",
        "agent.name": "planner",
        "llm.finish_reason": "stop",
    }


def test_older_names_are_understood() -> None:
    older = made(
        system="anthropic",
        request__model="claude",
        usage__prompt_tokens="7",
        usage__completion_tokens=2,
    )
    assert older["llm.provider"] == older["llm.system"] == "anthropic"
    assert older["llm.model_name"] == "claude"
    assert (older["llm.token_count.prompt"], older["llm.token_count.total"]) == ("7", 9)
    assert older["openinference.span.kind"] == "LLM"


def test_nothing_present_is_overridden_and_originals_stay() -> None:
    keys = (*CHAT, "llm.model_name", "openinference.span.kind")
    values = [*CHAT.values(), "mine", "CHAIN"]
    all_keys, all_values = with_openinference(keys, values, ())
    both = dict(zip(all_keys, all_values, strict=True))
    assert (both["llm.model_name"], both["openinference.span.kind"]) == ("mine", "CHAIN")
    assert both["gen_ai.request.model"] == "gpt-4o"
    assert both["llm.provider"] == "openai"
    assert len(all_keys) == len(set(all_keys))


def test_a_present_namespace_is_not_mixed() -> None:
    messages = [{"role": "user", "content": "theirs"}, {"role": "user", "content": "more"}]
    attributes = {
        "llm.input_messages.0.message.content": "mine",
        "gen_ai.input.messages": json.dumps(messages),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "content": "answer"}]),
    }
    keys, values = with_openinference(tuple(attributes), list(attributes.values()), ())
    both = dict(zip(keys, values, strict=True))
    assert [key for key in both if key.startswith("llm.input_messages")] == [
        "llm.input_messages.0.message.content"
    ]
    assert both["llm.output_messages.0.message.content"] == "answer"


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"operation__name": "text_completion"}, "LLM"),
        ({"operation__name": "generate_content"}, "LLM"),
        ({"operation__name": "embeddings"}, "EMBEDDING"),
        ({"operation__name": "execute_tool"}, "TOOL"),
        ({"operation__name": "retrieval"}, "RETRIEVER"),
        ({"operation__name": "create_agent"}, "AGENT"),
        ({"operation__name": "invoke_agent"}, "AGENT"),
        ({"operation__name": "invoke_workflow"}, "CHAIN"),
        ({"operation__name": "chat", "agent__name": "a", "tool__name": "t"}, "LLM"),
        ({"operation__name": ["odd"], "tool__call__id": "1"}, "TOOL"),
        ({"agent__id": "1"}, "AGENT"),
        ({"usage__input_tokens": 1}, "LLM"),
        ({"response__id": "1"}, None),
    ],
)
def test_the_kind_follows_from_the_operation(attributes: dict[str, Any], kind: str | None) -> None:
    assert made(**attributes).get("openinference.span.kind") == kind


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        ({"usage__total_tokens": 99, "usage__input_tokens": 1}, 99),
        ({"usage__input_tokens": 4}, 4),
        ({"usage__input_tokens": 4, "usage__output_tokens": "odd"}, None),
        ({"usage__input_tokens": "9" * 4_300, "usage__output_tokens": "9" * 4_300}, None),
        ({"usage__input_tokens": 2**63 - 1, "usage__output_tokens": 1}, None),
        ({}, None),
    ],
)
def test_a_total_is_made_only_from_whole_counts(usage: dict[str, Any], total: int | None) -> None:
    assert made(**usage).get("llm.token_count.total") == total


def test_a_sent_count_takes_part_in_the_total() -> None:
    found = openinference_of(
        {
            "llm.token_count.prompt": "20",
            "gen_ai.usage.input_tokens": 1,
            "gen_ai.usage.output_tokens": 2,
        },
        (),
    )
    assert found["llm.token_count.total"] == 22


def test_tools_on_offer_take_the_form_of_openai() -> None:
    flat = {"name": "f", "description": "d", "inputSchema": {"type": "object"}}
    openai = {"type": "function", "function": {"name": "g"}}
    found = made(tool__definitions=json.dumps([flat, openai, None, "text"]))
    schemas = [found[f"llm.tools.{at}.tool.json_schema"] for at in range(3)]
    assert json.loads(schemas[0]) == {
        "type": "function",
        "function": {"name": "f", "description": "d", "parameters": {"type": "object"}},
    }
    assert json.loads(schemas[1]) == openai
    assert schemas[2] == "text"


def test_an_executed_tool_shows_its_arguments_and_result() -> None:
    found = made(
        operation__name="execute_tool",
        tool__name="weather",
        tool__description="looks outside",
        tool__call__id="call_1",
        tool__call__arguments='{"city": "Paris"}',
        tool__call__result="sunny",
    )
    assert found == {
        "openinference.span.kind": "TOOL",
        "tool.name": "weather",
        "tool.description": "looks outside",
        "tool.id": "call_1",
        "tool.parameters": '{"city": "Paris"}',
        "input.value": '{"city": "Paris"}',
        "input.mime_type": "application/json",
        "output.value": "sunny",
        "output.mime_type": "text/plain",
    }


def test_embeddings_name_their_model_and_parameters() -> None:
    found = made(
        operation__name="embeddings",
        request__model="text-embedding-3",
        embeddings__dimension__count=256,
        request__encoding_formats=["float"],
    )
    assert found["embedding.model_name"] == "text-embedding-3"
    assert json.loads(found["embedding.invocation_parameters"]) == {
        "encoding_formats": ["float"],
        "dimensions": 256,
    }
    assert "llm.invocation_parameters" not in found


def test_a_retrieval_lists_its_documents() -> None:
    documents = [
        {"id": "d1", "score": 0.5, "content": "text", "metadata": {"p": 1}},
        {"id": "d2"},
        5,
    ]
    found = made(
        operation__name="retrieval",
        retrieval__query__text="where",
        retrieval__documents=json.dumps(documents),
    )
    assert found == {
        "openinference.span.kind": "RETRIEVER",
        "input.value": "where",
        "input.mime_type": "text/plain",
        "retrieval.documents.0.document.id": "d1",
        "retrieval.documents.0.document.score": 0.5,
        "retrieval.documents.0.document.content": "text",
        "retrieval.documents.0.document.metadata": {"p": 1},
        "retrieval.documents.1.document.id": "d2",
    }


def test_numbered_prompts_and_completions_become_messages() -> None:
    found = made(
        prompt__1__role="user",
        prompt__1__content="hi",
        prompt__0__role="system",
        prompt__0__content="be kind",
        prompt__name="a template",
        completion__0__content="hello",
        completion__0__finish_reason="stop",
        completion__0__tool_calls__0__id="c1",
        completion__0__tool_calls__0__name="f",
        completion__0__tool_calls__0__arguments='{"x": 1}',
    )
    assert found == {
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": "be kind",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.content": "hi",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "hello",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"x": 1}',
        "llm.finish_reason": "stop",
        "input.value": "hi",
        "input.mime_type": "text/plain",
        "output.value": "hello",
        "output.mime_type": "text/plain",
    }


def test_a_prompt_in_one_attribute_is_read() -> None:
    assert made(prompt="just text")["llm.input_messages.0.message.content"] == "just text"
    as_json = json.dumps([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}])
    assert made(prompt=as_json)["llm.input_messages.1.message.content"] == "u"


def test_system_instructions_go_first_unless_they_are_there() -> None:
    messages = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    found = made(input__messages=messages, system_instructions="be kind")
    assert found["llm.input_messages.0.message.role"] == "system"
    assert found["llm.input_messages.1.message.content"] == "hi"
    with_system = [{"role": "system", "content": "first"}, *messages]
    found = made(input__messages=with_system, system_instructions="be kind")
    assert found["llm.input_messages.0.message.content"] == "first"
    assert "llm.input_messages.2.message.role" not in found


def test_details_that_come_as_an_event_are_read() -> None:
    messages = json.dumps([{"role": "user", "content": "hi"}])
    details = SpanEvent(
        "gen_ai.client.inference.operation.details",
        0,
        {"gen_ai.input.messages": messages, "gen_ai.request.model": "of the event"},
    )
    found = made((details,), request__model="of the span")
    assert found["llm.input_messages.0.message.content"] == "hi"
    assert found["llm.model_name"] == "of the span"


def test_events_are_told_apart() -> None:
    assert has_gen_ai_events([SpanEvent("x", 0, {}), SpanEvent("gen_ai.choice", 0, {})])
    assert not has_gen_ai_events([SpanEvent("exception", 0, {})])


def test_several_reasons_to_stop_are_listed_once_each() -> None:
    assert made(response__finish_reasons='["stop", "length", "stop"]')["llm.finish_reason"] == (
        "stop, length"
    )
    assert made(response__finish_reasons="stop")["llm.finish_reason"] == "stop"
    assert "llm.finish_reason" not in made(response__finish_reasons=[None])


NAMES = st.sampled_from(
    [
        "operation.name",
        "input.messages",
        "output.messages",
        "system_instructions",
        "prompt",
        "prompt.0.role",
        "prompt.0.content",
        "prompt.0",
        "completion.1.tool_calls",
        "tool.definitions",
        "retrieval.documents",
        "usage.input_tokens",
        "response.finish_reasons",
    ]
)
VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(),
        st.text(max_size=5),
        st.sampled_from(["chat", "retrieval", "text", "tool_call_response", "uri", "image"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["role", "parts", "content", "type", "tool_calls", "function", "name", "image_url"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=10,
)


@given(st.dictionaries(NAMES, st.one_of(VALUES, VALUES.map(json.dumps)), max_size=6), VALUES)
def test_whatever_is_said_gives_plain_attributes(said: dict[str, Any], message: object) -> None:
    attributes = {f"gen_ai.{name}": value for name, value in said.items()}
    event = SpanEvent("gen_ai.choice", 0, {"message": message, "finish_reason": message})
    keys, values = with_openinference(tuple(attributes), list(attributes.values()), [event])
    assert len(keys) == len(values)
    assert None not in values
    json.dumps(values)
