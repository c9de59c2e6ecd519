"""From what a filter means to a condition in SQL, for SQLite and PostgreSQL, every value bound.

Both databases give the same answers: numbers are compared as numbers of any size, texts by their
code points, and a division by zero is missing.

Source: contract/data-plane.md section 6.1 (filter.condition).
"""

from collections.abc import Callable
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnElement,
    and_,
    case,
    exists,
    false,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    true,
    type_coerce,
)

from bennu.storage.schema import spans, trace_sessions, traces
from bennu.traces.expressions import tree
from bennu.traces.expressions.tree import Condition, Kind, Row, Scope, Value
from bennu.traces.expressions.values import Sql, SqlValues
from bennu.traces.spans.model import LATEST_NS

_SIGNS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}
_TURNED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ORDERINGS: Final = frozenset({"<", "<=", ">", ">="})
#: Times are shown in microseconds and stored in nanoseconds.
_SHOWN_NS: Final = 1_000


def sql_of(condition: Condition, dialect: str) -> ColumnElement[bool]:
    """Return a filter as a condition on rows of ``spans``, ``traces`` or ``trace_sessions``.

    Args:
        condition: what the filter means.
        dialect: ``sqlite`` or ``postgresql``.
    """
    made = _SqlConditions(dialect).truth(condition.value)
    inner = condition.scopes - {condition.of}
    if not inner:
        return made
    if condition.of is Scope.TRACE:
        return exists().where(spans.c.trace_row == traces.c.id, made)
    inside = select(traces.c.id).where(traces.c.session_id == trace_sessions.c.id, made)
    if Scope.SPAN in inner:
        inside = inside.join(spans, spans.c.trace_row == traces.c.id)
    return inside.exists()


class _SqlConditions(SqlValues):
    """Reads conditions as SQL."""

    def __init__(self, dialect: str) -> None:
        super().__init__(dialect)
        self._truths: dict[type[Value], Callable[[Any], Sql]] = {
            tree.Literal: lambda value: true() if value.value else false(),
            tree.JsonPath: lambda value: self.place(value).truth(),
            tree.AllOf: lambda value: and_(*map(self.truth, value.parts)),
            tree.AnyOf: lambda value: or_(false(), *map(self.truth, value.parts)),
            tree.Not: lambda value: not_(self.truth(value.of)),
            tree.Exists: self._exists,
            tree.Compare: self._compare,
            tree.CompareUnknown: self._compare_unknown,
            tree.OneOf: self._one_of,
            tree.Within: self._within,
            tree.IsMissing: self._is_missing,
            tree.AnnotationOf: self.has_annotation,
            tree.ParentOf: self._has_parent,
        }

    def truth(self, value: Value) -> Sql:
        """Return a condition."""
        return self._truths[type(value)](value)

    def _exists(self, value: tree.Exists) -> Sql:
        self.enter(value.each)
        condition = self.truth(value.condition)
        if not value.is_for_all:
            return self.elements(value.each, literal(1)).where(condition).exists()
        # What is neither true nor false counts as false, so that all of it must be true.
        fails = not_(func.coalesce(type_coerce(condition, Boolean), false()))
        return not_(self.elements(value.each, literal(1)).where(fails).exists())

    def _has_parent(self, value: tree.ParentOf) -> Sql:
        child, parent = self.row(value.row), spans.alias()
        return (
            select(parent.c.id)
            .where(parent.c.trace_row == child.c.trace_row, parent.c.span_id == child.c.parent_id)
            .correlate_except(parent)
            .exists()
        )

    # --- comparisons ---------------------------------------------------------------------

    def _compare(self, value: tree.Compare) -> Sql:
        if value.read_as is Kind.TIME:
            return self._compare_times(value)
        left, right = self._read(value.left, value.read_as), self._read(value.right, value.read_as)
        if value.read_as is Kind.TEXT and value.sign in _ORDERINGS:
            left = self._by_code_point(left)
        made: Sql = _SIGNS[value.sign](left, right)
        return made

    def _by_code_point(self, text: Sql) -> Sql:
        return text if self._is_sqlite else text.collate("C")

    def _read(self, value: Value, kind: Kind) -> Sql:
        readers: dict[Kind, Callable[[Value], Sql]] = {
            Kind.TEXT: self.text,
            Kind.NUMBER: self.number,
            Kind.TRUTH: self.truth,
            Kind.ID: self.raw_id,
        }
        return readers[kind](value)

    def _compare_times(self, value: tree.Compare) -> Sql:
        sign, left, right = value.sign, value.left, value.right
        if isinstance(left, tree.Literal):
            sign, left, right = _TURNED[sign], right, left
        if not isinstance(left, tree.Field):
            return null()
        time = self.field(left)
        if isinstance(right, tree.Field):
            made: Sql = _SIGNS[sign](time, self.field(right))
            return made
        at = getattr(right, "value", 0)
        after = min(at + _SHOWN_NS, LATEST_NS)
        shown: dict[str, Sql] = {
            "<": time < at,
            "<=": time < after,
            ">": time >= after,
            ">=": time >= at,
            "==": and_(time >= at, time < after),
            "!=": or_(time < at, time >= after),
        }
        return shown[sign]

    def _compare_unknown(self, value: tree.CompareUnknown) -> Sql:
        """Compare two attributes as the type that both have; where they differ, it is missing."""
        kinds = [Kind.TEXT, Kind.NUMBER]
        if value.sign not in _ORDERINGS:
            kinds.append(Kind.TRUTH)
        made = [
            self._compare(tree.Compare(Kind.TRUTH, value.sign, value.left, value.right, kind))
            for kind in kinds
        ]
        return func.coalesce(*(type_coerce(one, Boolean) for one in made))

    def _one_of(self, value: tree.OneOf) -> Sql:
        left = self._read(value.of, value.read_as)
        if value.read_as is Kind.TRUTH:
            return or_(*(left == self.truth(option) for option in value.options))
        return left.in_([self._read(option, value.read_as) for option in value.options])

    def _within(self, value: tree.Within) -> Sql:
        part = self._read(value.part, value.read_as)
        if not isinstance(value.whole, tree.JsonPath):
            return self._stands_in(part, self.text(value.whole))
        place = self.place(value.whole)
        each = tree.Each(-1 - len(self._loops), value.whole, None)
        self.enter(each)
        element = tree.JsonPath(Kind.JSON, Row(None, each.number), "", ())
        is_element = self._read(element, value.read_as) == part
        in_list = self.elements(each, literal(1)).where(is_element).exists()
        if value.read_as is Kind.NUMBER:
            return case((place.is_list(), in_list))
        return type_coerce(
            case((place.is_list(), in_list), else_=self._stands_in(part, place.text())), Boolean
        )

    def _stands_in(self, part: Sql, whole: Sql) -> Sql:
        find = func.instr if self._is_sqlite else func.strpos
        return find(whole, part) > 0

    def _is_missing(self, value: tree.IsMissing) -> Sql:
        of = value.of
        if isinstance(of, tree.JsonPath):
            return self.place(of).is_missing()
        if isinstance(of, tree.ParentOf) or (isinstance(of, tree.AnnotationOf) and not of.field):
            return not_(self.truth(of))
        if isinstance(of, tree.Nothing):
            return true()
        if of.kind is Kind.TIME:
            return false()
        if isinstance(of, tree.Field):
            return self.field(of).is_(None) if of.kind is not Kind.NUMBER else false()
        return self._read(of, of.kind).is_(None)
