"""The condition that an attribute has a value, as SQL over the stored JSON.

Keys and values are bound. A dotted key can lie in the JSON in several ways (see
``attributes.py``): nested, through a list, or with its first or last parts as one literal key; any
of them counts.

Source: SQLite, JSON functions; PostgreSQL, JSON functions and operators.
"""

import re
from collections.abc import Iterator
from itertools import groupby, product
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    LargeBinary,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    or_,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from bennu.storage.schema import spans
from bennu.traces.spans.attributes import is_position
from bennu.traces.spans.filters import AttributeMatch

_JSON_CODEC: Final = 0
#: From here on floating point numbers may be written with an exponent.
_EXPONENT_FROM: Final = 10**15
#: Each of them doubles the paths that SQLite tries.
_MOST_FREE_NUMBERS: Final = 3
#: What PostgreSQL would take for a position in a list although it is none: -1 for the last.
_SIGNED: Final = re.compile(r"[-+]\d+")
#: An escaped NUL, which PostgreSQL refuses in JSON; an even number of backslashes stands before.
_ESCAPED_NUL: Final = r"(?<!\\)((?:\\\\)*)\\u0000"


def has_attribute(match: AttributeMatch, dialect: str) -> ColumnElement[bool]:
    """Return the condition for one attribute.

    Args:
        match: key and value.
        dialect: ``sqlite`` or ``postgresql``.
    """
    if isinstance(match.value, str) and "\x00" in match.value and dialect != "sqlite":
        return false()
    found = _in_sqlite(match) if dialect == "sqlite" else _in_postgres(match)
    holds = case((spans.c.codec == _JSON_CODEC, found), else_=false())
    return and_(may_hold(match, dialect), holds)


def may_hold(match: AttributeMatch, dialect: str) -> ColumnElement[bool]:
    """Return a cheap condition that is false for most spans without the value, never for others.

    A value stands in the JSON as our encoder writes it, behind the end of its key. A whole number
    may be stored as 5 or as 5.0; both begin alike.
    """
    value, last = match.value, match.segments[-1]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and abs(value) >= _EXPONENT_FROM:
        return true()
    written = msgspec.json.encode(value)
    before = [f'{last}":'.encode()]
    if last.isdecimal():
        before += [b"[", b","]  # perhaps not a key but the place in a list
    return or_(*(holds_bytes(spans.c.attributes, start + written, dialect) for start in before))


def holds_bytes(payload: ColumnElement[bytes], content: bytes, dialect: str) -> ColumnElement[bool]:
    """Return the condition that these bytes stand somewhere in a payload."""
    part = literal(content, LargeBinary)
    if dialect == "sqlite":
        return func.instr(payload, part) > 0
    return func.position(part.op("IN")(payload)) > 0


def paths_to(segments: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """List the ways in which a dotted key can lie in nested JSON, each once."""
    yield segments
    for cut in range(len(segments) - 1):
        yield (*segments[:cut], ".".join(segments[cut:]))
        if cut > 0:
            yield (".".join(segments[: cut + 1]), *segments[cut + 1 :])


def _in_sqlite(match: AttributeMatch) -> ColumnElement[bool]:
    document = cast(spans.c.attributes, Text)
    conditions = []
    for segments in paths_to(match.segments):
        for path in sqlite_paths(segments):
            kind = func.json_type(document, path)
            value = func.json_extract(document, path)
            if isinstance(match.value, bool):
                conditions.append(kind == ("true" if match.value else "false"))
            elif isinstance(match.value, str):
                conditions.append(and_(kind == "text", value == match.value))
            else:
                conditions.append(and_(kind.in_(("integer", "real")), value == match.value))
    return or_(*conditions)


def sqlite_paths(segments: tuple[str, ...]) -> tuple[str, ...]:
    """Write a way as JSON paths; each number is a key of an object, or else a position of a list.

    Of many numbers only the last three are both; those before them are as the first of the three.
    """
    numbers = [place for place, segment in enumerate(segments) if is_position(segment)]
    free = numbers[-_MOST_FREE_NUMBERS:]
    paths = []
    for forms in product((False, True), repeat=len(free)):
        positions = {place for place, is_one in zip(free, forms, strict=True) if is_one}
        if forms and forms[0]:
            positions.update(numbers[: -len(free)])
        paths.append(_sqlite_path(segments, positions))
    return tuple(paths)


def _sqlite_path(segments: tuple[str, ...], positions: set[int]) -> str:
    parts = (
        f"[{segment}]" if place in positions else f'."{segment}"'
        for place, segment in enumerate(segments)
    )
    return "$" + "".join(parts)


def _in_postgres(match: AttributeMatch) -> ColumnElement[bool]:
    document = postgres_document(spans.c.attributes)
    value = cast(literal(msgspec.json.encode(match.value).decode(), Text), JSONB)
    return or_(
        *(postgres_node(document, segments) == value for segments in paths_to(match.segments))
    )


def postgres_node(document: ColumnElement[Any], segments: tuple[str, ...]) -> ColumnElement[Any]:
    """Return what stands at a way; a number is a key of an object, or a position of a list."""
    node = document
    for is_key, some in groupby(segments, lambda segment: bool(_SIGNED.fullmatch(segment))):
        if not is_key:
            node = node.op("#>")(cast(list(some), ARRAY(Text)))
            continue
        for segment in some:
            # Unlike the operator above this one looks into objects alone.
            node = node.op("->")(cast(segment, Text))
    return node


def postgres_document(payload: ColumnElement[bytes]) -> ColumnElement[Any]:
    """Return a payload as JSON of PostgreSQL, without the character NUL, which it cannot hold."""
    text = func.convert_from(payload, "UTF8")
    clean = case(
        (func.strpos(text, "\\u0000") > 0, func.regexp_replace(text, _ESCAPED_NUL, r"\1", "g")),
        else_=text,
    )
    return cast(clean, JSONB)
