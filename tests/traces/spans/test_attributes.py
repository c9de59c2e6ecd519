import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.traces.spans.attributes import (
    NestingPlan,
    flatten,
    is_nested_deeper,
    nest,
    unflatten,
)
from bennu.traces.spans.model import UnusableSpanError

SEGMENTS = st.one_of(
    st.sampled_from(["a", "b", "0", "1", "00", "01", " a ", "", " ", "10", "\u00b2", "é"]),
    st.text(alphabet=string.ascii_letters + string.digits + ' ."\\', max_size=4),
)
KEYS = st.lists(SEGMENTS, min_size=1, max_size=5).map(".".join)
SCALARS = st.one_of(st.text(max_size=5), st.integers(-5, 5), st.booleans(), st.floats(-1, 1))
LEAVES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3))


@pytest.mark.parametrize(
    ("flat", "nested"),
    [
        ({"llm.model_name": "m"}, {"llm": {"model_name": "m"}}),
        ({"docs.1.c": 2, "docs.0.c": 1}, {"docs": [{"c": 1}, {"c": 2}]}),
        ({"docs.10.c": 3, "docs.9.c": 2, "docs.5.c": 1}, {"docs": [{"c": 1}, {"c": 2}, {"c": 3}]}),
        ({"docs.007.c": 1, "docs.7.d": 2}, {"docs": [{"c": 1, "d": 2}]}),
        ({"tags.0": "x", "tags.1": "y"}, {"tags": {"0": "x", "1": "y"}}),
        ({"m.0.1.c": 1, "m.0.0.c": 0}, {"m": [[{"c": 0}, {"c": 1}]]}),
        ({"mix.0.c": 1, "mix.x": 2}, {"mix": {"0": {"c": 1}, "x": 2}}),
        ({"a": 1, "a.b": 2}, {"a": 1, "a.b": 2}),
        ({"a.b": 2, "a": 1, "a.b.c": 3}, {"a": 1, "a.b": 2, "a.b.c": 3}),
        ({"x.a": 1, "x.a.b": 2}, {"x": {"a": 1, "a.b": 2}}),
        ({"n": {"c": 1}, "n.c": 2}, {"n": {"c": 1}, "n.c": 2}),
        ({"n": {"c.d": 1}}, {"n": {"c.d": 1}}),
        ({" a . b ": 1, "a..b": 2}, {"a": {"b": 2}}),
        ({"": 1, "..": 2, " ": 3}, {}),
        ({"a": None, "b": 1}, {"b": 1}),
        ({"0.c": 1}, {"0": {"c": 1}}),
        ({"list": [1, 2]}, {"list": [1, 2]}),
        (
            {"d.\u00b2.c": 1, "e.1234567890.c": 2},
            {"d": {"²": {"c": 1}}, "e": {"1234567890": {"c": 2}}},
        ),
    ],
)
def test_dotted_keys_nest(flat: dict[str, Any], nested: dict[str, Any]) -> None:
    assert unflatten(flat.items()) == nested


def test_of_equal_keys_the_last_wins() -> None:
    assert unflatten([("a.b", 1), ("a. b", 2)]) == {"a": {"b": 2}}


def test_a_key_of_too_many_segments_is_refused() -> None:
    assert unflatten([(".".join("a" * 64), 1)])
    with pytest.raises(UnusableSpanError, match="more than 64 segments"):
        unflatten([(".".join("a" * 65), 1)])
    with pytest.raises(UnusableSpanError, match="more than 64 segments"):
        NestingPlan([".".join("a" * 10_000)])


@pytest.mark.parametrize(
    ("nested", "flat"),
    [
        ({"docs": [{"c": 1}, {"d": {"e": 2}}]}, {"docs.0.c": 1, "docs.1.d.e": 2}),
        ({"tags": ["a", "b"], "m": [[1], [2]]}, {"tags": ["a", "b"], "m": [[1], [2]]}),
        ({"mixed": [{"a": 1}, 2]}, {"mixed": [{"a": 1}, 2]}),
        ({"empty": [], "none": {}, "in": [{}]}, {"empty": [], "none": {}, "in": [{}]}),
        ({"a": 1, "a.b": 2}, {"a": 1, "a.b": 2}),
    ],
)
def test_nested_attributes_are_written_with_dotted_keys(
    nested: dict[str, Any], flat: dict[str, Any]
) -> None:
    assert flatten(nested) == flat


def test_posted_attributes_may_be_flat_nested_or_both() -> None:
    mixture = {"llm": {"token_count": {"prompt": 3}}, "llm.token_count.total": 4, "d": [{"c": 1}]}
    assert nest(mixture) == {"llm": {"token_count": {"prompt": 3, "total": 4}}, "d": [{"c": 1}]}


@given(st.dictionaries(KEYS, LEAVES, max_size=12))
def test_nesting_and_flattening_settle_after_one_round(flat: dict[str, Any]) -> None:
    once = flatten(unflatten(flat.items()))
    assert flatten(unflatten(once.items())) == once


@given(st.lists(st.tuples(KEYS, st.one_of(LEAVES, st.just({"c": 1}))), max_size=12))
def test_a_plan_writes_what_the_walk_nests(items: list[tuple[str, Any]]) -> None:
    plan = NestingPlan([key for key, _ in items])
    written = plan.to_json([value for _, value in items])
    assert msgspec.json.decode(written) == unflatten(items)


def test_a_plan_serves_again_and_again() -> None:
    plan = NestingPlan(["b.x", "a", "b.y"])
    assert plan.to_json([1, "q", [2]]) == b'{"b":{"x":1,"y":[2]},"a":"q"}'
    assert plan.to_json([3, None, 4]) == b'{"b":{"x":3,"y":4},"a":null}'


def test_depth_is_measured_without_recursion() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    assert is_nested_deeper(deep)
    assert not is_nested_deeper({"a": [{"b": 1}]}, 3)
    assert is_nested_deeper({"a": [{"b": 1}]}, 2)
