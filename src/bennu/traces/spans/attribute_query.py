"""The condition that an attribute has a value, as SQL over the stored JSON.

Keys and values are bound. A dotted key can lie in the JSON in several ways (see
``attributes.py``): nested, through a list, or with its first or last parts as one literal key; any
of them counts.

Source: SQLite, JSON functions; PostgreSQL, JSON functions and operators.
"""

from collections.abc import Iterator

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
)
from sqlalchemy.dialects.postgresql import JSONB

from bennu.storage.schema import spans
from bennu.traces.spans.filters import AttributeMatch

_JSON_CODEC = 0
#: An escaped NUL, which PostgreSQL refuses in JSON; an even number of backslashes stands before.
_ESCAPED_NUL = r"(?<!\\)((?:\\\\)*)\\u0000"


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
    if not isinstance(match.value, str):
        return holds
    # Cheap, and false for most: a text that is somewhere in the JSON stands there as written.
    written = literal(msgspec.json.encode(match.value), LargeBinary)
    if dialect == "sqlite":
        return and_(func.instr(spans.c.attributes, written) > 0, holds)
    return and_(func.position(written.op("IN")(spans.c.attributes)) > 0, holds)


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
        for path in dict.fromkeys((_sqlite_path(segments, False), _sqlite_path(segments, True))):
            kind = func.json_type(document, path)
            value = func.json_extract(document, path)
            if isinstance(match.value, bool):
                conditions.append(kind == ("true" if match.value else "false"))
            elif isinstance(match.value, str):
                conditions.append(and_(kind == "text", value == match.value))
            else:
                conditions.append(and_(kind.in_(("integer", "real")), value == match.value))
    return or_(*conditions)


def _sqlite_path(segments: tuple[str, ...], with_lists: bool) -> str:  # noqa: FBT001 - two forms
    """Write a JSON path; numbers are positions of a list, or else keys of an object."""
    parts = (
        f"[{segment}]"
        if with_lists and place > 0 and segment.isascii() and segment.isdecimal()
        else f'."{segment}"'
        for place, segment in enumerate(segments)
    )
    return "$" + "".join(parts)


def _in_postgres(match: AttributeMatch) -> ColumnElement[bool]:
    text = func.convert_from(spans.c.attributes, "UTF8")
    clean = case(
        (func.strpos(text, "\\u0000") > 0, func.regexp_replace(text, _ESCAPED_NUL, r"\1", "g")),
        else_=text,
    )
    document = cast(clean, JSONB)
    value = cast(literal(msgspec.json.encode(match.value).decode(), Text), JSONB)
    return or_(
        *(
            document.op("#>")(cast(list(segments), ARRAY(Text))) == value
            for segments in paths_to(match.segments)
        )
    )
