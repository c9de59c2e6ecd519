"""The values of a filter as SQL, read as one type: fields, attributes, sums, casts, loops.

Source: contract/data-plane.md section 6.1 (filter.condition).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from operator import add, mul, sub
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Float,
    FromClause,
    Integer,
    LargeBinary,
    Numeric,
    Select,
    Text,
    case,
    cast,
    func,
    literal,
    null,
    select,
    type_coerce,
)

from bennu.storage.schema import (
    session_annotations,
    span_annotations,
    spans,
    trace_annotations,
    trace_sessions,
    traces,
)
from bennu.traces.expressions import tree
from bennu.traces.expressions.json_places import JsonPlace, place_in_element, place_in_payload
from bennu.traces.expressions.tree import Kind, Row, Rows, Scope, Source, Value

Sql = ColumnElement[Any]

_ARITHMETIC: Final[dict[str, Callable[[Any, Any], Any]]] = {"+": add, "-": sub, "*": mul}
_ANNOTATIONS: Final = {
    Scope.SPAN: (span_annotations, "span_row"),
    Scope.TRACE: (trace_annotations, "trace_row"),
    Scope.SESSION: (session_annotations, "session_row"),
}
_TABLES: Final[dict[Scope, FromClause]] = {
    Scope.SPAN: spans,
    Scope.TRACE: traces,
    Scope.SESSION: trace_sessions,
}
_COLUMNS: Final = {
    "cumulative_llm_token_count_prompt": "cumulative_prompt_tokens",
    "cumulative_llm_token_count_completion": "cumulative_completion_tokens",
    "token_count_prompt": "prompt_tokens",
    "token_count_completion": "completion_tokens",
    "start_time": "start_ns",
    "end_time": "end_ns",
}
_TOTALS: Final = {
    "cumulative_llm_token_count_total": (
        "cumulative_llm_token_count_prompt",
        "cumulative_llm_token_count_completion",
    ),
    "token_count_total": ("token_count_prompt", "token_count_completion"),
}
#: As JSON writes a number, and short enough for every database.
_NUMBER_IN_TEXT: Final = r"^\s*-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,99})?([eE][-+]?[0-9]{1,2})?\s*$"


class SqlValues(ABC):
    """Reads values as SQL; ``dialect`` is ``sqlite`` or ``postgresql``."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._is_sqlite = dialect == "sqlite"
        self._loops: dict[int, FromClause] = {}
        self._numbers: dict[type[Value], Callable[[Any], Sql]] = {
            tree.Literal: lambda value: self._number_literal(value.value),
            tree.Field: self._number_field,
            tree.JsonPath: lambda value: self.place(value).number(),
            tree.AnnotationOf: lambda value: self._exact(self.annotation(value)),
            tree.Sum: self._sum,
            tree.Minus: lambda value: -self.number(value.of),
            tree.Cast: self._cast_to_number,
            tree.Length: self._length,
            tree.Aggregate: self._aggregate,
        }
        self._texts: dict[type[Value], Callable[[Any], Sql]] = {
            tree.Literal: _text_literal,
            tree.Field: self._text_field,
            tree.JsonPath: lambda value: self.place(value).text(),
            tree.AnnotationOf: self.annotation,
            tree.Cast: self._cast_to_text,
        }

    @abstractmethod
    def truth(self, value: Value) -> Sql:
        """Return a condition."""

    def number(self, value: Value) -> Sql:
        """Return a number; what is none is missing."""
        read = self._numbers.get(type(value))
        return cast(null(), Numeric) if read is None else read(value)

    def text(self, value: Value) -> Sql:
        """Return a text; what is none is missing. Ids are in hexadecimal digits."""
        read = self._texts.get(type(value))
        return cast(null(), Text) if read is None else read(value)

    def raw_id(self, value: Value) -> Sql:
        """Return an id as bytes."""
        if isinstance(value, tree.Field):
            return self.field(value)
        return literal(getattr(value, "value", None), LargeBinary)

    # --- rows and fields -----------------------------------------------------------------

    def row(self, row: Row) -> FromClause:
        """Return the table, or the alias of a loop, that a row comes from."""
        return self._loops[row.loop] if row.loop is not None else _TABLES[row.scope or Scope.SPAN]

    def field(self, field: tree.Field) -> Sql:
        """Return the column of a field."""
        row = self.row(field.row)
        if field.name == "trace_id" and field.row.scope is Scope.SPAN:
            own = traces.alias()
            of_span = select(own.c.trace_id).where(own.c.id == row.c.trace_row)
            return _inside(of_span, own).scalar_subquery()
        return row.c[_COLUMNS.get(field.name, field.name)]

    def place(self, path: tree.JsonPath) -> JsonPlace:
        """Return a place in a JSON document."""
        row = self.row(path.row)
        if not path.document:
            return place_in_element(row, path.segments, self._dialect)
        return place_in_payload(row, path.document, path.segments, self._dialect)

    def _text_field(self, field: tree.Field) -> Sql:
        column = self.field(field)
        if field.kind is not Kind.ID:
            return column
        if not self._is_sqlite:
            return type_coerce(func.encode(column, "hex"), Text)
        # SQLite's hex gives an empty text for an id that is missing; no id is empty.
        return type_coerce(func.nullif(func.lower(func.hex(column)), ""), Text)

    def _number_field(self, field: tree.Field) -> Sql:
        if field.name in _TOTALS:
            one, other = (tree.Field(field.kind, field.row, n) for n in _TOTALS[field.name])
            return self._number_field(one) + self._number_field(other)
        row = self.row(field.row)
        if field.name == "latency_ms":
            nanoseconds = self._exact(row.c.end_ns) - self._exact(row.c.start_ns)
            return nanoseconds / self._number_literal(1e6)
        if field.row.scope is Scope.SESSION:
            return self._session_sum(row, field.name)
        return self._exact(self.field(field))

    def _session_sum(self, session: FromClause, name: str) -> Sql:
        inner = traces.alias()
        counted: Sql = func.count()
        if name != "trace_count":
            counted = func.coalesce(func.sum(inner.c[_COLUMNS.get(name, name)]), 0)
        of_session = select(counted).where(inner.c.session_id == session.c.id)
        return self._exact(_inside(of_session, inner).scalar_subquery())

    def annotations_of(self, row: Row, about: Scope, table: FromClause) -> ColumnElement[bool]:
        """Return the condition that an annotation is about what the row is, or is in."""
        _, target = _ANNOTATIONS[about]
        outer, column = self.row(row), table.c[target]
        if row.scope is about:
            return column == outer.c.id
        if row.scope is Scope.TRACE:
            return column == outer.c.session_id
        if about is Scope.TRACE:
            return column == outer.c.trace_row
        own = traces.alias()
        of_span = select(own.c.session_id).where(own.c.id == outer.c.trace_row)
        return column == _inside(of_span, own).scalar_subquery()

    def annotation(self, value: tree.AnnotationOf) -> Sql:
        """Return a field of the newest annotation of a name."""
        table = _ANNOTATIONS[value.about][0].alias()
        newest = (
            select(table.c[value.field])
            .where(self.annotations_of(value.row, value.about, table), table.c.name == value.name)
            .order_by(table.c.updated_at.desc(), table.c.id.desc())
            .limit(1)
        )
        return _inside(newest, table).scalar_subquery()

    def has_annotation(self, value: tree.AnnotationOf) -> Sql:
        """Return whether there is an annotation of a name."""
        table = _ANNOTATIONS[value.about][0].alias()
        about = self.annotations_of(value.row, value.about, table)
        return _inside(select(table.c.id).where(about, table.c.name == value.name), table).exists()

    # --- numbers -------------------------------------------------------------------------

    def _number_literal(self, value: float) -> Sql:
        if self._is_sqlite:
            return literal(value)
        # As text: the driver would otherwise decide the type, and with it the size, of a number.
        return cast(literal(repr(value), Text), Numeric)

    def _exact(self, column: Sql) -> Sql:
        """Return a number that arithmetic cannot overflow."""
        return column if self._is_sqlite else cast(column, Numeric)

    def _sum(self, value: tree.Sum) -> Sql:
        left, right = self.number(value.left), self.number(value.right)
        if value.sign != "/":
            made: Sql = _ARITHMETIC[value.sign](type_coerce(left, Numeric), right)
            return made
        divisor = func.nullif(right, 0)
        if self._is_sqlite:
            return cast(left, Float).op("/")(divisor)
        return left.op("/")(divisor)

    def _length(self, value: tree.Length) -> Sql:
        if isinstance(value.of, tree.JsonPath):
            return self.place(value.of).length()
        length = func.length if self._is_sqlite else func.char_length
        return length(self.text(value.of))

    def _cast_to_number(self, value: tree.Cast) -> Sql:
        if isinstance(value.of, tree.JsonPath):
            number: Sql = func.coalesce(self.number(value.of), self._parsed(self.text(value.of)))
        elif value.of.kind is Kind.NUMBER:
            number = self.number(value.of)
        else:
            number = self._parsed(self.text(value.of))
        if not value.is_whole:
            return number
        return cast(number, Integer) if self._is_sqlite else func.trunc(number)

    def _parsed(self, text: Sql) -> Sql:
        """Return the number that a text writes."""
        if not self._is_sqlite:
            is_number = text.op("~")(_NUMBER_IN_TEXT)
            return case((is_number, cast(func.btrim(text, " \t\n\r"), Numeric)))
        # Nested, because a text that is no JSON must not reach the inner functions.
        is_number = func.json_type(text).in_(("integer", "real"))
        number = case((is_number, func.json_extract(text, "$")))
        return case((func.json_valid(text) == 1, number))

    def _cast_to_text(self, value: tree.Cast) -> Sql:
        if isinstance(value.of, tree.JsonPath):
            written = self._written(self.number(value.of))
            return type_coerce(func.coalesce(self.text(value.of), written), Text)
        if value.of.kind is Kind.NUMBER:
            return self._written(self.number(value.of))
        return self.text(value.of)

    def _written(self, number: Sql) -> Sql:
        """Write a number, a whole one without a fraction."""
        if not self._is_sqlite:
            return cast(func.trim_scale(cast(number, Numeric)), Text)
        whole = cast(number, Integer)
        is_whole = type_coerce(number, Float) == type_coerce(whole, Float)
        return case((is_whole, cast(whole, Text)), else_=cast(number, Text))

    # --- loops ---------------------------------------------------------------------------

    def elements(self, each: tree.Each, *shown: Any) -> Select[Any]:  # noqa: ANN401 - SQL of any type
        """Return a query over the elements of a loop; ``enter`` must have been called."""
        table = self._loops[each.number]
        query = select(*shown).select_from(table)
        if isinstance(each.over, Rows):
            query = query.where(self._belongs(each.over, table))
        if each.condition is not None:
            query = query.where(self.truth(each.condition))
        return _inside(query, table)

    def enter(self, each: tree.Each) -> None:
        """Give the elements of a loop a name of their own."""
        name = f"each_{each.number}"
        over = each.over
        if isinstance(over, tree.JsonPath):
            self._loops[each.number] = self.place(over).elements(name)
        elif over.source is Source.ANNOTATIONS:
            self._loops[each.number] = _ANNOTATIONS[over.about][0].alias(name)
        else:
            self._loops[each.number] = _TABLES[over.about].alias(name)

    def _belongs(self, over: Rows, table: FromClause) -> ColumnElement[bool]:
        outer = self.row(over.of)
        if over.source is Source.ANNOTATIONS:
            return self.annotations_of(over.of, over.about, table)
        if over.source is Source.TRACES:
            return table.c.session_id == outer.c.id
        if over.of.scope is Scope.TRACE:
            return table.c.trace_row == outer.c.id
        own = traces.alias()
        in_session = select(own.c.id).where(own.c.session_id == outer.c.id)
        return table.c.trace_row.in_(_inside(in_session, own))

    def _aggregate(self, value: tree.Aggregate) -> Sql:
        self.enter(value.each)
        if value.of is None:
            return self.elements(value.each, func.count()).scalar_subquery()
        number = self.number(value.of)
        if self._is_sqlite:
            number = cast(number, Float)
        found: Sql = getattr(func, value.function)(number)
        if value.function == "sum":
            found = func.coalesce(found, 0)
        return self.elements(value.each, found).scalar_subquery()


def _inside(query: Select[Any], own: FromClause) -> Select[Any]:
    """Return a query whose only table is ``own``; all others are those of the query around it."""
    return query.correlate_except(own)


def _text_literal(value: tree.Literal) -> Sql:
    written = value.value
    return literal(written.hex() if isinstance(written, bytes) else written, Text)
