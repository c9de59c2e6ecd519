"""The filter form: what it means, and that mistakes are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.traces.expressions.tree import Scope
from bennu.web.trace_filters import read_filter

NOW_NS = 1_800_000_000_000_000_000
HOUR_NS = 3_600_000_000_000


def test_traces() -> None:
    wanted = read_filter({"range": "1h", "errors": "1", "slower_than": "1.5", "order": "slowest"})
    found = wanted.trace_filter(NOW_NS)
    assert found.from_ns == NOW_NS - HOUR_NS
    assert found.has_error is True
    assert found.min_latency_ns == 1_500_000_000
    assert wanted.trace_order().by_latency
    assert wanted.is_narrowing


def test_spans() -> None:
    wanted = read_filter({"kind": "LLM", "status": "OK", "name": " n ", "model": "m"})
    found = wanted.span_filter(NOW_NS)
    assert found.span_kinds == ("LLM",)
    assert found.status_codes == ("OK",)
    assert found.names == ("n",)
    assert found.attributes[0].segments == ("llm", "model_name")
    assert read_filter({"errors": "1"}).span_filter(NOW_NS).status_codes == ("ERROR",)


def test_nothing_leaves_nothing_out() -> None:
    wanted = read_filter({})
    assert not wanted.is_narrowing
    assert wanted.as_query() == {}
    assert wanted.trace_filter(NOW_NS).from_ns is None


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("range", "x"),
        ("order", "x"),
        ("kind", "x"),
        ("status", "x"),
        ("slower_than", "x"),
        ("slower_than", "nan"),
        ("slower_than", "-1"),
    ],
)
def test_a_mistake_is_told_and_left_out(field: str, text: str) -> None:
    wanted = read_filter({field: text})
    assert field in wanted.problems
    assert not wanted.is_narrowing


@pytest.mark.parametrize(
    ("of", "text"),
    [
        (Scope.TRACE, "latency_ms > 5 and llm.model_name == 'm'"),
        (Scope.SPAN, "span_kind == 'LLM'"),
        (Scope.SESSION, "trace_count > 3"),
    ],
)
def test_an_expression_is_about_what_the_table_lists(of: Scope, text: str) -> None:
    wanted = read_filter({"filter": f" {text} "}, of)
    assert wanted.condition is not None
    assert wanted.condition.of is of
    assert wanted.as_query() == {"filter": text}
    assert wanted.is_narrowing
    assert not wanted.problems


def test_a_mistake_in_an_expression_is_kept_with_its_place() -> None:
    wanted = read_filter({"filter": "error_count > 0 and foo == 1"})
    assert wanted.condition is None
    assert wanted.mistake_at == 20
    assert wanted.around_mistake == ("error_count > 0 and ", "f", "oo == 1")
    assert "at character 21" in wanted.problems["filter"]
    assert read_filter({"filter": "1 =="}).around_mistake == ("1 ==", " ", "")
    assert read_filter({"filter": "x" * 20_000}).problems


@given(
    st.dictionaries(st.sampled_from(["range", "order", "name", "slower_than", "filter"]), st.text())
)
def test_anything_typed_can_be_passed_on(query: dict[str, str]) -> None:
    wanted = read_filter(query)
    assert read_filter(wanted.as_query()).as_query() == wanted.as_query()
    wanted.trace_filter(NOW_NS)
    wanted.span_filter(NOW_NS)
