"""What an annotation of a name may say: one of some labels, a number, or a free text. Pure.

Source: data-plane contract, section 9 (annotation configs).
"""

from math import isfinite
from typing import Annotated, Any, Final, Literal

import msgspec

from bennu.kernel.errors import ConflictError, InvalidError
from bennu.kernel.ids import parse_global_id

NOTE: Final = "note"
#: Names stand in a unique index; PostgreSQL takes no index entry above 2,704 bytes.
_NAME_LIMIT_BYTES: Final = 1_000
_MOST_VALUES: Final = 1_000

Name = Annotated[str, msgspec.Meta(min_length=1)]
Direction = Literal["MINIMIZE", "MAXIMIZE", "NONE"]


class CategoricalValue(msgspec.Struct):
    """One label, with the score that it stands for."""

    label: str
    score: float | None = None


class CategoricalGiven(msgspec.Struct, tag_field="type", tag="CATEGORICAL"):
    """One of some labels."""

    name: Name
    optimization_direction: Direction
    values: list[CategoricalValue]
    description: str | None = None


class ContinuousGiven(msgspec.Struct, tag_field="type", tag="CONTINUOUS"):
    """A number."""

    name: Name
    optimization_direction: Direction
    description: str | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None


class FreeformGiven(msgspec.Struct, tag_field="type", tag="FREEFORM"):
    """A free text, perhaps with a score."""

    name: Name
    description: str | None = None
    optimization_direction: Direction | None = None
    threshold: float | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None


ConfigGiven = CategoricalGiven | ContinuousGiven | FreeformGiven

#: Type of a config to the kind of its public id.
GLOBAL_KINDS: Final = {
    "CATEGORICAL": "CategoricalAnnotationConfig",
    "CONTINUOUS": "ContinuousAnnotationConfig",
    "FREEFORM": "FreeformAnnotationConfig",
}


class StoredConfig(msgspec.Struct, frozen=True):
    """A config as it comes out of the database.

    Args:
        row_id: its row; the public id is made from it and from the type.
        name: unique.
        type: one of the keys of ``GLOBAL_KINDS``.
        config: everything else, by field.
    """

    row_id: int
    name: str
    type: str
    config: dict[str, Any]


def type_of(given: ConfigGiven) -> str:
    """Return the type of a config as it was sent."""
    if isinstance(given, CategoricalGiven):
        return "CATEGORICAL"
    return "CONTINUOUS" if isinstance(given, ContinuousGiven) else "FREEFORM"


def fields_of(given: ConfigGiven) -> dict[str, Any]:
    """Return everything but name and type, ready for JSON."""
    fields: dict[str, Any] = msgspec.to_builtins(given)
    return {name: value for name, value in fields.items() if name not in {"name", "type"}}


def row_of_config(identifier: str) -> int | None:
    """Return the row that a public id of any of the three types names."""
    parsed = parse_global_id(identifier)
    return parsed[1] if parsed is not None and parsed[0] in GLOBAL_KINDS.values() else None


def check_config(given: ConfigGiven) -> None:
    """Refuse a config that makes no sense.

    Raises:
        ConflictError: the name is the one of notes.
        InvalidError: says which field and what is allowed.
    """
    if given.name == NOTE:
        raise ConflictError(f"The name '{NOTE}' is reserved for notes")
    if not given.name.strip():
        raise InvalidError("name must not be blank")
    if len(given.name.encode()) > _NAME_LIMIT_BYTES:
        raise InvalidError(f"name must not be longer than {_NAME_LIMIT_BYTES} bytes")
    if isinstance(given, CategoricalGiven):
        _check_values(given.values)
    else:
        _check_bounds(given)


def _check_values(values: list[CategoricalValue]) -> None:
    if not 0 < len(values) <= _MOST_VALUES:
        raise InvalidError(f"values must hold between 1 and {_MOST_VALUES} labels")
    labels = [value.label for value in values]
    if any(not label.strip() for label in labels):
        raise InvalidError("a label in values must not be blank")
    if len(set(labels)) != len(labels):
        raise InvalidError("each label in values must stand there once")
    if any(value.score is not None and not isfinite(value.score) for value in values):
        raise InvalidError("a score in values must be a finite number")


def _check_bounds(given: ContinuousGiven | FreeformGiven) -> None:
    threshold = given.threshold if isinstance(given, FreeformGiven) else None
    for number in (given.lower_bound, given.upper_bound, threshold):
        if number is not None and not isfinite(number):
            raise InvalidError("bounds and threshold must be finite numbers")
    if (
        given.lower_bound is not None
        and given.upper_bound is not None
        and given.lower_bound >= given.upper_bound
    ):
        raise InvalidError("lower_bound must be below upper_bound")
