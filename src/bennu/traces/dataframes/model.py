"""A span query as clients send it. Pure.

Source: data-plane contract, sections 6 (POST /v1/spans) and 6.1.
"""

from typing import Annotated, Final

import msgspec

from bennu.traces.spans.attributes import key_segments

DEFAULT_LIMIT: Final = 1_000
_MOST_LIMIT: Final = 1_000_000
_MOST_QUERIES: Final = 5
_MOST_COLUMNS: Final = 200
_MOST_SEGMENTS: Final = 16

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
Names = Annotated[dict[str, Key], msgspec.Meta(max_length=_MOST_COLUMNS)]


def _refuse_long(*keys: str) -> None:
    """Refuse keys of many parts: each is looked for in twice as many ways, in every span.

    Raises:
        ValueError: which becomes a problem of the field.
    """
    for key in keys:
        if len(key_segments(key.removeprefix("attributes."))) > _MOST_SEGMENTS:
            raise ValueError(f"A key has at most {_MOST_SEGMENTS} parts")


class Projection(msgspec.Struct):
    """What a column is made of."""

    key: Key

    def __post_init__(self) -> None:
        """Refuse a key of too many parts."""
        _refuse_long(self.key)


class FilterGiven(msgspec.Struct):
    """Which spans count."""

    condition: str


class ExplosionGiven(msgspec.Struct):
    """A list whose elements become rows; ``kwargs`` names columns and keys of the elements."""

    key: Key
    kwargs: Names = {}
    primary_index_key: Key = "context.span_id"

    def __post_init__(self) -> None:
        """Refuse keys of too many parts."""
        _refuse_long(self.key, *self.kwargs.values())


class ConcatenationGiven(msgspec.Struct):
    """A list whose elements are joined; ``kwargs`` names columns and keys of the elements."""

    key: Key
    kwargs: Names = {}
    separator: str = "\n\n"

    def __post_init__(self) -> None:
        """Refuse keys of too many parts."""
        _refuse_long(self.key, *self.kwargs.values())


class QueryGiven(msgspec.Struct):
    """One dataframe; without ``select``, ``explode`` and ``concat`` it holds whole spans."""

    select: Annotated[dict[str, Projection], msgspec.Meta(max_length=_MOST_COLUMNS)] | None = None
    filter: FilterGiven | None = None
    explode: ExplosionGiven | None = None
    concat: ConcatenationGiven | None = None
    rename: Names | None = None
    index: Projection | None = None


class SpanQueryBody(msgspec.Struct):
    """Span queries over one project and one time; newest spans first."""

    queries: Annotated[list[QueryGiven], msgspec.Meta(max_length=_MOST_QUERIES)]
    start_time: str | None = None
    end_time: str | None = None
    stop_time: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=_MOST_LIMIT)] | None = None
    root_spans_only: bool | None = None
    orphan_span_as_root_span: bool | None = None
    project_name: str | None = None


class FrameSpan(msgspec.Struct, frozen=True, gc=False):
    """A span as dataframes need it; attributes and events as JSON."""

    row_id: int
    trace_id: bytes
    span_id: bytes
    parent_id: bytes | None
    name: str
    span_kind: str
    start_ns: int
    end_ns: int
    status_code: str
    status_message: str
    cumulative_error_count: int
    cumulative_prompt_tokens: int
    cumulative_completion_tokens: int
    attributes: bytes
    events: bytes
