"""What a page shows of a span's content: conversation, documents, input and output, the rest. Pure.

Attributes come from anybody's programs, so nothing about their shape is relied on.

Source: OpenInference semantic conventions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from bennu.web.content import Content, MarkdownBudget, as_content, json_text

_MOST_MESSAGES: Final = 200
_MOST_DOCUMENTS: Final = 100
#: Sections of their own; what is left over is shown as attributes.
_SHOWN_APART: Final = frozenset({"input", "output", "retrieval", "reranker"})


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model asks for a tool."""

    name: str
    arguments: Content
    id: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; ``is_answer`` for those that the model wrote."""

    role: str
    contents: tuple[Content, ...]
    tool_calls: tuple[ToolCall, ...]
    is_answer: bool


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was found or ranked."""

    id: str
    content: Content
    score: str
    metadata: Content | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened within a span; ``offset_ns`` after its start."""

    name: str
    time_text: str
    is_exception: bool
    kind: str
    message: str
    stack: str
    attributes: Content | None


@dataclass(frozen=True, slots=True)
class SpanContent:
    """Everything of a span but the columns of its row."""

    model: str
    provider: str
    messages: tuple[Message, ...]
    documents: tuple[Document, ...]
    input: Content | None
    output: Content | None
    events: tuple[Event, ...]
    attributes: tuple[tuple[str, str], ...]


def span_content(attributes: bytes, events: bytes) -> SpanContent:
    """Read what is stored of a span; see ``traces/spans/model.py`` for the two texts."""
    read = _object_of(attributes)
    llm = _mapping(read.get("llm"))
    budget = MarkdownBudget()
    return SpanContent(
        model=_text(llm.get("model_name")),
        provider=_text(llm.get("provider")),
        messages=tuple(_messages(llm, budget)),
        documents=tuple(_documents(read, budget)),
        input=_value(read.get("input"), budget),
        output=_value(read.get("output"), budget),
        events=tuple(_events(events, budget)),
        attributes=tuple(_flat(read)),
    )


# --- conversation --------------------------------------------------------------------------


def _messages(llm: Mapping[str, Any], budget: MarkdownBudget) -> Iterator[Message]:
    for name, is_answer in (("input_messages", False), ("output_messages", True)):
        for item in _list(llm.get(name))[:_MOST_MESSAGES]:
            message = _mapping(_mapping(item).get("message"))
            yield _message(message, budget, is_answer=is_answer)


def _message(message: Mapping[str, Any], budget: MarkdownBudget, *, is_answer: bool) -> Message:
    contents = [as_content(message["content"], budget)] if message.get("content") else []
    for part in _list(message.get("contents")):
        inner = _mapping(_mapping(part).get("message_content"))
        if inner.get("text"):
            contents.append(as_content(inner["text"], budget))
        elif inner:
            contents.append(as_content(inner, budget))
    calls = (_mapping(_mapping(call).get("tool_call")) for call in _list(message.get("tool_calls")))
    return Message(
        role=_text(message.get("role")) or ("assistant" if is_answer else "user"),
        contents=tuple(contents),
        tool_calls=tuple(_tool_call(call, budget) for call in calls),
        is_answer=is_answer,
    )


def _tool_call(call: Mapping[str, Any], budget: MarkdownBudget) -> ToolCall:
    function = _mapping(call.get("function"))
    arguments = function.get("arguments", "")
    name, identifier = _text(function.get("name")), _text(call.get("id"))
    return ToolCall(name, as_content(arguments, budget), identifier)


# --- documents -----------------------------------------------------------------------------


def _documents(read: Mapping[str, Any], budget: MarkdownBudget) -> Iterator[Document]:
    found = _list(_mapping(read.get("retrieval")).get("documents"))
    found += _list(_mapping(read.get("reranker")).get("output_documents"))
    for item in found[:_MOST_DOCUMENTS]:
        document = _mapping(_mapping(item).get("document"))
        score = document.get("score")
        yield Document(
            id=_text(document.get("id")),
            content=as_content(document.get("content", ""), budget),
            score=f"{score:.4g}" if isinstance(score, float) else _text(score),
            metadata=as_content(document["metadata"], budget) if document.get("metadata") else None,
        )


def _value(part: object, budget: MarkdownBudget) -> Content | None:
    """Return input or output: ``{"value": ..., "mime_type": ...}``."""
    whole = _mapping(part)
    value = whole.get("value")
    if value is None or value == "":
        return None
    return as_content(value, budget, _text(whole.get("mime_type")))


# --- events and the rest -------------------------------------------------------------------


def _events(text: bytes, budget: MarkdownBudget) -> Iterator[Event]:
    for item in _list(_decoded(text)):
        event = _mapping(item)
        attributes = dict(_mapping(event.get("attributes")))
        inner = _mapping(attributes.pop("exception", None))
        kind = _text(attributes.pop("exception.type", inner.get("type")))
        message = _text(attributes.pop("exception.message", inner.get("message")))
        stack = _text(attributes.pop("exception.stacktrace", inner.get("stacktrace")))
        name = _text(event.get("name"))
        yield Event(
            name=name,
            time_text=_text(event.get("timestamp")),
            is_exception=name == "exception" or bool(kind),
            kind=kind,
            message=message,
            stack=stack,
            attributes=as_content(attributes, budget) if attributes else None,
        )


def _flat(read: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield dotted keys with their values, without what has a section of its own."""
    for key in sorted(read):
        if key not in _SHOWN_APART:
            yield from _flat_under(key, read[key])


def _flat_under(way: str, value: object) -> Iterator[tuple[str, str]]:
    if way in {"llm.input_messages", "llm.output_messages"}:
        return
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from _flat_under(f"{way}.{key}", value[key])
    else:
        yield way, value if isinstance(value, str) else json_text(value)


def _object_of(text: bytes) -> Mapping[str, Any]:
    return _mapping(_decoded(text))


def _decoded(text: bytes) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json_text(value)
