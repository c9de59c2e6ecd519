"""Sums along the tree of a trace: what a span and everything below it cost. Pure.

Source: data-plane contract, section 4 (cumulative values: own plus descendants present).
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Sums(NamedTuple):
    """What is added up: errors, prompt tokens, completion tokens."""

    errors: int
    prompt_tokens: int
    completion_tokens: int


NOTHING: Final = Sums(0, 0, 0)


def added(one: Sums, other: Sums) -> Sums:
    """Return the sum of both, member by member."""
    return Sums(one[0] + other[0], one[1] + other[1], one[2] + other[2])


def rolled_up(
    parents: Mapping[bytes, bytes | None], own: Mapping[bytes, Sums]
) -> dict[bytes, Sums]:
    """Add up every value along the way to the root, in one pass whatever the depth.

    Args:
        parents: span id to parent id, for all spans that take part; a parent that does not take
            part ends the way.
        own: span id to its own value; absent means nothing.

    Returns:
        For each span its own value plus those of all its descendants. Spans that are their own
        ancestors, which only a broken sender makes, pass nothing on.
    """
    totals = {span_id: own.get(span_id, NOTHING) for span_id in parents}
    children = dict.fromkeys(parents, 0)
    for parent in parents.values():
        if parent in children:
            children[parent] += 1
    ready = [span_id for span_id, count in children.items() if count == 0]
    while ready:
        span_id = ready.pop()
        parent = parents[span_id]
        if parent is None or parent not in totals:
            continue
        total = totals[span_id]
        if total != NOTHING:
            totals[parent] = added(totals[parent], total)
        children[parent] -= 1
        if children[parent] == 0:
            ready.append(parent)
    return totals
