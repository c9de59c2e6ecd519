"""From the filter form above a table to what the stores are asked. Pure but for the time given.

The form is sent by GET, so that an address with its filters can be passed on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from bennu.traces.expressions.meaning import condition_of
from bennu.traces.expressions.sql import sql_of
from bennu.traces.expressions.tokens import MOST_CHARACTERS, ExpressionError
from bennu.traces.expressions.tree import Condition, Scope
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
#: So much of an expression is shown on either side of a mistake in it.
_AROUND: Final = 40


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
        expression: of the language of filters, with any mistake.
        condition: what it means; None without one, and where it cannot be understood.
        mistake_at: the character where it cannot be, from 0.
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
    expression: str
    condition: Condition | None
    mistake_at: int | None
    problems: Mapping[str, str]

    @property
    def is_narrowing(self) -> bool:
        """Whether anything is left out."""
        typed = (self.range, self.slower_than, self.kind, self.status, self.name, self.model)
        return self.errors_only or bool(self.expression) or any(typed)

    @property
    def around_mistake(self) -> tuple[str, str, str]:
        """Return what stands before, at and after the mistake in the expression."""
        at, text = self.mistake_at or 0, self.expression
        return text[max(at - _AROUND, 0) : at], text[at : at + 1] or " ", text[at + 1 :][:_AROUND]

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
            "filter": self.expression,
        }
        return {name: text for name, text in texts.items() if text}

    def trace_filter(self, now_ns: int) -> TraceFilter:
        """Return what traces must be."""
        slower = _seconds(self.slower_than)
        return TraceFilter(
            has_error=True if self.errors_only else None,
            from_ns=self._from_ns(now_ns),
            min_latency_ns=None if slower is None else round(slower * _SECOND_NS),
            condition=self.condition,
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
            condition=None if self.condition is None else partial(sql_of, self.condition),
        )

    def span_order(self) -> SpanOrder:
        """Return the order of spans."""
        return SpanOrder(by_start=True, ascending=self.order == "oldest")

    def _from_ns(self, now_ns: int) -> int | None:
        seconds = {word: seconds for word, _, seconds in TIME_RANGES}[self.range]
        return max(now_ns - seconds * _SECOND_NS, 0) if seconds else None


def read_filter(query: Mapping[str, str], of: Scope = Scope.TRACE) -> TableFilter:
    """Read the form; what is wrong is left out and told beside its field.

    Args:
        query: of the address.
        of: what the table lists, to which an expression applies.
    """
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
    expression = query.get("filter", "").strip()[: MOST_CHARACTERS + 1]
    condition, mistake = _understood(expression, of)
    if mistake is not None:
        problems["filter"] = mistake.public
    return TableFilter(
        range=one_of("range", tuple(word for word, _, _ in TIME_RANGES)),
        order=one_of("order", tuple(word for word, _ in ORDERS)),
        errors_only=bool(query.get("errors")),
        slower_than=slower_than,
        kind=one_of("kind", KINDS),
        status=one_of("status", STATUSES),
        name=query.get("name", "").strip()[:_TEXT_LIMIT],
        model=query.get("model", "").strip()[:_TEXT_LIMIT],
        expression=expression,
        condition=condition,
        mistake_at=None if mistake is None else mistake.position,
        problems=problems,
    )


def _understood(text: str, of: Scope) -> tuple[Condition | None, ExpressionError | None]:
    if not text:
        return None, None
    try:
        return condition_of(text, of), None
    except ExpressionError as mistake:
        return None, mistake


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < _SECONDS_LIMIT else None
