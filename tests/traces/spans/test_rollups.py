"""Sums along the tree of a trace. Contract: section 4."""

from bennu.traces.spans.rollups import NOTHING, Sums, rolled_up

A, B, C, D = b"a", b"b", b"c", b"d"


def test_every_value_reaches_the_root_and_no_sibling() -> None:
    parents = {A: None, B: A, C: B, D: A}
    own = {A: Sums(0, 1, 0), B: Sums(1, 10, 0), C: Sums(0, 100, 5), D: Sums(0, 1000, 0)}
    assert rolled_up(parents, own) == {
        A: Sums(1, 1111, 5),
        B: Sums(1, 110, 5),
        C: Sums(0, 100, 5),
        D: Sums(0, 1000, 0),
    }


def test_a_parent_that_is_not_there_ends_the_way() -> None:
    assert rolled_up({B: A}, {B: Sums(1, 2, 3)}) == {B: Sums(1, 2, 3)}


def test_a_ring_ends_and_keeps_what_is_its_own() -> None:
    own = {A: Sums(1, 1, 1), B: Sums(2, 2, 2), C: Sums(4, 4, 4), D: Sums(8, 8, 8)}
    totals = rolled_up({A: B, B: A, C: A, D: D}, own)
    assert totals == {A: Sums(5, 5, 5), B: Sums(2, 2, 2), C: Sums(4, 4, 4), D: Sums(8, 8, 8)}


def test_a_deep_tree_needs_no_recursion() -> None:
    depth = 20_000
    parents = {number: None if number == 0 else number - 1 for number in range(depth)}
    totals = rolled_up(
        {str(k).encode(): None if v is None else str(v).encode() for k, v in parents.items()},
        {str(number).encode(): Sums(1, 0, 0) for number in range(depth)},
    )
    assert totals[b"0"] == Sums(depth, 0, 0)
    assert totals[str(depth - 1).encode()] == Sums(1, 0, 0)


def test_without_own_values_everything_is_nothing() -> None:
    assert rolled_up({A: None, B: A}, {}) == {A: NOTHING, B: NOTHING}
