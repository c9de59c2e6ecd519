"""Filters and the rows that they find, on both databases. Contract: section 6.1."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, select
from sqlalchemy.dialects import postgresql, sqlite

from bennu.storage.schema import metadata, spans, trace_sessions, traces
from bennu.traces.expressions.meaning import FUNCTIONS, condition_of
from bennu.traces.expressions.sql import sql_of
from bennu.traces.expressions.tokens import ExpressionError
from bennu.traces.expressions.tree import Scope
from traces.expressions.conftest import Find

ALL = [1, 2, 3, 4, 5, 6]
#: Expression and the spans that it finds.
OF_SPANS: tuple[tuple[str, list[int]], ...] = (
    # Fields
    ("span_kind == 'LLM'", [2, 5]),
    ("span_kind != 'LLM'", [1, 3, 4, 6]),
    ("span_kind in ['LLM', 'TOOL']", [2, 4, 5]),
    ("span_kind not in ('LLM', 'TOOL',)", [1, 3, 6]),
    ("span_kind in []", []),
    ("name == 'llm' and status_code == 'UNSET'", [5]),
    ("name == 'root' or name == 'orphan'", [1, 6]),
    ("not (name == 'root' or name == 'orphan')", [2, 3, 4, 5]),
    ('name == "tool\'s \\"own\\""', [4]),
    ("name < 'm'", [2, 5]),
    ("'o' in name", [1, 4, 6]),
    ("'O' in name", []),
    ("'50%' in status_message", [4]),
    ("'_' in status_message", []),
    ("'' in name", ALL),
    ("len(name) == 3", [2, 5]),
    # Ids, parents
    ("span_id == '0000000000000002'", [2]),
    ("context.span_id in ['0000000000000002', '0000000000000005', 'nonsense']", [2, 5]),
    ("span_id == 'nonsense'", []),
    ("trace_id == '00000000000000000000000000000002'", [5, 6]),
    ("parent_id is None", [1, 5]),
    ("str(parent_id) is None", [1, 5]),
    ("parent_id in span_id", []),
    ("'ab' not in parent_id", [2, 3, 4, 6]),
    ("len(parent_id) == 0", []),
    ("len(parent_id) == 16", [2, 3, 4, 6]),
    ("parent_id == None", [1, 5]),
    ("parent_id is not None", [2, 3, 4, 6]),
    ("parent_span is None", [1, 5, 6]),
    ("parent_span is not None", [2, 3, 4]),
    ("'00000000000007' in parent_id", []),
    ("'000000000000004d' == str(parent_id)", [6]),
    # Numbers and times
    ("latency_ms > 1000", [1]),
    ("1 <= latency_ms < 2", [2]),
    ("latency_ms / 1000 == 8", [1]),
    ("-latency_ms + 2 * 3 - 1 < 0", [1, 3, 4, 5, 6]),
    ("latency_ms / 0 is None", ALL),
    ("latency_ms / 0 == 1 or not latency_ms / 0 == 1", []),
    ("cumulative_llm_token_count_prompt == 10", [1, 2]),
    ("cumulative_token_count.total > 14", [1, 2, 5]),
    ("start_time >= '1970-01-01T00:00:05Z'", [5, 6]),
    ("start_time == '1970-01-01T00:00:05'", [5]),
    ("'1970-01-01T00:00:02+00:00' > start_time", [1]),
    ("end_time <= '1970-01-01T00:00:02.001500Z'", [2]),
    ("start_time != '1970-01-01T00:00:05'", [1, 2, 3, 4, 6]),
    ("start_time < end_time", ALL),
    ("start_time in ['1970-01-01T00:00:05', '1970-01-01T00:00:01Z', '9999-12-31']", [1, 5]),
    ("start_time not in ['1970-01-01T00:00:05']", [1, 2, 3, 4, 6]),
    ("end_time in ['1970-01-01T00:00:02.001500Z']", [2]),
    ("start_time in []", []),
    ("start_time <= '9999-12-31'", ALL),
    ("start_time < '9999-12-31'", ALL),
    ("start_time == '9999-12-31'", []),
    ("start_time != '9999-12-31'", ALL),
    ("start_time > '9999-12-31' or start_time >= '9999-12-31'", []),
    ("start_time > '0001-01-01'", ALL),
    ("start_time <= '0001-01-01' or start_time == '0001-01-01'", []),
    ("total_cost is None", ALL),
    ("total_cost > 0", []),
    # Attributes
    ("llm.model_name == 'gpt-4o'", [2]),
    ("llm.model_name != 'gpt-4o'", [5]),
    ("not llm.model_name == 'gpt-4o'", [5]),
    ("llm.model_name is None", [1, 3, 4, 6]),
    ("llm.model_name is not None", [2, 5]),
    ("attributes['llm']['model_name'] == 'gpt-4o'", [2]),
    ("attributes['llm.model_name'] in ['gpt-4o', 'claude', 5]", [2, 5]),
    ("llm.model_name == attributes['llm.other_name']", [2]),
    ("llm.token_count.prompt > 5", [2, 5]),
    ("llm.token_count.prompt + llm.token_count.completion == llm.token_count.total", [2]),
    ("llm.token_count.prompt * 2 >= 200", [5]),
    ("metadata['tier'] == 'gold'", [1]),
    ("metadata['tier'] == 5", [5]),
    ("metadata['tier'] != 'gold'", [2]),
    ("metadata['year'] > 2023", [1, 2]),
    ("metadata['year'] == 2024.0", [1]),
    ("metadata['is_new']", [1]),
    ("metadata['is_new'] == True and not metadata['is_new'] == False", [1]),
    ("not attributes['flag']", [4]),
    ("attributes['big'] == 4611686018427387904", [5]),
    ("attributes['umlaut'] == 'Gr\\u00fc\\u00dfe' and 'üß' in attributes['umlaut']", [5]),
    ("attributes['a'] == 1 and attributes['a.b'] == 'beside'", [4]),
    ("attributes['empty'] == ''", [6]),
    ("'bird' in input.value", [1]),
    ("'bird' not in input.value", []),
    ("'b' in tag.tags", [1]),
    ("'c' not in tag.tags", [1]),
    ("2.5 in embedding.vector", [3]),
    ("embedding.vector[0] in embedding.vector", [3]),
    ("embedding.vector[0] not in embedding.vector and len(embedding.vector) > 0", []),
    ("tag.tags[0] in tag.tags", [1]),
    ("metadata['year'] in embedding.vector", []),
    ("metadata['tier'] in tag.tags", []),
    ("float(output.value) == 5 and int(output.value) + 1 == 6", [1]),
    ("float(input.value) is None and input.value is not None", [1]),
    ("str(llm.token_count.prompt) == '10' and str(metadata['year']) == '2023.5'", [2]),
    ("retrieval.documents[0].document.content == 'doc A'", [3]),
    ("attributes['retrieval.documents.-1.document.content'] is not None", []),
    ("attributes['retrieval.documents.4294967296.document.content'] is not None", []),
    ("attributes['tag.tags.1'] == 'b' and attributes['tag.tags.-1'] is None", [1]),
    ("llm.input_messages[1].message.role == 'system'", [2]),
    # Lists
    ("len(retrieval.documents) == 2", [3]),
    ("len(attributes['none']['list']) == 0", [6]),
    ("any(d.document.score > 0.5 for d in retrieval.documents)", [3]),
    ("all(d.document.score > 0.5 for d in retrieval.documents)", [1, 2, 4, 5, 6]),
    (
        "all(d.document.score > 0.1 for d in retrieval.documents) and len(retrieval.documents) > 0",
        [3],
    ),
    ("any(t == 'a' for t in tag.tags)", [1]),
    ("any(m['message.role'] == 'user' for m in llm.input_messages)", [2]),
    ("max(embedding.vector) == 2.5 and min(embedding.vector) == -3", [3]),
    ("sum(embedding.vector) == 0.5", [3]),
    ("sum(d.document.score for d in retrieval.documents if 'A' in d.document.content) == 0.9", [3]),
    ("max(d.document.score for d in retrieval.documents) > latency_ms", []),
    ("len([m for m in llm.input_messages if m.message.role == 'user']) == 1", [2]),
    # Events
    ("len(events) == 2", [4]),
    ("events[0].name == 'exception'", [4]),
    (
        "any(e.name == 'exception' and e.attributes['exception.type'] > 'V' for e in events)",
        [4],
    ),
    ("sum(e.attributes.n for e in events) == 6", [4]),
    # Annotations
    ("annotations['good'].score > 0.5", [1]),
    ("evals['good'].label == 'no'", [2]),
    ("annotations['good'].label != 'yes'", [2]),
    ("annotations['good'].label is None", [3, 4, 5, 6]),
    ("annotations['good'] is not None", [1, 2]),
    ("annotations['good']", [1, 2]),
    ("annotations['good'].identifier == 'i'", [2]),
    (
        "'look' in span_annotations['note'].explanation and annotations['note']",
        [5],
    ),
    ("trace_annotations['tq'].score == 0.5", [1, 2, 3, 4]),
    ("session_annotations['sq'].label == 'bad'", [5, 6]),
    ("any(a.score == 1 and a.name == 'good' for a in annotations)", [2]),
    ("len(annotations) == 2", [2]),
    ("max(a.score for a in evals if a.annotator_kind == 'LLM') == 1", [2]),
    ("annotations['it\\'s; DROP TABLE spans'].score is None", ALL),
    ("True", ALL),
    ("False", []),
)
OF_TRACES: tuple[tuple[str, list[int]], ...] = (
    ("trace_id == '00000000000000000000000000000001'", [1]),
    ("latency_ms >= 8000", [1]),
    ("start_time > '1970-01-01T00:00:04Z'", [2]),
    ("span_count == 4 and error_count == 1", [1]),
    ("token_count_total > 100", [2]),
    ("token_count_prompt + token_count_completion == token_count_total", [1, 2]),
    ("span_kind == 'TOOL'", [1]),
    ("span_kind == 'LLM' and status_code == 'UNSET'", [2]),
    ("span_kind == 'TOOL' and name == 'llm'", []),
    ("any(s.span_kind == 'TOOL' for s in spans) and any(s.name == 'llm' for s in spans)", [1]),
    ("all(s.status_code != 'ERROR' for s in spans)", [2]),
    ("len(spans) == 2", [2]),
    ("sum(s.latency_ms for s in spans) > 9000", [1]),
    ("any(s.llm.model_name == 'claude' for s in spans)", [2]),
    ("any(s.parent_span is None and s.parent_id is not None for s in spans)", [2]),
    ("any(any(e.name == 'exception' for e in s.events) for s in spans)", [1]),
    ("metadata['tier'] == 'gold'", [1]),
    ("annotations['tq'].score == 0.5", [1]),
    ("trace_annotations['tq'] is None", [2]),
    ("span_annotations['good'].label == 'no'", [1]),
    ("session_annotations['sq'].label == 'bad'", [2]),
    ("any(s.annotations['good'].score < 0.5 for s in spans)", [1]),
)
OF_SESSIONS: tuple[tuple[str, list[int]], ...] = (
    ("session_id == 's-2'", [2]),
    ("session_id in ['s-1', 's-3']", [1]),
    ("trace_count == 1 and span_count == 4", [1]),
    ("token_count_total > 100", [2]),
    ("error_count > 0", [1]),
    ("latency_ms > 3000", [1]),
    ("trace_id == '00000000000000000000000000000002'", [2]),
    ("trace_annotations['tq'].score > 0", [1]),
    ("annotations['sq'].label == 'bad'", [2]),
    ("user.id == 'u-1'", [1]),
    ("any(t.error_count > 0 for t in traces)", [1]),
    ("any(s.span_kind == 'TOOL' for s in spans)", [1]),
    ("any(any(s.name == 'orphan' for s in t.spans) for t in traces)", [2]),
    ("len(traces) == 1 and len(spans) == 2", [2]),
)


async def test_answers(find: Find) -> None:
    wrong = []
    for scope, cases in (
        (Scope.SPAN, OF_SPANS),
        (Scope.TRACE, OF_TRACES),
        (Scope.SESSION, OF_SESSIONS),
    ):
        for expression, expected in cases:
            found = await find(expression, scope)
            if found != expected:
                wrong.append((expression, expected, found))
    assert not wrong, "\n".join(map(str, wrong))


# --- whatever is written -------------------------------------------------------------------

#: Stands in every generated text; it may reach the database as a bound value only.
MARK = "zq'; DROP TABLE spans; --"
WORDS = [
    "span_kind",
    "name",
    "status_message",
    "latency_ms",
    "start_time",
    "end_time",
    "span_id",
    "trace_id",
    "parent_id",
    "parent_span",
    "total_cost",
    "span_count",
    "session_id",
    "attributes['a']",
    "attributes['a.b']['c']",
    "metadata['tier']",
    "llm.model_name",
    "llm.token_count.prompt",
    "input.value",
    "tag.tags",
    "events",
    "retrieval.documents",
    "annotations['good']",
    "annotations['good'].score",
    "evals['x'].label",
    "x",
    "x.name",
    "x.score",
    "x.attributes['n']",
    "y",
    "spans",
    "traces",
    "annotations",
    "1",
    "2.5",
    "1e30",
    "-3",
    "'text'",
    "'5'",
    "'1970-01-01'",
    "None",
    "True",
    "False",
    "and",
    "or",
    "not",
    "in",
    "is",
    "+",
    "-",
    "*",
    "/",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    "for",
    "if",
]
CALLS = tuple(f"{name}(" for name in FUNCTIONS)
LOOPS = (
    "any(x.name == 'a' for x in events)",
    "all(x > 1 for x in tag.tags)",
    "sum(x.score for x in annotations)",
    "len(spans)",
    "max(y.latency_ms for y in spans if y.name in ['llm'])",
)


def valid(random: Random, depth: int = 0) -> str:
    """Return a filter that is built right, whatever it means."""
    kind = random.randrange(8 if depth < 4 else 4)
    value = lambda: random.choice([w for w in WORDS if w[0] not in "()[],.+-*/=<>!" or w == "-3"])  # noqa: E731
    if kind <= 2:
        sign = random.choice(["==", "!=", "<", ">=", "in", "not in"])
        return f"{value()} {sign} {value()}"
    if kind == 3:
        return random.choice([*LOOPS, f"{value()} is None", f"{value()} is not None"])
    if kind == 4:
        return f"not ({valid(random, depth + 1)})"
    if kind == 5:
        operation = random.choice("+-*/")
        return f"({value()} {operation} {value()}) {random.choice(['<', '=='])} {value()}"
    if kind == 6:
        return f"{random.choice(['str', 'float', 'int', 'len'])}({value()}) == {value()}"
    word = random.choice(["and", "or"])
    return f"({valid(random, depth + 1)}) {word} ({valid(random, depth + 1)})"


async def test_whatever_is_built_right_runs_or_is_refused(find: Find) -> None:
    """Types that do not fit are refused; everything else the databases can answer."""
    random = Random(5)
    ran = 0
    for number in range(900):
        scope = list(Scope)[number % 3]
        try:
            await find(valid(random), scope)
        except ExpressionError:
            continue
        ran += 1
    assert ran > 100


@given(st.lists(st.sampled_from((*WORDS, *CALLS, *LOOPS)), max_size=25), st.sampled_from(Scope))
def test_words_in_any_order(words: list[str], scope: Scope) -> None:
    run(" ".join(words), scope)


@given(st.text(max_size=60), st.sampled_from(Scope))
def test_any_text(written: str, scope: Scope) -> None:
    run(written, scope)
    run(f"name == '{written}'", scope)
    run(f"attributes['{written}'] == 1", scope)


@pytest.mark.asvs("1.2.4")
@given(st.sampled_from(WORDS), st.sampled_from(("==", "!=", "<", "in")))
def test_texts_are_never_sql(word: str, sign: str) -> None:
    for written in (
        f"{word} {sign} {MARK!r}",
        f"attributes[{MARK!r}] {sign} {MARK!r}",
        f"annotations[{MARK!r}].label {sign} {MARK!r}",
        f"any(d.a {sign} {MARK!r} for d in retrieval.documents)",
        f"{MARK!r} in [{MARK!r}, {word}]",
    ):
        run(written, Scope.SPAN)


TABLES = {Scope.SPAN: spans, Scope.TRACE: traces, Scope.SESSION: trace_sessions}
ENGINE = create_engine("sqlite://")
metadata.create_all(ENGINE)


def run(written: str, scope: Scope) -> None:
    """Run a filter on an empty database, unless it is refused; look at its SQL for both."""
    try:
        condition = condition_of(written, scope)
    except ExpressionError:
        return
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        made = select(TABLES[scope].c.id).where(sql_of(condition, dialect.name))
        assert "DROP" not in str(made.compile(dialect=dialect))
    with ENGINE.connect() as connection:
        made = select(TABLES[scope].c.id).where(sql_of(condition, "sqlite"))
        assert connection.execute(made).all() == []
