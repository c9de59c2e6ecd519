"""Messages of the OpenTelemetry conventions for generative AI, as OpenInference attributes.

They come in four dresses: ``gen_ai.input.messages`` / ``gen_ai.output.messages`` with parts (JSON
or structured), numbered attributes (``gen_ai.prompt.0.role``), one JSON attribute
(``gen_ai.prompt``), and events (``gen_ai.user.message``, ``gen_ai.choice``). What cannot be read
is passed over: the attributes as sent are kept in any case.

Source: OpenTelemetry semantic conventions for generative AI, 1.28 to 1.38; OpenInference.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from bennu.traces.spans.attributes import encode_value
from bennu.traces.spans.events import SpanEvent
from bennu.traces.spans.openinference import json_or_text

_CONTENT_TYPE: Final = "message_content.type"
_CONTENT_TEXT: Final = "message_content.text"
_CONTENT_IMAGE: Final = "message_content.image.image.url"
_ROLES_BY_EVENT: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_CHOICE_EVENT: Final = "gen_ai.choice"
#: An object with none of these is no message.
_MESSAGE_FIELDS: Final = frozenset({"role", "content", "parts", "tool_calls"})
#: Fields of a message that instrumentations put into the attributes of its event.
_EVENT_FIELDS: Final = ("content", "role", "name", "id", "tool_calls", "tool_call_id", "parts")


class Message:
    """One message of a conversation, on its way from one convention to the other."""

    __slots__ = ("contents", "finish_reason", "name", "role", "tool_call_id", "tool_calls")

    def __init__(self, role: str) -> None:
        self.role = role
        self.name = ""
        self.contents: list[dict[str, str]] = []
        self.tool_calls: list[dict[str, str]] = []
        self.tool_call_id = ""
        self.finish_reason = ""

    @property
    def text(self) -> str | None:
        """The content, when it is nothing but one text."""
        if len(self.contents) == 1 and self.contents[0][_CONTENT_TYPE] == "text":
            return self.contents[0][_CONTENT_TEXT]
        return None

    def add_text(self, text: str, kind: str = "text") -> None:
        """Append a piece of text."""
        self.contents.append({_CONTENT_TYPE: kind, _CONTENT_TEXT: text})


def as_text(value: object) -> str:
    """Return texts as they are, nothing for None, anything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else encode_value(value).decode()


def as_structure(value: object) -> object:
    """Return what a JSON text means; other values as they are."""
    return json_or_text(value) if isinstance(value, str) else value


def as_list(value: object) -> list[object]:
    """Return the items of a list, also of one in JSON text, an object as its only item."""
    structure = as_structure(value)
    if isinstance(structure, list):
        return structure
    return [structure] if isinstance(structure, dict) else []


def message_attributes(prefix: str, messages: Sequence[Message]) -> dict[str, object]:
    """Write messages as ``<prefix>.0.message.role`` and so on."""
    flat: dict[str, object] = {}
    for position, message in enumerate(messages):
        start = f"{prefix}.{position}.message"
        flat[f"{start}.role"] = message.role
        if message.name:
            flat[f"{start}.name"] = message.name
        if message.tool_call_id:
            flat[f"{start}.tool_call_id"] = message.tool_call_id
        if message.text is not None:
            flat[f"{start}.content"] = message.text
        else:
            flat |= _numbered(f"{start}.contents", message.contents)
        flat |= _numbered(f"{start}.tool_calls", message.tool_calls)
    return flat


def _numbered(prefix: str, items: Sequence[Mapping[str, str]]) -> dict[str, object]:
    return {
        f"{prefix}.{position}.{key}": value
        for position, item in enumerate(items)
        for key, value in item.items()
    }


def messages_of(value: object, default_role: str) -> list[Message]:
    """Read a conversation: a list of messages, structured or as JSON; a plain text is one."""
    structure = as_structure(value)
    if isinstance(value, str) and value and not isinstance(structure, (dict, list)):
        message = Message(default_role)
        message.add_text(value)
        return [message]
    return [
        message
        for item in as_list(structure)
        if isinstance(item, dict) and not _MESSAGE_FIELDS.isdisjoint(item)
        for message in _messages_of_one(item, default_role)
    ]


def system_messages(value: object) -> list[Message]:
    """Read ``gen_ai.system_instructions``: a text, or a list of parts."""
    parts = as_list(value)
    if not parts:
        return messages_of(value, "system")
    message = Message("system")
    for part in parts:
        _add_part(message, part)
    return [message] if message.contents else []


def messages_of_events(events: Sequence[SpanEvent]) -> tuple[list[Message], list[Message]]:
    """Return the input and the output messages that came as events."""
    inputs: list[Message] = []
    outputs: list[Message] = []
    for event in events:
        fields = {key: event.attributes[key] for key in _EVENT_FIELDS if key in event.attributes}
        if event.name in _ROLES_BY_EVENT:
            if event.name == "gen_ai.tool.message" and "id" in fields:
                fields["tool_call_id"] = fields["id"]
            inputs += _messages_of_one(fields, _ROLES_BY_EVENT[event.name])
        elif event.name == _CHOICE_EVENT:
            made = messages_of(event.attributes.get("message", fields), "assistant")
            for message in made:
                reason = as_text(event.attributes.get("finish_reason"))
                message.finish_reason = reason or message.finish_reason
            outputs += made
    return inputs, outputs


def _messages_of_one(item: Mapping[str, object], default_role: str) -> list[Message]:
    """Read one message; answers of several tools in one message become one message each."""
    role = item.get("role")
    message = Message(role if isinstance(role, str) and role else default_role)
    message.name = as_text(item.get("name"))
    message.tool_call_id = as_text(item.get("tool_call_id"))
    message.finish_reason = as_text(item.get("finish_reason"))
    for call in as_list(item.get("tool_calls")):
        _add_tool_call(message, call)
    content = item["parts"] if "parts" in item else item.get("content")
    answers: list[Message] = []
    if isinstance(content, list):
        for part in content:
            answers += _add_part(message, part)
    elif content is not None:
        message.add_text(as_text(content))
    is_empty = not (message.contents or message.tool_calls)
    return answers if answers and is_empty else [message, *answers]


def _add_part(message: Message, part: object) -> list[Message]:
    """Add a part to its message; the answer of a tool is returned as a message of its own."""
    if not isinstance(part, dict):
        message.add_text(as_text(part))
        return []
    kind = as_text(part.get("type"))
    if kind in {"tool_call", "function"}:
        _add_tool_call(message, part)
    elif kind == "tool_call_response":
        return [_tool_answer(part)]
    elif kind in {"text", "reasoning"}:
        message.add_text(as_text(part.get("content", part.get("text"))), kind)
    elif image := _image_url(part):
        message.contents.append({_CONTENT_TYPE: "image", _CONTENT_IMAGE: image})
    else:
        message.add_text(as_text(part), kind or "text")
    return []


def _tool_answer(part: Mapping[str, object]) -> Message:
    answer = Message("tool")
    answer.tool_call_id = as_text(part.get("id"))
    answer.add_text(as_text(part.get("response", part.get("result"))))
    return answer


def _add_tool_call(message: Message, call: object) -> None:
    if not isinstance(call, dict):
        return
    function = call.get("function")
    named = function if isinstance(function, dict) else call
    fields = {
        "tool_call.id": as_text(call.get("id")),
        "tool_call.function.name": as_text(named.get("name")),
        "tool_call.function.arguments": as_text(named.get("arguments")),
    }
    message.tool_calls.append({key: text for key, text in fields.items() if text})


def _image_url(part: Mapping[str, object]) -> str:
    """Return the address of an image part in any of three dresses; empty when it is none."""
    image = part.get("image_url")
    if isinstance(image, dict):
        return as_text(image.get("url"))
    mime_type = as_text(part.get("mime_type"))
    if part.get("modality") != "image" and not mime_type.startswith("image/"):
        return ""
    if part.get("type") == "blob":
        content = as_text(part.get("content", part.get("data")))
        return f"data:{mime_type or 'image/png'};base64,{content}"
    return as_text(part.get("uri"))
