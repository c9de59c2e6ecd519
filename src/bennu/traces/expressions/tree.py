"""What a filter means: a tree of typed values, of rows and of lists, ready to become SQL. Pure.

Source: contract/data-plane.md section 6.1 (filter.condition).
"""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """The type of a value; JSON is one whose type only the data knows."""

    TEXT = "text"
    NUMBER = "number"
    TRUTH = "true or false"
    TIME = "time"
    ID = "id"
    JSON = "attribute"


class Scope(Enum):
    """A row that a filter looks at."""

    SPAN = "span"
    TRACE = "trace"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Row:
    """Which row a value is read from: one of a scope, or the variable of a loop.

    Args:
        scope: what kind of row, or None for an annotation.
        loop: number of the loop whose variable it is, or None for the row that is filtered.
    """

    scope: Scope | None
    loop: int | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """Anything with a type."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class Literal(Value):
    """A constant; times are nanoseconds since 1970 UTC, ids are bytes."""

    value: str | int | float | bool | bytes


@dataclass(frozen=True, slots=True)
class Nothing(Value):
    """A value that is always missing."""


@dataclass(frozen=True, slots=True)
class Field(Value):
    """A field of a row."""

    row: Row
    name: str


@dataclass(frozen=True, slots=True)
class JsonPath(Value):
    """A place in a JSON document.

    Args:
        row: whose document it is; of a loop over a JSON list, the element itself.
        document: column, such as ``attributes``; "" for the element of a loop.
        segments: the way to it; empty for the document itself.
    """

    row: Row
    document: str
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnnotationOf(Value):
    """A field of the newest annotation of a name; without a field, whether there is one."""

    row: Row
    about: Scope
    name: str
    field: str


@dataclass(frozen=True, slots=True)
class ParentOf(Value):
    """Whether the parent of a span is there."""

    row: Row


@dataclass(frozen=True, slots=True)
class Sum(Value):
    """Arithmetic of two numbers."""

    sign: str
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class Minus(Value):
    """The number with its sign changed."""

    of: Value


@dataclass(frozen=True, slots=True)
class Cast(Value):
    """A value turned into text or number, by ``str``, ``float`` or ``int``."""

    of: Value
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Length(Value):
    """How long a text or a JSON list is."""

    of: Value


class Source(Enum):
    """What rows a loop goes over, where it is no JSON list."""

    ANNOTATIONS = "annotations"
    SPANS = "spans"
    TRACES = "traces"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that belong to another row: annotations of it, or spans and traces in it."""

    source: Source
    of: Row
    about: Scope


@dataclass(frozen=True, slots=True)
class Each:
    """A loop: its number, what it goes over, and which elements count."""

    number: int
    over: Rows | JsonPath
    condition: Value | None


@dataclass(frozen=True, slots=True)
class Exists(Value):
    """Whether the condition holds for any, or for all, elements of a loop."""

    each: Each
    condition: Value
    is_for_all: bool


@dataclass(frozen=True, slots=True)
class Aggregate(Value):
    """``count``, ``sum``, ``min`` or ``max`` of a value over a loop."""

    function: str
    each: Each
    of: Value | None


@dataclass(frozen=True, slots=True)
class Compare(Value):
    """Two values of one kind, which both are read as."""

    sign: str
    left: Value
    right: Value
    read_as: Kind


@dataclass(frozen=True, slots=True)
class CompareUnknown(Value):
    """Two attributes, equal or ordered as whatever both turn out to be."""

    sign: str
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class OneOf(Value):
    """Whether a value is one of some constants, all of one kind."""

    of: Value
    options: tuple[Literal, ...]
    read_as: Kind


@dataclass(frozen=True, slots=True)
class Within(Value):
    """Whether a text stands in another, or a value in a JSON list."""

    part: Value
    whole: Value
    read_as: Kind


@dataclass(frozen=True, slots=True)
class IsMissing(Value):
    """Whether a value is missing."""

    of: Value


@dataclass(frozen=True, slots=True)
class Not(Value):
    """The opposite; of what is neither true nor false, neither."""

    of: Value


@dataclass(frozen=True, slots=True)
class AllOf(Value):
    """All conditions hold."""

    parts: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class AnyOf(Value):
    """One of the conditions holds."""

    parts: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """A whole filter.

    Args:
        of: kind of the rows that are filtered.
        value: of kind TRUTH.
        scopes: of which rows, apart from loops, values are read; where these are rows inside
            the filtered one, one of them must meet the condition.
    """

    of: Scope
    value: Value
    scopes: frozenset[Scope]
