"""Filters that are refused, each with the place of the mistake. Contract: section 6.1."""

import pytest

from bennu.kernel.errors import InvalidError
from bennu.traces.expressions.meaning import condition_of
from bennu.traces.expressions.tokens import ExpressionError
from bennu.traces.expressions.tree import Scope

#: Expression and the number of the character at which the mistake begins.
MALFORMED: tuple[tuple[str, int], ...] = (
    # Not built by the grammar
    ("", 1),
    ("   ", 1),
    ("span_kind === 'LLM'", 13),
    ("span_kind = 'LLM'", 11),
    ("span_kind ==", 13),
    ("== 'LLM'", 1),
    ("span_kind == 'LLM", 14),
    ('name == "a', 9),
    ("name == 'a' 'b'", 13),
    ("(name == 'a'", 13),
    ("name == 'a')", 12),
    ("name == 'a' and", 16),
    ("name == 'a' && name == 'b'", 13),
    ("name == 'a'; DROP TABLE spans", 12),
    ("name in ['a', 'b'", 18),
    ("name not 'a'", 10),
    ("name is", 8),
    ("attributes[", 12),
    ("attributes[1.5] == 1", 12),
    ("attributes[name] == 1", 12),
    ("attributes.", 12),
    ("any(x for x in)", 15),
    ("any(x.a == 1 for 5 in events)", 18),
    ("[x for x in events] == 1", 4),
    ("lambda: 1", 1),
    ("name == 'a' if True else False", 13),
    ("name == 'a\\q'", 11),
    ("name == '\\u0000'", 10),
    ("name == '\\ud800'", 10),
    ("latency_ms > 1e999", 14),
    ("latency_ms > 5abc", 15),
    ("latency_ms > ٣", 14),
    ("latency_ms ** 2 > 1", 13),
    ("latency_ms % 2 == 1", 12),
    ("__import__('os').system('x')", 24),
    ("name.__class__ == 1", 5),
    # Unknown names
    ("foo == 1", 1),
    ("name == 'a' and foo.bar == 1", 17),
    ("llm == 1", 1),
    ("attributes == 1", 1),
    ("name['a'] == 1", 5),
    ("annotations == 1", 1),
    ("annotations['a'].nope == 1", 17),
    ("annotations['a'].score.x == 1", 17),
    ("foo(1) == 1", 1),
    ("eval('1') == 1", 1),
    ("any(x.nope == 1 for x in annotations)", 5),
    ("any(y.a == 1 for x in events)", 5),
    ("len(spans) > 1", 5),
    ("any(x.name == 1 for x in name)", 26),
    # Wrong types
    ("latency_ms > 'abc'", 12),
    ("name > 5", 6),
    ("name == 5", 6),
    ("name", 1),
    ("latency_ms and name == 'a'", 1),
    ("not latency_ms", 5),
    ("1", 1),
    ("None", 1),
    ("name + 'a' == 'b'", 1),
    ("-name == 1", 2),
    ("start_time > 5", 12),
    ("start_time > 'yesterday'", 14),
    ("start_time == metadata['a']", 12),
    ("span_id < 'aa'", 9),
    ("name in [1]", 10),
    ("name in [name]", 10),
    ("name in 5", 6),
    ("latency_ms in name", 12),
    ("True < False", 6),
    ("None is None", 1),
    ("name < None", 6),
    ("name is 'a'", 6),
    ("len(latency_ms) > 1", 5),
    ("float(start_time) > 1", 7),
    ("sum(name) > 1", 5),
    ("any(name == 'a')", 10),
    ("any(any(any(z == 1 for z in y.a) for y in x.a) for x in events)", 20),
    ("any(any(x.a == 1 for x in x.a) for x in events)", 18),
    # Too deep, too long
    ("(" * 25 + "True" + ")" * 25, 25),
    ("not " * 30 + "True", 101),
    ("-" * 40 + "1 == 1", 26),
    ("attributes" + "['a']" * 20 + " == 1", 96),
    (" or ".join(["name == 'a'"] * 202), 3006),
    ("latency_ms" + " + 1" * 20 + " > 1", 72),
    ("attributes['a\"b'] == 1", 11),
    ("attributes['a\\\\b'] == 1", 11),
    ("attributes['.'] == 1", 11),
    ("attributes['a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q'] == 1", 1),
    ("name == 'a'" + " " * 10_000, 10_001),
    ("name in [" + "'a'," * 1_000 + "]", 4011),
)


@pytest.mark.asvs("1.3.2")
@pytest.mark.parametrize(
    ("written", "character"), MALFORMED, ids=[written[:30] for written, _ in MALFORMED]
)
def test_what_is_refused_tells_the_place(written: str, character: int) -> None:
    with pytest.raises(ExpressionError) as refused:
        condition_of(written, Scope.SPAN)
    assert isinstance(refused.value, InvalidError)
    assert refused.value.public.endswith(f" at character {character}"), refused.value.public
    assert refused.value.public.startswith("Invalid query: ")


@pytest.mark.parametrize(
    ("written", "of"),
    [
        ("span_count > 1", Scope.SPAN),
        ("session_id == 's'", Scope.SPAN),
        ("any(s.name == 'a' for s in spans)", Scope.SPAN),
        ("trace_count > 1", Scope.TRACE),
        ("len(traces) > 1", Scope.TRACE),
        ("nope == 1", Scope.SESSION),
    ],
)
def test_names_belong_to_what_is_filtered(written: str, of: Scope) -> None:
    with pytest.raises(ExpressionError):
        condition_of(written, of)


def test_the_rows_that_a_filter_looks_at_are_known() -> None:
    assert condition_of("latency_ms > 1", Scope.TRACE).scopes == {Scope.TRACE}
    both = condition_of("latency_ms > 1 and name == 'a'", Scope.TRACE)
    assert both.scopes == {Scope.TRACE, Scope.SPAN}
    assert condition_of("True", Scope.SESSION).scopes == frozenset()
    looped = condition_of("any(s.name == 'a' for s in spans)", Scope.SESSION)
    assert looped.scopes == {Scope.SESSION}
