"""The statements over many rows that writing and deleting spans need, one text for both databases.

``given`` stands for the rows handed over; see ``bulk.py``. Spec: none. Decision 4.
"""

from typing import Final

from bennu.storage.bulk import BulkStatement

KNOWN_SPANS: Final = BulkStatement(
    "WITH given(project_id, span_id) AS ({given}) "
    "SELECT spans.project_id, spans.span_id FROM given JOIN spans "
    "ON spans.span_id = given.span_id AND spans.project_id = given.project_id",
    ("bigint", "bytea"),
)
TRACES_WITH_SESSION: Final = BulkStatement(
    "WITH given(project_id, trace_id) AS ({given}) "
    "SELECT traces.project_id, traces.trace_id FROM given JOIN traces "
    "ON traces.trace_id = given.trace_id AND traces.project_id = given.project_id "
    "WHERE traces.session_id IS NOT NULL",
    ("bigint", "bytea"),
)
SESSIONS_MADE: Final = BulkStatement(
    "WITH given(project_id, session_id, start_ns, end_ns) AS ({given}) "
    "INSERT INTO trace_sessions (project_id, session_id, start_ns, end_ns) "
    "SELECT project_id, session_id, start_ns, end_ns FROM given WHERE true "
    # An update without effect, because only a touched row is returned.
    "ON CONFLICT (session_id, project_id) DO UPDATE SET session_id = excluded.session_id "
    "RETURNING project_id, session_id, id",
    ("bigint", "text", "bigint", "bigint"),
)
SESSIONS_WIDENED: Final = BulkStatement(
    "WITH given(id, start_ns, end_ns) AS ({given}) "
    "UPDATE trace_sessions SET "
    "start_ns = CASE WHEN given.start_ns < trace_sessions.start_ns "
    "THEN given.start_ns ELSE trace_sessions.start_ns END, "
    "end_ns = CASE WHEN given.end_ns > trace_sessions.end_ns "
    "THEN given.end_ns ELSE trace_sessions.end_ns END "
    "FROM given WHERE trace_sessions.id = given.id",
    ("bigint", "bigint", "bigint"),
)
TRACES_MADE: Final = BulkStatement(
    "WITH given(project_id, trace_id, session_id, start_ns, end_ns, span_count, error_count, "
    "prompt_tokens, completion_tokens) AS ({given}) "
    "INSERT INTO traces (project_id, trace_id, session_id, start_ns, end_ns, span_count, "
    "error_count, prompt_tokens, completion_tokens) "
    "SELECT project_id, trace_id, session_id, start_ns, end_ns, span_count, error_count, "
    "prompt_tokens, completion_tokens FROM given WHERE true "
    "ON CONFLICT (trace_id, project_id) DO UPDATE SET "
    "session_id = coalesce(traces.session_id, excluded.session_id), "
    "start_ns = CASE WHEN excluded.start_ns < traces.start_ns "
    "THEN excluded.start_ns ELSE traces.start_ns END, "
    "end_ns = CASE WHEN excluded.end_ns > traces.end_ns "
    "THEN excluded.end_ns ELSE traces.end_ns END, "
    "span_count = traces.span_count + excluded.span_count, "
    "error_count = traces.error_count + excluded.error_count, "
    "prompt_tokens = traces.prompt_tokens + excluded.prompt_tokens, "
    "completion_tokens = traces.completion_tokens + excluded.completion_tokens "
    "RETURNING project_id, trace_id, id, session_id, start_ns, end_ns, span_count",
    (
        "bigint",
        "bytea",
        "bigint",
        "bigint",
        "bigint",
        "integer",
        "integer",
        "bigint",
        "bigint",
    ),
)
WAITING_CHILDREN: Final = BulkStatement(
    "WITH given(trace_row, span_id) AS ({given}) "
    "SELECT spans.trace_row, spans.parent_id, sum(spans.cumulative_error_count), "
    "sum(spans.cumulative_prompt_tokens), sum(spans.cumulative_completion_tokens) "
    "FROM given JOIN spans ON spans.trace_row = given.trace_row "
    "AND spans.parent_id = given.span_id GROUP BY spans.trace_row, spans.parent_id",
    ("bigint", "bytea"),
)
#: UNION, not UNION ALL: a ring of parents, which only a broken sender makes, ends here.
ANCESTORS: Final = BulkStatement(
    "WITH RECURSIVE given(trace_row, project_id, span_id) AS ({given}), "
    "up(id, trace_row, project_id, span_id, parent_id) AS ("
    "SELECT spans.id, spans.trace_row, spans.project_id, spans.span_id, spans.parent_id "
    "FROM given JOIN spans ON spans.span_id = given.span_id "
    "AND spans.project_id = given.project_id AND spans.trace_row = given.trace_row "
    "UNION SELECT spans.id, spans.trace_row, spans.project_id, spans.span_id, spans.parent_id "
    "FROM up JOIN spans ON spans.span_id = up.parent_id "
    "AND spans.project_id = up.project_id AND spans.trace_row = up.trace_row) "
    "SELECT id, trace_row, span_id, parent_id FROM up",
    ("bigint", "bigint", "bytea"),
)
ANCESTORS_CHANGED: Final = BulkStatement(
    "WITH given(id, errors, prompt_tokens, completion_tokens) AS ({given}) "
    "UPDATE spans SET "
    "cumulative_error_count = spans.cumulative_error_count + given.errors, "
    "cumulative_prompt_tokens = spans.cumulative_prompt_tokens + given.prompt_tokens, "
    "cumulative_completion_tokens = "
    "spans.cumulative_completion_tokens + given.completion_tokens "
    "FROM given WHERE spans.id = given.id",
    ("bigint", "integer", "bigint", "bigint"),
)
