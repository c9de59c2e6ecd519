"""From the spans of a trace to the rows of its tree and waterfall. Pure.

Broken senders make orphans and rings: an orphan stands at the top, a ring is entered once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bennu.traces.browsing.model import LightSpan

#: Bars are drawn on a ruler of this many parts; one that is shorter is still seen.
RULER_PARTS: Final = 1_000
_SHORTEST_BAR: Final = 3
_DEEPEST: Final = 12


@dataclass(frozen=True, slots=True)
class TreeRow:
    """One line.

    Args:
        span: what it shows.
        depth: 0 at the top.
        indent: the depth as drawn, at most 12.
        children: how many spans stand directly below.
        bar_start: where the bar begins, 0 to 1000.
        bar_width: how long it is, at least 3.
        is_orphan: its parent is not there.
    """

    span: LightSpan
    depth: int
    indent: int
    children: int
    bar_start: int
    bar_width: int
    is_orphan: bool

    @property
    def duration_ns(self) -> int:
        """End minus start."""
        return self.span.end_ns - self.span.start_ns


def tree_rows(spans: Sequence[LightSpan]) -> list[TreeRow]:
    """Return every span once, parents before their children, siblings by start."""
    known = {span.span_id for span in spans}
    children: dict[bytes | None, list[LightSpan]] = {}
    for span in spans:
        parent = span.parent_id if span.parent_id in known else None
        children.setdefault(parent, []).append(span)
    ruler = _Ruler(spans)
    rows: list[TreeRow] = []
    seen: set[bytes] = set()
    for top in children.get(None, []):
        _walk(top, children, ruler, rows, seen)
    for span in spans:  # rings have no top; they are entered at their earliest span
        if span.span_id not in seen:
            _walk(span, children, ruler, rows, seen)
    return rows


class _Ruler:
    def __init__(self, spans: Sequence[LightSpan]) -> None:
        self.begin = min((span.start_ns for span in spans), default=0)
        self.length = max(max((span.end_ns for span in spans), default=0) - self.begin, 1)

    def place(self, span: LightSpan) -> tuple[int, int]:
        start = (span.start_ns - self.begin) * RULER_PARTS // self.length
        end = (span.end_ns - self.begin) * RULER_PARTS // self.length
        start = min(max(start, 0), RULER_PARTS - _SHORTEST_BAR)
        width = min(max(end - start, _SHORTEST_BAR), RULER_PARTS - start)
        return start, width


def _walk(
    top: LightSpan,
    children: dict[bytes | None, list[LightSpan]],
    ruler: _Ruler,
    rows: list[TreeRow],
    seen: set[bytes],
) -> None:
    """Walk without recursion: a trace may be deeper than Python's stack."""
    waiting = [(top, 0)]
    while waiting:
        span, depth = waiting.pop()
        if span.span_id in seen:
            continue
        seen.add(span.span_id)
        below = children.get(span.span_id, [])
        start, width = ruler.place(span)
        is_orphan = depth == 0 and span.parent_id is not None
        rows.append(TreeRow(span, depth, min(depth, _DEEPEST), len(below), start, width, is_orphan))
        waiting.extend((child, depth + 1) for child in reversed(below))
