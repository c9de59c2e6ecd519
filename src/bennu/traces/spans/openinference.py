"""What OpenInference attributes say about a span: kind, session, tokens, and their stored form.

Source: OpenInference semantic conventions; contract/data-plane.md sections 3 and 4.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from bennu.traces.spans.attributes import (
    NestingPlan,
    encode_value,
    is_nested_deeper,
    key_segments,
)
from bennu.traces.spans.model import (
    DEPTH_LIMIT,
    SPAN_KINDS,
    TOKEN_LIMIT,
    WHOLE_NUMBERS,
    UnusableSpanError,
    indexed_text,
)

SPAN_KIND_KEY: Final = "openinference.span.kind"
SESSION_KEY: Final = "session.id"
INPUT_VALUE_KEY: Final = "input.value"
INPUT_MIME_TYPE_KEY: Final = "input.mime_type"
PROMPT_TOKENS_KEY: Final = "llm.token_count.prompt"
COMPLETION_TOKENS_KEY: Final = "llm.token_count.completion"
TOTAL_TOKENS_KEY: Final = "llm.token_count.total"
_TOKEN_KEYS: Final = frozenset({PROMPT_TOKENS_KEY, COMPLETION_TOKENS_KEY, TOTAL_TOKENS_KEY})
#: Keys with these ends hold JSON as text, which is stored as what it means.
_JSON_KEY_ENDS: Final = ("metadata", "llm.prompt_template.variables", "tool.parameters")

#: Bounds of the cache of plans: key names come from clients, so it holds 512 sets of keys of at
#: most 8,192 characters each; wider sets are planned anew each time.
_PLANS_KEPT: Final = 512
_KEPT_KEYS_LIMIT_CHARACTERS: Final = 8_192

decode_json_text: Final = msgspec.json.Decoder().decode


class Described(msgspec.Struct, frozen=True, gc=False):
    """What the attributes of a span say; the fields are those of ``model.Span``."""

    attributes: bytes
    span_kind: str
    session_id: str | None
    prompt_tokens: int | None
    completion_tokens: int | None


class AttributesPlan:
    """What is to be done with the values of a known sequence of attribute keys.

    Args:
        keys: dotted keys in the order in which values will come.

    Raises:
        UnusableSpanError: a key has more than 64 segments.
    """

    __slots__ = (
        "_completion",
        "_input_value",
        "_json_texts",
        "_keys",
        "_kind",
        "_nesting",
        "_prompt",
        "_session",
        "_tokens",
        "has_gen_ai",
    )

    def __init__(self, keys: tuple[str, ...]) -> None:
        at = {".".join(key_segments(key)): position for position, key in enumerate(keys)}
        self._keys = keys
        self._nesting = NestingPlan(keys)
        self._kind = at.get(SPAN_KIND_KEY)
        self._session = at.get(SESSION_KEY)
        self._input_value = at.get(INPUT_VALUE_KEY)
        self._prompt = at.get(PROMPT_TOKENS_KEY)
        self._completion = at.get(COMPLETION_TOKENS_KEY)
        self._tokens = tuple(at[key] for key in _TOKEN_KEYS if key in at)
        self._json_texts = tuple(
            position for key, position in at.items() if key.endswith(_JSON_KEY_ENDS)
        )
        #: Whether a key of the OpenTelemetry conventions for generative AI is among them.
        self.has_gen_ai = any(key.startswith("gen_ai.") for key in at)

    def describe(self, values: list[object]) -> Described:
        """Coerce the values where the conventions ask for it and read what they say.

        Args:
            values: one per key; none of them None. The list may be changed.

        Raises:
            UnusableSpanError: the session id is longer than 2,000 bytes.
        """
        for position in self._tokens:
            if type(values[position]) is not int:
                values[position] = as_token_count(values[position])
        keys = self._keys
        at_input = self._input_value
        if at_input is not None and type(values[at_input]) is not str:
            values[at_input] = encode_value(values[at_input]).decode()
            keys, values = (*keys, INPUT_MIME_TYPE_KEY), [*values, "application/json"]
        if self._json_texts and not self._parse_texts(values):
            keys, values = _without_nulls(keys, values)
        plan = self if keys is self._keys else plan_attributes(keys)
        return plan.describe_coerced(values)

    def describe_coerced(self, values: list[object]) -> Described:
        """Read what values say that ``describe`` has coerced already; see there."""
        kind = span_kind_of(values[self._kind] if self._kind is not None else None)
        session = values[self._session] if self._session is not None else None
        is_llm = kind == "LLM"
        return Described(
            self._nesting.to_json(values),
            kind,
            None if session is None else session_id_of(session),
            self._counted(values, self._prompt) if is_llm else None,
            self._counted(values, self._completion) if is_llm else None,
        )

    def _parse_texts(self, values: list[object]) -> bool:
        """Put parsed JSON in the place of its text; False when one of them is null."""
        is_complete = True
        for position in self._json_texts:
            value = values[position]
            if type(value) is str:
                values[position] = value = json_or_text(value)
                is_complete = is_complete and value is not None
        return is_complete

    @staticmethod
    def _counted(values: list[object], position: int | None) -> int:
        count = values[position] if position is not None else 0
        return count if isinstance(count, int) and 0 <= count <= TOKEN_LIMIT else 0


def plan_attributes(keys: tuple[str, ...]) -> AttributesPlan:
    """Return the plan for these keys, from the cache where they are not too wide.

    Raises:
        UnusableSpanError: a key has more than 64 segments.
    """
    try:
        return _kept_plan(keys)
    except _TooWideError:
        return AttributesPlan(keys)


class _TooWideError(Exception):
    """Keys that are not worth their place in the cache; an error is not cached."""


@lru_cache(maxsize=_PLANS_KEPT)
def _kept_plan(keys: tuple[str, ...]) -> AttributesPlan:
    if sum(map(len, keys)) + len(keys) > _KEPT_KEYS_LIMIT_CHARACTERS:
        raise _TooWideError
    return AttributesPlan(keys)


def _without_nulls(
    keys: tuple[str, ...], values: list[object]
) -> tuple[tuple[str, ...], list[object]]:
    present = [pair for pair in zip(keys, values, strict=True) if pair[1] is not None]
    return tuple(key for key, _ in present), [value for _, value in present]


def describe_attributes(keys: Sequence[str], values: list[object]) -> Described:
    """Read and store attributes; see ``AttributesPlan.describe``.

    Raises:
        UnusableSpanError: as there, or a key has more than 64 segments.
    """
    return plan_attributes(tuple(keys)).describe(values)


def span_kind_of(value: object) -> str:
    """Return the kind under which a span is filed, UNKNOWN for anything unknown."""
    kind = value.upper() if isinstance(value, str) else ""
    return kind if kind in SPAN_KINDS else "UNKNOWN"


def session_id_of(value: object) -> str | None:
    """Return a session id from an attribute: text or number, trimmed; else None.

    Raises:
        UnusableSpanError: it is longer than 2,000 bytes.
    """
    if not isinstance(value, (str, int, float)):
        return None
    return indexed_text(str(value).strip(), "session.id") or None


def as_token_count(value: object) -> object:
    """Return a count as a whole number ("12" and 12.7 are 12), anything else unchanged.

    What does not fit into 64 bits is no count: nobody used so many, and sums of it cannot be kept.
    """
    if not isinstance(value, (str, float, bool)):
        return value
    try:
        count = int(value)
    except (ValueError, OverflowError):
        return value
    return count if count in WHOLE_NUMBERS else value


def json_or_text(text: str) -> object:
    """Return what a JSON text means, or the text itself when it is not (bounded) JSON."""
    try:
        value = decode_json_text(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return text
    if isinstance(value, (dict, list)) and is_nested_deeper(value):
        return text
    return value


def require_bounded_depth(value: object) -> None:
    """Refuse a value that nests too deep.

    Raises:
        UnusableSpanError: lists and objects nest deeper than 64.
    """
    if is_nested_deeper(value):
        raise UnusableSpanError(f"an attribute nests deeper than {DEPTH_LIMIT}")
