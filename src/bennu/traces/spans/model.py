"""The values of a trace: spans as they are stored, and what one export request held.

Spec: line 148 (projects and spans). Source: contract/data-plane.md, sections 3 and 4.
"""

from datetime import datetime
from typing import Final

import msgspec

from bennu.kernel.clock import to_microseconds

#: The kinds a span may have; whatever else is sent is filed under UNKNOWN.
SPAN_KINDS: Final = frozenset(
    {
        "TOOL",
        "CHAIN",
        "LLM",
        "PROMPT",
        "RETRIEVER",
        "EMBEDDING",
        "AGENT",
        "RERANKER",
        "EVALUATOR",
        "GUARDRAIL",
        "DECISION",
        "UNKNOWN",
    }
)
STATUS_CODES: Final = ("UNSET", "OK", "ERROR")

#: Names and session ids stand in indexes, and an index row of PostgreSQL holds 2,704 bytes.
INDEXED_TEXT_LIMIT_BYTES: Final = 2_000
#: How deep attributes may nest, counted in segments of a key and, apart from it, in a value.
DEPTH_LIMIT: Final = 64
#: Times are stored as 64-bit signed nanoseconds.
LATEST_NS: Final = 2**63 - 1
#: What a column of whole numbers can hold.
WHOLE_NUMBERS: Final = range(-(2**63), 2**63)
#: Of one request. Exporters send hundreds of spans at once, collectors thousands.
MOST_SPANS_PER_REQUEST: Final = 50_000
#: Token counts beyond this are not counted, so that sums stay within 64 bits.
TOKEN_LIMIT: Final = 2**40


class Span(msgspec.Struct, frozen=True, gc=False):
    """One span as it is stored.

    Args:
        trace_id: 16 bytes, not all zero.
        span_id: 8 bytes, not all zero.
        parent_id: 8 bytes, or None for a root; the parent need not exist.
        name: as sent, at most 2,000 bytes in UTF-8, without NUL.
        span_kind: one of ``SPAN_KINDS``; the text as sent stays in the attributes.
        start_ns: nanoseconds since 1970 UTC, 64 bits signed.
        end_ns: the same; may lie before the start, as sent.
        status_code: one of ``STATUS_CODES``.
        status_message: as sent, without NUL.
        attributes: nested, as JSON in UTF-8.
        events: list of ``{name, timestamp, attributes}`` as JSON in UTF-8.
        session_id: trimmed, not empty, at most 2,000 bytes; or None.
        prompt_tokens: None unless the kind is LLM, else 0 to 2**40.
        completion_tokens: the same.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes | None
    name: str
    span_kind: str
    start_ns: int
    end_ns: int
    status_code: str
    status_message: str
    attributes: bytes
    events: bytes
    session_id: str | None
    prompt_tokens: int | None
    completion_tokens: int | None


class ProjectSpans(msgspec.Struct, frozen=True):
    """The spans of one request that go to one project, in the order in which they were sent."""

    project_name: str
    spans: tuple[Span, ...]


class Rejection(msgspec.Struct, frozen=True):
    """Spans that cannot be used, and why; the reason names the span and is told to the sender."""

    reason: str
    count: int = 1


class DecodedExport(msgspec.Struct, frozen=True):
    """What one export request held.

    Args:
        projects: one entry per project, each project once.
        rejected: what could not be used; empty when all was well.
        span_count: how many spans ``projects`` holds together.
    """

    projects: tuple[ProjectSpans, ...]
    rejected: tuple[Rejection, ...]
    span_count: int

    @property
    def rejected_count(self) -> int:
        """How many spans were refused."""
        return sum(rejection.count for rejection in self.rejected)


class UnusableSpanError(ValueError):
    """A span cannot be stored; the text says why, without naming the span."""


def ns_within_64_bits(time_ns: int) -> int:
    """Return a time that a database can compare; no span starts or ends beyond it."""
    return max(-LATEST_NS, min(time_ns, LATEST_NS))


def time_ns(moment: datetime) -> int:
    """Return nanoseconds since 1970 UTC to compare stored times with; year 1 and 9999 are fine."""
    return ns_within_64_bits(to_microseconds(moment) * 1_000)


def text_without_nul(text: str) -> str:
    """Replace NUL, which PostgreSQL cannot keep in text columns, by U+FFFD."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


def indexed_text(text: str, what: str) -> str:
    """Return ``text`` fit for an indexed text column.

    Raises:
        UnusableSpanError: it is longer than 2,000 bytes; names ``what``.
    """
    limit = INDEXED_TEXT_LIMIT_BYTES
    if len(text) * 4 > limit and len(text.encode()) > limit:
        raise UnusableSpanError(f"{what} is longer than {limit} bytes")
    return text_without_nul(text)
