import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.traces.spans.model import UnusableSpanError
from bennu.traces.spans.openinference import (
    AttributesPlan,
    Described,
    as_token_count,
    describe_attributes,
    json_or_text,
    plan_attributes,
    require_bounded_depth,
)


def described(**attributes: object) -> Described:
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    return describe_attributes(tuple(named), list(named.values()))


def stored(**attributes: object) -> dict[str, Any]:
    nested: dict[str, Any] = json.loads(described(**attributes).attributes)
    return nested


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ("llm", "LLM"),
        ("Chain", "CHAIN"),
        ("WEIRD", "UNKNOWN"),
        (3, "UNKNOWN"),
        (["LLM"], "UNKNOWN"),
    ],
)
def test_the_kind_is_filed_in_capitals_and_kept_as_sent(sent: object, kind: str) -> None:
    found = described(openinference__span__kind=sent)
    assert found.span_kind == kind
    assert json.loads(found.attributes)["openinference"]["span"]["kind"] == sent


def test_without_a_kind_it_is_unknown() -> None:
    assert described().span_kind == "UNKNOWN"
    assert described().attributes == b"{}"


@pytest.mark.parametrize(
    ("sent", "session"),
    [(" s-1 ", "s-1"), (42, "42"), ("  ", None), (["s"], None), ("a\0", "a\ufffd"), (None, None)],
)
def test_a_session_is_text_or_a_number(sent: object, session: str | None) -> None:
    values = {} if sent is None else {"session__id": sent}
    assert described(**values).session_id == session


def test_a_session_too_long_for_its_index_is_refused() -> None:
    with pytest.raises(UnusableSpanError, match=r"session\.id is longer"):
        described(session__id="é" * 1_001)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("12", 12),
        (3.7, 3),
        (5, 5),
        ("many", "many"),
        ("NaN", "NaN"),
        ([1], [1]),
        (True, 1),
        (str(2**63 - 1), 2**63 - 1),
        ("9" * 4_300, "9" * 4_300),
        (1e300, 1e300),
    ],
)
def test_token_counts_are_coerced_or_left_alone(sent: object, kept: object) -> None:
    count = stored(llm__token_count__prompt=sent)["llm"]["token_count"]["prompt"]
    assert count == kept
    assert type(count) is type(kept)


def test_an_infinite_count_stays() -> None:
    assert as_token_count(float("inf")) == float("inf")


def test_tokens_count_only_on_spans_of_a_model() -> None:
    tokens = {"llm__token_count__prompt": "7", "llm__token_count__completion": 2.0}
    llm = described(openinference__span__kind="LLM", **tokens)
    assert (llm.prompt_tokens, llm.completion_tokens) == (7, 2)
    chain = described(openinference__span__kind="CHAIN", **tokens)
    assert (chain.prompt_tokens, chain.completion_tokens) == (None, None)
    bare = described(openinference__span__kind="LLM")
    assert (bare.prompt_tokens, bare.completion_tokens) == (0, 0)


@pytest.mark.parametrize("count", [-1, 2**41, "x", 10**30])
def test_counts_that_would_break_sums_are_not_counted(count: object) -> None:
    found = described(openinference__span__kind="LLM", llm__token_count__prompt=count)
    assert found.prompt_tokens == 0


@pytest.mark.parametrize(
    "key",
    [
        "metadata",
        "x.metadata",
        "retrieval.documents.0.document.metadata",
        "llm.prompt_template.variables",
        "tool.parameters",
    ],
)
def test_json_in_these_keys_is_stored_as_what_it_means(key: str) -> None:
    found = describe_attributes((key,), ['{"a": [1, {"b": null}]}'])
    assert b'{"a":[1,{"b":null}]}' in found.attributes


def test_invocation_parameters_stay_text() -> None:
    text = '{"temperature":0}'
    assert stored(llm__invocation_parameters=text) == {"llm": {"invocation_parameters": text}}


@pytest.mark.parametrize(
    "text", ["{broken", "NaN", '"\\ud800"', "1e999", "[" * 5_000, "[" * 65 + "]" * 65]
)
def test_what_is_no_bounded_json_stays_text(text: str) -> None:
    assert stored(metadata=text) == {"metadata": text}


def test_json_null_is_dropped() -> None:
    assert stored(metadata="null", a=1) == {"a": 1}
    assert stored(metadata=' {"a":1}', x__metadata="null") == {"metadata": {"a": 1}}


def test_json_is_parsed_once() -> None:
    twice = json.dumps(json.dumps({"a": 1}))
    expected = {"metadata": '{"a": 1}', "input": {"value": "5", "mime_type": "application/json"}}
    assert stored(metadata=twice, input__value=5, x__metadata="null") == expected


@pytest.mark.parametrize(("value", "text"), [({"a": 1}, '{"a":1}'), ([1, 2], "[1,2]"), (3, "3")])
def test_an_input_that_is_no_text_becomes_json_text(value: object, text: str) -> None:
    expected = {"input": {"value": text, "mime_type": "application/json"}}
    assert stored(input__value=value) == expected
    assert stored(input__mime_type="text/plain", input__value=value) == expected


def test_an_output_that_is_no_text_stays() -> None:
    assert stored(output__value=[1]) == {"output": {"value": [1]}}


def test_blanks_in_keys_do_not_hide_their_meaning() -> None:
    found = describe_attributes((" openinference.span . kind", "session.id "), ["LLM", "s"])
    assert (found.span_kind, found.session_id) == ("LLM", "s")


def test_plans_are_kept_for_keys_of_bounded_width() -> None:
    assert plan_attributes(("a", "b")) is plan_attributes(("a", "b"))
    wide = tuple(f"{'k' * 100}{number}" for number in range(100))
    assert plan_attributes(wide) is not plan_attributes(wide)


def test_a_plan_knows_the_other_convention() -> None:
    assert AttributesPlan(("a", "gen_ai.system")).has_gen_ai
    assert not AttributesPlan(("a", "gen_ai_system")).has_gen_ai


@given(st.text(max_size=30))
def test_any_text_is_json_or_itself(text: str) -> None:
    value = json_or_text(text)
    assert value == text or json.loads(text) == value


def test_depth_is_required_to_be_bounded() -> None:
    require_bounded_depth({"a": [1]})
    deep: object = 1
    for _ in range(65):
        deep = {"a": deep}
    with pytest.raises(UnusableSpanError, match="nests deeper than 64"):
        require_bounded_depth(deep)
