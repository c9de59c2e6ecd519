"""From the filter form above a table to what the stores are asked. Pure but for the time given.

The form is sent by GET, so that an address with its filters can be passed on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bennu.traces.spans.filters import AttributeMatch, SpanFilter, SpanOrder
from bennu.traces.spans.model import SPAN_KINDS, STATUS_CODES
from bennu.traces.traces.model import TraceFilter, TraceOrder

#: Word in the address, words on the page, seconds.
TIME_RANGES: Final = (
    ("", "Any time", 0),
    ("1h", "Last hour", 3_600),
    ("24h", "Last 24 hours", 86_400),
    ("7d", "Last 7 days", 7 * 86_400),
    ("30d", "Last 30 days", 30 * 86_400),
)
ORDERS: Final = (("", "Newest first"), ("oldest", "Oldest first"), ("slowest", "Slowest first"))
KINDS: Final = tuple(sorted(SPAN_KINDS))
STATUSES: Final = STATUS_CODES
_SECOND_NS: Final = 1_000_000_000
_SECONDS_LIMIT: Final = 10**9
_TEXT_LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True)
class TableFilter:
    """What the form says; texts as typed, so that they can be shown again.

    Args:
        range: word of ``TIME_RANGES``.
        order: word of ``ORDERS``; spans know no slowest.
        errors_only: only what ended in an error.
        slower_than: seconds, as typed; traces only.
        kind: of spans.
        status: of spans.
        name: exact name of spans.
        model: exact name of the model of spans.
        problems: what is wrong, by field.
    """

    range: str
    order: str
    errors_only: bool
    slower_than: str
    kind: str
    status: str
    name: str
    model: str
    problems: Mapping[str, str]

    @property
    def is_narrowing(self) -> bool:
        """Whether anything is left out."""
        typed = (self.range, self.slower_than, self.kind, self.status, self.name, self.model)
        return self.errors_only or any(typed)

    def as_query(self) -> dict[str, str]:
        """Return the parameters of an address that says the same."""
        texts = {
            "range": self.range,
            "order": self.order,
            "errors": "1" if self.errors_only else "",
            "slower_than": self.slower_than,
            "kind": self.kind,
            "status": self.status,
            "name": self.name,
            "model": self.model,
        }
        return {name: text for name, text in texts.items() if text}

    def trace_filter(self, now_ns: int) -> TraceFilter:
        """Return what traces must be."""
        slower = _seconds(self.slower_than)
        return TraceFilter(
            has_error=True if self.errors_only else None,
            from_ns=self._from_ns(now_ns),
            min_latency_ns=None if slower is None else round(slower * _SECOND_NS),
        )

    def trace_order(self) -> TraceOrder:
        """Return the order of traces."""
        return TraceOrder(by_latency=self.order == "slowest", ascending=self.order == "oldest")

    def span_filter(self, now_ns: int) -> SpanFilter:
        """Return what spans must be."""
        status = "ERROR" if self.errors_only else self.status
        match = AttributeMatch(("llm", "model_name"), self.model)
        return SpanFilter(
            names=(self.name,) if self.name else None,
            span_kinds=(self.kind,) if self.kind else None,
            status_codes=(status,) if status else None,
            from_ns=self._from_ns(now_ns),
            attributes=(match,) if self.model else (),
        )

    def span_order(self) -> SpanOrder:
        """Return the order of spans."""
        return SpanOrder(by_start=True, ascending=self.order == "oldest")

    def _from_ns(self, now_ns: int) -> int | None:
        seconds = {word: seconds for word, _, seconds in TIME_RANGES}[self.range]
        return max(now_ns - seconds * _SECOND_NS, 0) if seconds else None


def read_filter(query: Mapping[str, str]) -> TableFilter:
    """Read the form; what is wrong is left out and told beside its field."""
    problems: dict[str, str] = {}

    def one_of(name: str, allowed: tuple[str, ...]) -> str:
        text = query.get(name, "")
        if text and text not in allowed:
            problems[name] = "Choose one of the list"
            return ""
        return text

    slower_than = query.get("slower_than", "").strip()
    if slower_than and _seconds(slower_than) is None:
        problems["slower_than"] = "Input should be seconds, such as 1.5"
        slower_than = ""
    return TableFilter(
        range=one_of("range", tuple(word for word, _, _ in TIME_RANGES)),
        order=one_of("order", tuple(word for word, _ in ORDERS)),
        errors_only=bool(query.get("errors")),
        slower_than=slower_than,
        kind=one_of("kind", KINDS),
        status=one_of("status", STATUSES),
        name=query.get("name", "").strip()[:_TEXT_LIMIT],
        model=query.get("model", "").strip()[:_TEXT_LIMIT],
        problems=problems,
    )


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < _SECONDS_LIMIT else None
