"""A place in a JSON document, as SQL of both databases: what stands there, read as one type.

What is not of that type is missing (NULL). A dotted key can lie in a document in several ways
(see ``spans/attributes.py``); the first that is there counts.

Source: SQLite, JSON functions; PostgreSQL, JSON functions and operators.
"""

from typing import Any, Final, Protocol

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    FromClause,
    Numeric,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    not_,
    or_,
    true,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB

from bennu.traces.spans.attribute_query import (
    holds_bytes,
    paths_to,
    postgres_document,
    postgres_node,
    sqlite_paths,
)

_JSON_CODEC: Final = 0
_NUMBERS: Final = ("integer", "real")


class JsonPlace(Protocol):
    """What stands at one place of a JSON document."""

    def text(self) -> ColumnElement[Any]:
        """Return the text."""

    def number(self) -> ColumnElement[Any]:
        """Return the number."""

    def truth(self) -> ColumnElement[Any]:
        """Return true or false."""

    def length(self) -> ColumnElement[Any]:
        """Return how long the list or the text is."""

    def is_list(self) -> ColumnElement[bool]:
        """Return whether a list stands there."""

    def is_missing(self) -> ColumnElement[bool]:
        """Return whether nothing stands there, or JSON's null."""

    def elements(self, name: str) -> FromClause:
        """Return the elements of the list as rows; none where there is no list."""


def place_in_payload(
    table: FromClause, document: str, segments: tuple[str, ...], dialect: str
) -> JsonPlace:
    """Return a place in a payload column of a span.

    Args:
        table: of spans, or an alias of it.
        document: the column.
        segments: the way; empty for the whole document.
        dialect: ``sqlite`` or ``postgresql``.
    """
    payload = table.c[document]
    # What can be there at all is asked first: to parse a document costs far more.
    guards = [table.c.codec == _JSON_CODEC]
    if segments and not segments[-1].isdecimal():
        guards.append(holds_bytes(payload, f'{segments[-1]}":'.encode(), dialect))
    guard = and_(*guards)
    if dialect == "sqlite":
        return SqlitePlace(cast(payload, Text), segments, guard)
    return PostgresPlace(postgres_document(payload), segments, guard)


def place_in_element(row: FromClause, segments: tuple[str, ...], dialect: str) -> JsonPlace:
    """Return a place in an element of a list, as ``JsonPlace.elements`` gave it."""
    if dialect != "sqlite":
        return PostgresPlace(row.c.value, segments, true())
    if not segments:
        return SqliteElement(row)
    document = case((row.c.type.in_(("object", "array")), row.c.value))
    return SqlitePlace(cast(document, Text), segments, true())


def _sqlite_rows(array: ColumnElement[Any], name: str) -> FromClause:
    return func.json_each(func.coalesce(array, "[]")).table_valued("value", "type", name=name)


class SqlitePlace:
    """A place in a document that is a text."""

    def __init__(
        self, document: ColumnElement[Any], segments: tuple[str, ...], guard: ColumnElement[bool]
    ) -> None:
        ways = paths_to(segments) if segments else ((),)
        self._paths = [path for way in ways for path in sqlite_paths(way)]
        self._document, self._guard = document, guard

    def _kind(self, path: str) -> ColumnElement[Any]:
        return func.json_type(self._document, path)

    def _first(self, kinds: tuple[str, ...]) -> ColumnElement[Any]:
        """Return what stands at the first path that has one of these types."""
        found = case(
            *(
                (self._kind(path).in_(kinds), func.json_extract(self._document, path))
                for path in self._paths
            )
        )
        return case((self._guard, found))

    def text(self) -> ColumnElement[Any]:
        """Return the text that stands there."""
        return type_coerce(self._first(("text",)), Text)

    def number(self) -> ColumnElement[Any]:
        """Return the number that stands there."""
        return self._first(_NUMBERS)

    def truth(self) -> ColumnElement[Any]:
        """Return the true or false that stands there."""
        return type_coerce(self._first(("true", "false")), Boolean)

    def length(self) -> ColumnElement[Any]:
        """Return the length of what stands there."""
        found = case(
            *(
                (self._kind(path) == "array", func.json_array_length(self._document, path))
                for path in self._paths
            ),
            else_=func.length(self._first(("text",))),
        )
        return case((self._guard, found))

    def is_list(self) -> ColumnElement[bool]:
        """Return whether a list stands there."""
        return and_(self._guard, or_(*(self._kind(path) == "array" for path in self._paths)))

    def is_missing(self) -> ColumnElement[bool]:
        """Return whether nothing stands there."""
        kinds = (func.coalesce(self._kind(path), "null") for path in self._paths)
        return or_(not_(self._guard), and_(*(kind == "null" for kind in kinds)))

    def elements(self, name: str) -> FromClause:
        """Return the elements of the list."""
        return _sqlite_rows(self._first(("array",)), name)


class SqliteElement:
    """An element of a list, which stands in columns of its own."""

    def __init__(self, row: FromClause) -> None:
        self._value, self._type = row.c.value, row.c.type

    def _of(self, kinds: tuple[str, ...]) -> ColumnElement[Any]:
        return case((self._type.in_(kinds), self._value))

    def text(self) -> ColumnElement[Any]:
        """Return the text that stands there."""
        return type_coerce(self._of(("text",)), Text)

    def number(self) -> ColumnElement[Any]:
        """Return the number that stands there."""
        return self._of(_NUMBERS)

    def truth(self) -> ColumnElement[Any]:
        """Return the true or false that stands there."""
        return type_coerce(self._of(("true", "false")), Boolean)

    def length(self) -> ColumnElement[Any]:
        """Return the length of what stands there."""
        return case(
            (self._type == "array", func.json_array_length(self._of(("array",)))),
            (self._type == "text", func.length(self._value)),
        )

    def is_list(self) -> ColumnElement[bool]:
        """Return whether a list stands there."""
        return self._type == "array"

    def is_missing(self) -> ColumnElement[bool]:
        """Return whether nothing stands there."""
        return self._type == "null"

    def elements(self, name: str) -> FromClause:
        """Return the elements of the list."""
        return _sqlite_rows(self._of(("array",)), name)


class PostgresPlace:
    """A place in a document of type jsonb."""

    def __init__(
        self, document: ColumnElement[Any], segments: tuple[str, ...], guard: ColumnElement[bool]
    ) -> None:
        ways = tuple(paths_to(segments)) if segments else ((),)
        found = [postgres_node(document, way) for way in ways]
        self._node = case((guard, func.coalesce(*found) if len(found) > 1 else found[0]))
        self._kind = func.jsonb_typeof(self._node)

    def _written(self) -> ColumnElement[Any]:
        return self._node.op("#>>")(cast([], ARRAY(Text)))

    def text(self) -> ColumnElement[Any]:
        """Return the text that stands there."""
        return type_coerce(case((self._kind == "string", self._written())), Text)

    def number(self) -> ColumnElement[Any]:
        """Return the number that stands there."""
        return case((self._kind == "number", cast(self._written(), Numeric)))

    def truth(self) -> ColumnElement[Any]:
        """Return the true or false that stands there."""
        return case((self._kind == "boolean", cast(self._written(), Boolean)))

    def length(self) -> ColumnElement[Any]:
        """Return the length of what stands there."""
        return case(
            (self._kind == "array", func.jsonb_array_length(self._node)),
            (self._kind == "string", func.char_length(self._written())),
        )

    def is_list(self) -> ColumnElement[bool]:
        """Return whether a list stands there."""
        return func.coalesce(self._kind == "array", False)

    def is_missing(self) -> ColumnElement[bool]:
        """Return whether nothing stands there."""
        return func.coalesce(self._kind, "null") == "null"

    def elements(self, name: str) -> FromClause:
        """Return the elements of the list."""
        array = case((self._kind == "array", self._node), else_=cast(literal("[]", Text), JSONB))
        return func.jsonb_array_elements(array).table_valued("value", name=name)
