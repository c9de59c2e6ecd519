"""OpenInference attributes for spans that speak OpenTelemetry's language for generative AI.

Nothing that is present is overridden, namespaces of messages and documents are not mixed, and the
attributes as sent are kept.

Source: OpenTelemetry semantic conventions for generative AI; contract/data-plane.md section 3.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from bennu.traces.ingest.gen_ai_messages import (
    Message,
    as_list,
    as_structure,
    as_text,
    message_attributes,
    messages_of,
    messages_of_events,
    system_messages,
)
from bennu.traces.spans.attributes import encode_value, unflatten
from bennu.traces.spans.events import SpanEvent
from bennu.traces.spans.model import WHOLE_NUMBERS
from bennu.traces.spans.openinference import (
    COMPLETION_TOKENS_KEY,
    INPUT_MIME_TYPE_KEY,
    INPUT_VALUE_KEY,
    PROMPT_TOKENS_KEY,
    SESSION_KEY,
    SPAN_KIND_KEY,
    TOTAL_TOKENS_KEY,
    as_token_count,
)

PREFIX: Final = "gen_ai."
OUTPUT_VALUE_KEY: Final = "output.value"
OUTPUT_MIME_TYPE_KEY: Final = "output.mime_type"
INPUT_MESSAGES: Final = "llm.input_messages"
OUTPUT_MESSAGES: Final = "llm.output_messages"
TOOLS: Final = "llm.tools"
DOCUMENTS: Final = "retrieval.documents"
_NAMESPACES: Final = (INPUT_MESSAGES, OUTPUT_MESSAGES, TOOLS, DOCUMENTS)

_KINDS_BY_OPERATION: Final = {
    "chat": "LLM",
    "generate_content": "LLM",
    "text_completion": "LLM",
    "embeddings": "EMBEDDING",
    "execute_tool": "TOOL",
    "retrieval": "RETRIEVER",
    "create_agent": "AGENT",
    "invoke_agent": "AGENT",
    "plan": "AGENT",
    "invoke_workflow": "CHAIN",
}
#: OpenInference key, then where its value is found; the first that is present counts.
_RENAMED: Final = (
    ("llm.provider", ("provider.name", "system")),
    ("llm.system", ("provider.name", "system")),
    ("llm.model_name", ("response.model", "request.model")),
    (PROMPT_TOKENS_KEY, ("usage.input_tokens", "usage.prompt_tokens")),
    (COMPLETION_TOKENS_KEY, ("usage.output_tokens", "usage.completion_tokens")),
    (TOTAL_TOKENS_KEY, ("usage.total_tokens",)),
    ("llm.token_count.prompt_details.cache_read", ("usage.cache_read.input_tokens",)),
    ("llm.token_count.prompt_details.cache_write", ("usage.cache_creation.input_tokens",)),
    ("llm.token_count.completion_details.reasoning", ("usage.reasoning.output_tokens",)),
    (SESSION_KEY, ("conversation.id",)),
    ("agent.name", ("agent.name",)),
)
_TOOL_RENAMED: Final = (
    ("tool.name", "tool.name"),
    ("tool.description", "tool.description"),
    ("tool.id", "tool.call.id"),
)
_PARAMETERS: Final = (
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "frequency_penalty",
    "presence_penalty",
    "stop_sequences",
    "seed",
    "choice.count",
    "encoding_formats",
    "stream",
)
_MODEL_OPERATIONS: Final = ("request.model", "response.model", "usage.input_tokens")

Attributes = dict[str, object]


def has_gen_ai_events(events: Sequence[SpanEvent]) -> bool:
    """Tell whether messages or details of a model call came as events."""
    return any(event.name.startswith(PREFIX) for event in events)


def with_openinference(
    keys: Sequence[str], values: Sequence[object], events: Sequence[SpanEvent]
) -> tuple[tuple[str, ...], list[object]]:
    """Add the OpenInference attributes that follow from ``gen_ai.*`` attributes and events.

    Args:
        keys: dotted attribute keys as sent.
        values: one per key.
        events: of the same span.

    Returns:
        Keys and values as given, with the added ones behind them.
    """
    present = dict(zip(keys, values, strict=True))
    taken = tuple(
        f"{name}." for name in _NAMESPACES if any(key.startswith(f"{name}.") for key in present)
    )
    added = {
        key: value
        for key, value in openinference_of(present, events).items()
        if key not in present and not key.startswith(taken)
    }
    return (*keys, *added), [*values, *added.values()]


def openinference_of(attributes: Mapping[str, object], events: Sequence[SpanEvent]) -> Attributes:
    """Return the OpenInference attributes that a span in the other convention stands for."""
    said = _said(attributes, events)
    kind = _kind(said)
    made: Attributes = {SPAN_KIND_KEY: kind} if kind else {}
    for key, sources in _RENAMED:
        found = next((said[source] for source in sources if source in said), None)
        if found is not None:
            made[key] = found
    _add_total(made, attributes)
    made |= _parameters(said, kind)
    made |= _tools(said)
    inputs, outputs = _messages(said, events)
    made |= message_attributes(INPUT_MESSAGES, inputs)
    made |= message_attributes(OUTPUT_MESSAGES, outputs)
    made |= _finish_reason(said, outputs)
    if kind == "TOOL":
        made |= _tool_execution(said)
    elif kind == "RETRIEVER":
        made |= _retrieval(said)
    else:
        made |= _shown_texts(inputs, outputs)
    return made


def _said(attributes: Mapping[str, object], events: Sequence[SpanEvent]) -> Attributes:
    """Return what stands under ``gen_ai.``, without the prefix; the span's word goes first."""
    said: Attributes = {}
    sources = [event.attributes for event in events if event.name.startswith(PREFIX)]
    for source in (*sources, attributes):
        for key, value in source.items():
            name = key.strip()
            if name.startswith(PREFIX) and value is not None:
                said[name.removeprefix(PREFIX)] = value
    return said


def _kind(said: Attributes) -> str | None:
    operation = said.get("operation.name")
    if isinstance(operation, str) and operation in _KINDS_BY_OPERATION:
        return _KINDS_BY_OPERATION[operation]
    if "tool.name" in said or "tool.call.id" in said:
        return "TOOL"
    if "agent.name" in said or "agent.id" in said:
        return "AGENT"
    return "LLM" if any(name in said for name in _MODEL_OPERATIONS) else None


def _add_total(made: Attributes, attributes: Mapping[str, object]) -> None:
    """Add prompt and completion up, where no total was sent."""
    if TOTAL_TOKENS_KEY in made:
        return
    counts = [
        as_token_count(attributes.get(key, made.get(key)))
        for key in (PROMPT_TOKENS_KEY, COMPLETION_TOKENS_KEY)
    ]
    whole = [count for count in counts if isinstance(count, int)]
    is_all = bool(whole) and len(whole) == sum(count is not None for count in counts)
    if is_all and sum(whole) in WHOLE_NUMBERS:
        made[TOTAL_TOKENS_KEY] = sum(whole)


def _parameters(said: Attributes, kind: str | None) -> Attributes:
    chosen = {name: said[f"request.{name}"] for name in _PARAMETERS if f"request.{name}" in said}
    if kind == "EMBEDDING":
        model = said.get("response.model", said.get("request.model"))
        if "embeddings.dimension.count" in said:
            chosen["dimensions"] = said["embeddings.dimension.count"]
        named = {"embedding.model_name": model} if model is not None else {}
        return named | _as_json("embedding.invocation_parameters", chosen)
    return _as_json("llm.invocation_parameters", chosen)


def _as_json(key: str, values: Attributes) -> Attributes:
    return {key: encode_value(values).decode()} if values else {}


def _tools(said: Attributes) -> Attributes:
    """Write the tools on offer in the form of OpenAI's interface, which OpenInference expects."""
    made: Attributes = {}
    definitions = [item for item in as_list(said.get("tool.definitions")) if item is not None]
    for position, definition in enumerate(definitions):
        made[f"{TOOLS}.{position}.tool.json_schema"] = as_text(_tool_schema(definition))
    return made


def _tool_schema(definition: object) -> object:
    if not isinstance(definition, dict) or "function" in definition or "name" not in definition:
        return definition
    parameters = next(
        (
            definition[key]
            for key in ("parameters", "inputSchema", "input_schema")
            if key in definition
        ),
        None,
    )
    function = {
        "name": definition["name"],
        "description": definition.get("description"),
        "parameters": parameters,
    }
    return {
        "type": definition.get("type", "function"),
        "function": {key: value for key, value in function.items() if value is not None},
    }


def _messages(said: Attributes, events: Sequence[SpanEvent]) -> tuple[list[Message], list[Message]]:
    """Return input and output messages from the first dress that holds any."""
    event_inputs, event_outputs = messages_of_events(events)
    inputs = (
        messages_of(said.get("input.messages"), "user")
        or _numbered_messages(said, "prompt", "user")
        or event_inputs
    )
    outputs = (
        messages_of(said.get("output.messages"), "assistant")
        or _numbered_messages(said, "completion", "assistant")
        or event_outputs
    )
    if not any(message.role == "system" for message in inputs):
        inputs = [*system_messages(said.get("system_instructions")), *inputs]
    return inputs, outputs


def _numbered_messages(said: Attributes, name: str, default_role: str) -> list[Message]:
    """Read ``prompt.0.role`` and so on; without such, ``prompt`` itself."""
    numbered = unflatten(
        (key, value)
        for key, value in said.items()
        if key.startswith(f"{name}.") and key.removeprefix(f"{name}.").partition(".")[0].isdigit()
    ).get(name)
    if isinstance(numbered, list):
        return messages_of(numbered, default_role)
    return messages_of(said.get(name), default_role)


def _finish_reason(said: Attributes, outputs: Sequence[Message]) -> Attributes:
    """Name why the model stopped; several choices with different reasons are listed."""
    reasons = as_structure(said.get("response.finish_reasons"))
    listed = reasons if isinstance(reasons, list) else [reasons]
    texts = [as_text(reason) for reason in listed]
    texts = [text for text in texts if text] or [
        message.finish_reason for message in outputs if message.finish_reason
    ]
    return {"llm.finish_reason": ", ".join(dict.fromkeys(texts))} if texts else {}


def _tool_execution(said: Attributes) -> Attributes:
    made: Attributes = {key: said[source] for key, source in _TOOL_RENAMED if source in said}
    if "tool.call.arguments" in said:
        arguments = said["tool.call.arguments"]
        made["tool.parameters"] = as_text(arguments)
        made |= _value(INPUT_VALUE_KEY, INPUT_MIME_TYPE_KEY, arguments)
    if "tool.call.result" in said:
        made |= _value(OUTPUT_VALUE_KEY, OUTPUT_MIME_TYPE_KEY, said["tool.call.result"])
    return made


def _value(value_key: str, mime_type_key: str, value: object) -> Attributes:
    is_json = isinstance(as_structure(value), (dict, list))
    return {
        value_key: as_text(value),
        mime_type_key: "application/json" if is_json else "text/plain",
    }


def _retrieval(said: Attributes) -> Attributes:
    made: Attributes = {}
    if "retrieval.query.text" in said:
        made |= _value(INPUT_VALUE_KEY, INPUT_MIME_TYPE_KEY, said["retrieval.query.text"])
    documents = [
        item for item in as_list(said.get("retrieval.documents")) if isinstance(item, dict)
    ]
    for position, document in enumerate(documents):
        for name in ("id", "score", "content", "metadata"):
            if document.get(name) is not None:
                made[f"{DOCUMENTS}.{position}.document.{name}"] = document[name]
    return made


def _shown_texts(inputs: Sequence[Message], outputs: Sequence[Message]) -> Attributes:
    """Return the last thing asked and the first thing answered, which lists of traces show."""
    made: Attributes = {}
    asked = next((message.text for message in reversed(inputs) if message.text), None)
    answered = next((message.text for message in outputs if message.text), None)
    if asked is not None:
        made |= {INPUT_VALUE_KEY: asked, INPUT_MIME_TYPE_KEY: "text/plain"}
    if answered is not None:
        made |= {OUTPUT_VALUE_KEY: answered, OUTPUT_MIME_TYPE_KEY: "text/plain"}
    return made
