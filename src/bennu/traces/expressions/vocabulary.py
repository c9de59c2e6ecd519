"""The names that filters may use: fields by row, annotations, lists, keys of attributes. Pure.

Source: contract/data-plane.md section 6.1; OpenInference semantic conventions (roots of keys).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bennu.traces.expressions.tree import Kind, Scope, Source

_SPAN: Final = {
    "span_id": Kind.ID,
    "parent_id": Kind.ID,
    "name": Kind.TEXT,
    "span_kind": Kind.TEXT,
    "status_code": Kind.TEXT,
    "status_message": Kind.TEXT,
    "start_time": Kind.TIME,
    "end_time": Kind.TIME,
    "latency_ms": Kind.NUMBER,
    "cumulative_error_count": Kind.NUMBER,
    "cumulative_llm_token_count_prompt": Kind.NUMBER,
    "cumulative_llm_token_count_completion": Kind.NUMBER,
    "cumulative_llm_token_count_total": Kind.NUMBER,
}
_TRACE: Final = {
    "trace_id": Kind.ID,
    "start_time": Kind.TIME,
    "end_time": Kind.TIME,
    "latency_ms": Kind.NUMBER,
    "span_count": Kind.NUMBER,
    "error_count": Kind.NUMBER,
    "token_count_prompt": Kind.NUMBER,
    "token_count_completion": Kind.NUMBER,
    "token_count_total": Kind.NUMBER,
}
_SESSION: Final = {
    "session_id": Kind.TEXT,
    "start_time": Kind.TIME,
    "end_time": Kind.TIME,
    "latency_ms": Kind.NUMBER,
    "trace_count": Kind.NUMBER,
    "span_count": Kind.NUMBER,
    "error_count": Kind.NUMBER,
    "token_count_prompt": Kind.NUMBER,
    "token_count_completion": Kind.NUMBER,
    "token_count_total": Kind.NUMBER,
}
#: The fields of each kind of row.
FIELDS: Final[Mapping[Scope, Mapping[str, Kind]]] = MappingProxyType(
    {Scope.SPAN: _SPAN, Scope.TRACE: _TRACE, Scope.SESSION: _SESSION}
)
#: Fields of an annotation in a loop; the first ones also of ``annotations['name']``.
ANNOTATION_FIELDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "label": Kind.TEXT,
        "score": Kind.NUMBER,
        "explanation": Kind.TEXT,
        "identifier": Kind.TEXT,
        "annotator_kind": Kind.TEXT,
        "name": Kind.TEXT,
    }
)
#: In which rows a name is looked for, from the filtered row inward, or outward from a span.
LOOKUP: Final[Mapping[Scope, tuple[Scope, ...]]] = MappingProxyType(
    {
        Scope.SPAN: (Scope.SPAN, Scope.TRACE),
        Scope.TRACE: (Scope.TRACE, Scope.SPAN),
        Scope.SESSION: (Scope.SESSION, Scope.TRACE, Scope.SPAN),
    }
)
#: What of an outer row a span may be asked for.
FROM_SPAN: Final = frozenset({"trace_id"})
#: Names of annotations to what they are about; None stands for the filtered row.
ANNOTATIONS: Final[Mapping[str, Scope | None]] = MappingProxyType(
    {
        "annotations": None,
        "evals": None,
        "span_annotations": Scope.SPAN,
        "trace_annotations": Scope.TRACE,
        "session_annotations": Scope.SESSION,
    }
)
#: Lists of rows, and what they are rows of.
LISTS: Final[Mapping[str, tuple[Source, Scope]]] = MappingProxyType(
    {"spans": (Source.SPANS, Scope.SPAN), "traces": (Source.TRACES, Scope.TRACE)}
)
#: Costs are not computed, so that these are missing everywhere.
MISSING: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "total_cost": Kind.NUMBER,
        "prompt_cost": Kind.NUMBER,
        "completion_cost": Kind.NUMBER,
    }
)
#: Other spellings of fields, from the client's older interface.
ALIASES: Final[Mapping[tuple[str, ...], str]] = MappingProxyType(
    {
        ("context", "span_id"): "span_id",
        ("context", "trace_id"): "trace_id",
        ("cumulative_token_count", "prompt"): "cumulative_llm_token_count_prompt",
        ("cumulative_token_count", "completion"): "cumulative_llm_token_count_completion",
        ("cumulative_token_count", "total"): "cumulative_llm_token_count_total",
    }
)
#: Roots of keys that are attributes without ``attributes[...]``.
KEY_ROOTS: Final = frozenset(
    {
        "agent",
        "audio",
        "document",
        "embedding",
        "exception",
        "gen_ai",
        "graph",
        "image",
        "input",
        "llm",
        "message",
        "metadata",
        "openinference",
        "output",
        "prompt",
        "reranker",
        "retrieval",
        "session",
        "tag",
        "tool",
        "tool_call",
        "user",
    }
)
EVENTS: Final = "events"
ATTRIBUTES: Final = "attributes"
PARENT: Final = "parent_span"
