"""Every span stands once in the tree, whatever its sender made of parents."""

from hypothesis import given
from hypothesis import strategies as st

from bennu.traces.browsing.model import LightSpan
from bennu.web.trace_tree import RULER_PARTS, tree_rows


def span(number: int, parent: int | None, start: int = 0, end: int = 10) -> LightSpan:
    def name(n: int) -> bytes:
        return n.to_bytes(8, "big")

    above = None if parent is None else name(parent)
    return LightSpan(
        number, name(number), above, f"s{number}", "CHAIN", "OK", start, end, None, None
    )


def shape(spans: list[LightSpan]) -> list[tuple[str, int]]:
    return [(row.span.name, row.depth) for row in tree_rows(spans)]


def test_parents_stand_before_children_and_siblings_by_start() -> None:
    spans = [span(1, None), span(3, 1, 1), span(2, 1, 2), span(4, 3, 3)]
    assert shape(spans) == [("s1", 0), ("s3", 1), ("s4", 2), ("s2", 1)]
    assert [row.children for row in tree_rows(spans)] == [2, 1, 0, 0]


def test_an_orphan_stands_at_the_top_and_says_so() -> None:
    rows = tree_rows([span(1, None), span(2, 99)])
    assert [(row.span.name, row.depth, row.is_orphan) for row in rows] == [
        ("s1", 0, False),
        ("s2", 0, True),
    ]


def test_a_ring_is_entered_once() -> None:
    assert shape([span(1, 2), span(2, 1)]) == [("s1", 0), ("s2", 1)]
    assert shape([span(1, 1)]) == [("s1", 0)]


def test_a_very_deep_trace_is_walked() -> None:
    spans = [span(n, n - 1 if n else None) for n in range(5_000)]
    assert tree_rows(spans)[-1].depth == 4_999


def test_bars_lie_on_the_ruler() -> None:
    first, second, third = tree_rows(
        [span(1, None, 0, 100), span(2, 1, 50, 100), span(3, 1, 99, 99)]
    )
    assert (first.bar_start, first.bar_width) == (0, RULER_PARTS)
    assert (second.bar_start, second.bar_width) == (500, 500)
    assert third.bar_width >= 3


TIMES = st.integers(min_value=0, max_value=2**63 - 1)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), TIMES, TIMES), max_size=30))
def test_nothing_is_lost_or_shown_twice(given_spans: list[tuple[int, int, int, int]]) -> None:
    unique = {number: span(number, parent, a, b) for number, parent, a, b in given_spans}
    rows = tree_rows(list(unique.values()))
    assert sorted(row.span.row_id for row in rows) == sorted(unique)
    for row in rows:
        assert 0 <= row.bar_start < RULER_PARTS
        assert 0 < row.bar_width <= RULER_PARTS - row.bar_start
