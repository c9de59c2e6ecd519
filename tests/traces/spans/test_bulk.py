"""The rows of spans go in together, or not at all. Decision 5."""

import pytest
from sqlalchemy.exc import IntegrityError

from bennu.storage.bulk import run_with_rows
from bennu.storage.database import Connection, Database
from bennu.traces.projects.store import project_rows_made
from bennu.traces.spans.bulk import SPAN_COLUMNS, SpanTakenError, add_span_rows
from bennu.traces.spans.statements import TRACES_MADE


def span_row(connection: Connection, number: int) -> tuple[object, ...]:
    project = project_rows_made(connection, ["p"], 1)["p"]
    given = [(project, b"t" * 16, None, 1, 2, 1, 0, 0, 0)]
    trace_row = run_with_rows(connection, TRACES_MADE, given)[0][2]
    values = {
        **dict.fromkeys(SPAN_COLUMNS, 0),
        **dict.fromkeys(("name", "span_kind", "status_code", "status_message", "sender"), ""),
        **dict.fromkeys(("attributes", "events"), b"{}"),
        "trace_row": trace_row,
        "project_id": project,
        "span_id": number.to_bytes(8, "big"),
        "parent_id": None,
        "key_id": None,
    }
    return tuple(values[column] for column in SPAN_COLUMNS)


async def test_a_taken_span_leaves_the_transaction_usable(database: Database) -> None:
    def work(connection: Connection) -> None:
        row = span_row(connection, 1)
        add_span_rows(connection, [row])
        savepoint = connection.begin_nested()
        with pytest.raises(SpanTakenError):
            add_span_rows(connection, [span_row(connection, 2), row])
        savepoint.rollback()
        add_span_rows(connection, [span_row(connection, 3)])

    await database.write(work)


@pytest.mark.parametrize(("column", "value"), [("name", None), ("attributes", None)])
async def test_other_violations_are_not_taken_for_duplicates(
    database: Database, column: str, value: object
) -> None:
    def work(connection: Connection) -> None:
        row = list(span_row(connection, 1))
        row[SPAN_COLUMNS.index(column)] = value
        add_span_rows(connection, [tuple(row)])

    with pytest.raises(IntegrityError):
        await database.write(work)
