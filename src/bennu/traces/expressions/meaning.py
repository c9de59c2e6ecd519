"""From the tree of how a filter is built to the tree of what it means: names and types. Pure.

Every value has a type; what does not fit is refused with its place. A comparison with a value
that is missing is neither true nor false, as in SQL, so that neither it nor its negation finds
such a row: missing values are asked for by ``is None``.

Source: contract/data-plane.md section 6.1 (filter.condition).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from bennu.traces.expressions import syntax
from bennu.traces.expressions.references import Names, Variable
from bennu.traces.expressions.syntax import Node, parse
from bennu.traces.expressions.tokens import ExpressionError
from bennu.traces.expressions.tree import (
    Aggregate,
    AllOf,
    AnyOf,
    Cast,
    Compare,
    CompareUnknown,
    Condition,
    Each,
    Exists,
    IsMissing,
    JsonPath,
    Kind,
    Length,
    Literal,
    Minus,
    Not,
    OneOf,
    Row,
    Rows,
    Scope,
    Source,
    Sum,
    Value,
    Within,
)
from bennu.traces.spans.model import time_ns

_LOOPS_DEEP: Final = 2
_MOST_OPTIONS: Final = 1_000
_ORDERINGS: Final = frozenset({"<", "<=", ">", ">="})
_ORDERED: Final = frozenset({Kind.TEXT, Kind.NUMBER, Kind.TIME})
_KIND_OF: Final = {bool: Kind.TRUTH, int: Kind.NUMBER, float: Kind.NUMBER, str: Kind.TEXT}
_TRUE: Final = Literal(Kind.TRUTH, value=True)
_AGGREGATES: Final = frozenset({"sum", "min", "max"})
FUNCTIONS: Final = ("any", "all", "len", "sum", "min", "max", "str", "float", "int")


def condition_of(text: str, of: Scope) -> Condition:
    """Read a filter on rows of one kind.

    Args:
        text: as the client wrote it.
        of: what is filtered.

    Raises:
        ExpressionError: it is wrong in itself, names what is unknown, or mixes types.
    """
    meaning = _Meaning(of)
    value = meaning.truth(parse(text))
    return Condition(of, value, frozenset(meaning.names.scopes))


class _Meaning:
    def __init__(self, of: Scope) -> None:
        self.names = Names(of)
        self._loops = 0
        self._readers: dict[type[Node], Callable[[Any], Value]] = {
            syntax.Constant: _literal,
            syntax.Name: self.names.value,
            syntax.Member: self.names.value,
            syntax.Combination: self._combination,
            syntax.Negation: self._negation,
            syntax.Comparison: self._comparison,
            syntax.Negative: self._negative,
            syntax.Arithmetic: self._arithmetic,
            syntax.Call: self._call,
        }

    def truth(self, node: Node) -> Value:
        """Return a condition; an attribute is one when it is true or false itself."""
        value = self.value(node)
        if value.kind is Kind.JSON:
            return Compare(Kind.TRUTH, "==", value, _TRUE, Kind.TRUTH)
        if value.kind is not Kind.TRUTH:
            raise ExpressionError(f"a {value.kind.value} is no condition", node.position)
        return value

    def number(self, node: Node) -> Value:
        value = self.value(node)
        if value.kind not in {Kind.NUMBER, Kind.JSON}:
            raise ExpressionError(f"a {value.kind.value} is no number", node.position)
        return value

    def value(self, node: Node) -> Value:
        read = self._readers.get(type(node))
        if read is None:
            what = "a list stands only behind 'in' or in a function"
            raise ExpressionError(what, node.position)
        return read(node)

    def _combination(self, node: syntax.Combination) -> Value:
        conditions = tuple(self.truth(part) for part in node.parts)
        combine = AllOf if node.word == "and" else AnyOf
        return combine(Kind.TRUTH, conditions)

    def _negation(self, node: syntax.Negation) -> Value:
        return Not(Kind.TRUTH, self.truth(node.of))

    def _negative(self, node: syntax.Negative) -> Value:
        value = self.number(node.of)
        if isinstance(value, Literal) and isinstance(value.value, int | float):
            return Literal(Kind.NUMBER, -value.value)
        return Minus(Kind.NUMBER, value)

    def _arithmetic(self, node: syntax.Arithmetic) -> Value:
        left, right = self.number(node.left), self.number(node.right)
        return Sum(Kind.NUMBER, node.sign, left, right)

    # --- comparisons ---------------------------------------------------------------------

    def _comparison(self, node: syntax.Comparison) -> Value:
        if node.sign in {"in", "not in"}:
            within = self._membership(node)
            return within if node.sign == "in" else Not(Kind.TRUTH, within)
        for one, other in ((node.left, node.right), (node.right, node.left)):
            if isinstance(other, syntax.Constant) and other.value is None:
                return self._missing(node, one)
        if node.sign in {"is", "is not"}:
            raise ExpressionError("'is' compares with None only, write '=='", node.position)
        return _compare(node, self.value(node.left), self.value(node.right))

    def _missing(self, node: syntax.Comparison, of: Node) -> Value:
        if node.sign in _ORDERINGS:
            raise ExpressionError("None has no order", node.position)
        if isinstance(of, syntax.Constant):
            raise ExpressionError("a constant is never None", of.position)
        missing = IsMissing(Kind.TRUTH, self.value(of))
        return missing if node.sign in {"is", "=="} else Not(Kind.TRUTH, missing)

    def _membership(self, node: syntax.Comparison) -> Value:
        if isinstance(node.right, syntax.Sequence):
            return self._one_of(node, node.right)
        part, whole = self.value(node.left), self.value(node.right)
        if whole.kind not in {Kind.TEXT, Kind.JSON, Kind.ID}:
            raise ExpressionError(f"nothing is in a {whole.kind.value}", node.position)
        if part.kind is whole.kind is Kind.JSON:
            kinds = (Kind.TEXT, Kind.NUMBER)
            either = tuple(Within(Kind.TRUTH, part, whole, kind) for kind in kinds)
            return AnyOf(Kind.TRUTH, either)
        if part.kind in {Kind.TEXT, Kind.JSON, Kind.ID}:
            return Within(Kind.TRUTH, part, whole, Kind.TEXT)
        if part.kind is Kind.NUMBER and whole.kind is Kind.JSON:
            return Within(Kind.TRUTH, part, whole, Kind.NUMBER)
        what = f"a {part.kind.value} is in no {whole.kind.value}"
        raise ExpressionError(what, node.position)

    def _one_of(self, node: syntax.Comparison, options: syntax.Sequence) -> Value:
        if len(options.items) > _MOST_OPTIONS:
            raise ExpressionError(f"more than {_MOST_OPTIONS} options", options.position)
        value = self.value(node.left)
        by_kind: dict[Kind, list[Literal]] = {}
        for item in options.items:
            option = self.value(item)
            if not isinstance(option, Literal):
                raise ExpressionError("an option is no constant", item.position)
            fitting = _fitting(option, value, item.position)
            by_kind.setdefault(fitting.kind, []).append(fitting)
            if value.kind not in {fitting.kind, Kind.JSON}:
                raise _mismatch(value, fitting, item.position)
        groups = tuple(_any_of(value, kind, group) for kind, group in by_kind.items())
        return groups[0] if len(groups) == 1 else AnyOf(Kind.TRUTH, groups)

    # --- functions and loops -------------------------------------------------------------

    def _call(self, node: syntax.Call) -> Value:
        name, argument = node.function, node.argument
        if name not in FUNCTIONS:
            known = ", ".join(FUNCTIONS)
            raise ExpressionError(
                f"unknown function '{name[:40]}', there are {known}", node.position
            )
        if name in {"any", "all"}:
            if not isinstance(argument, syntax.Loop):
                raise ExpressionError(f"write {name}(... for x in list)", argument.position)
            with self._loop(argument) as each:
                return Exists(Kind.TRUTH, each, self.truth(argument.element), name == "all")
        if name in _AGGREGATES:
            return self._aggregate(name, argument)
        if name == "len":
            return self._length(argument)
        return self._cast(name, argument)

    def _aggregate(self, name: str, argument: Node) -> Value:
        if isinstance(argument, syntax.Loop):
            with self._loop(argument) as each:
                return Aggregate(Kind.NUMBER, name, each, self.number(argument.element))
        value = self.value(argument)
        if not isinstance(value, JsonPath):
            raise ExpressionError(f"{name} takes a list or a loop", argument.position)
        self._loops += 1
        each = Each(self._loops, value, None)
        element = JsonPath(Kind.JSON, Row(None, each.number), "", ())
        return Aggregate(Kind.NUMBER, name, each, element)

    def _length(self, argument: Node) -> Value:
        if isinstance(argument, syntax.Loop):
            with self._loop(argument) as each:
                self.value(argument.element)
                return Aggregate(Kind.NUMBER, "count", each, None)
        rows = self.names.rows(argument)
        if rows is not None:
            self._loops += 1
            return Aggregate(Kind.NUMBER, "count", Each(self._loops, rows, None), None)
        value = self.value(argument)
        if value.kind not in {Kind.TEXT, Kind.JSON, Kind.ID}:
            raise ExpressionError(f"a {value.kind.value} has no length", argument.position)
        return Length(Kind.NUMBER, value)

    def _cast(self, name: str, argument: Node) -> Value:
        value = self.value(argument)
        if value.kind is Kind.TIME or (name != "str" and value.kind in {Kind.TRUTH, Kind.ID}):
            raise ExpressionError(f"{name} takes no {value.kind.value}", argument.position)
        if name == "str":
            if value.kind is Kind.TRUTH:
                raise ExpressionError("str takes no condition", argument.position)
            return Cast(Kind.TEXT, value)
        return Cast(Kind.NUMBER, value, is_whole=name == "int")

    @contextmanager
    def _loop(self, node: syntax.Loop) -> Iterator[Each]:
        """Give the loop's variable its meaning for as long as its parts are read."""
        if len(self.names.variables) >= _LOOPS_DEEP:
            raise ExpressionError(f"more than {_LOOPS_DEEP} loops in each other", node.position)
        if node.variable in self.names.variables:
            raise ExpressionError(f"'{node.variable}' has a meaning already", node.position)
        over = self._collection(node.collection)
        self._loops += 1
        number = self._loops
        is_annotation = isinstance(over, Rows) and over.source is Source.ANNOTATIONS
        scope = over.about if isinstance(over, Rows) and not is_annotation else None
        self.names.variables[node.variable] = Variable(Row(scope, number), is_annotation)
        condition = None if node.condition is None else self.truth(node.condition)
        yield Each(number, over, condition)
        del self.names.variables[node.variable]

    def _collection(self, node: Node) -> Rows | JsonPath:
        rows = self.names.rows(node)
        if rows is not None:
            return rows
        value = self.value(node)
        if not isinstance(value, JsonPath):
            raise ExpressionError("no list", node.position)
        return value


def _any_of(value: Value, kind: Kind, options: list[Literal]) -> Value:
    if kind is Kind.TIME:
        # A time that is written with microseconds equals all nanoseconds in it.
        parts = tuple(Compare(Kind.TRUTH, "==", value, one, kind) for one in options)
        return AnyOf(Kind.TRUTH, parts)
    return OneOf(Kind.TRUTH, value, tuple(options), kind)


def _literal(node: syntax.Constant) -> Literal:
    if node.value is None:
        raise ExpressionError("None stands only in a comparison", node.position)
    return Literal(_KIND_OF[type(node.value)], node.value)


def _compare(node: syntax.Comparison, one: Value, other: Value) -> Value:
    left = _fitting(one, other, node.left.position)
    right = _fitting(other, left, node.right.position)
    kinds = {left.kind, right.kind}
    if kinds == {Kind.JSON}:
        return CompareUnknown(Kind.TRUTH, node.sign, left, right)
    read_as = left.kind if right.kind is Kind.JSON else right.kind
    if Kind.ID in kinds and kinds != {Kind.ID}:
        kinds, read_as = (kinds - {Kind.ID}) | {Kind.TEXT}, Kind.TEXT
    if len(kinds - {Kind.JSON}) > 1 or (Kind.JSON in kinds and read_as is Kind.TIME):
        raise _mismatch(left, right, node.position)
    if node.sign in _ORDERINGS and read_as not in _ORDERED:
        raise ExpressionError(f"a {read_as.value} has no order", node.position)
    return Compare(Kind.TRUTH, node.sign, left, right, read_as)


V = TypeVar("V", bound=Value)


def _fitting(value: V, other: Value, position: int) -> V | Literal:
    """Read a written text as the time or the id that it is compared with."""
    if not isinstance(value, Literal) or not isinstance(value.value, str):
        return value
    if other.kind is Kind.ID:
        return Literal(Kind.ID, _id_bytes(value.value))
    if other.kind is Kind.TIME:
        return Literal(Kind.TIME, _time_ns(value.value, position))
    return value


def _id_bytes(text: str) -> bytes:
    """Return an id; what cannot be one equals none."""
    try:
        return bytes.fromhex(text) or b"\0"
    except ValueError:
        return b"\0"


def _time_ns(text: str, position: int) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ExpressionError("no ISO-8601 date and time", position) from None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return time_ns(aware)


def _mismatch(left: Value, right: Value, position: int) -> ExpressionError:
    what = f"a {left.kind.value} is not compared with a {right.kind.value}"
    return ExpressionError(what, position)
