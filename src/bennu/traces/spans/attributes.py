"""Attributes between their two forms: dotted keys as sent, nested objects as stored.

Rules of nesting: a key is split on dots; blanks around segments and empty segments do not count;
of equal keys the last wins. A node whose children are all numbers *with something below them* is
a list, ordered by number (``docs.0.c``); any other node is an object (``tags.0`` gives the key
``"0"``). Where a key has a value and others continue it, both stay: the longer ones become
literal keys beside it (``a`` and ``"a.b"``). Values are never looked into.

The same keys in the same order come again and again, so the way to write their JSON is kept as a
plan: pieces of JSON with gaps for the values.

Source: contract/data-plane.md section 3 (unflatten, kvlist then dotted, flatten for REST).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

import msgspec

from bennu.traces.spans.model import DEPTH_LIMIT, UnusableSpanError

#: Longer runs of digits are names, not positions.
_INDEX_DIGITS: Final = 9

encode_value: Final = msgspec.json.Encoder().encode


def key_segments(key: str) -> list[str]:
    """Split a dotted key into its segments, without blanks around them and without empty ones."""
    return [stripped for part in key.split(".") if (stripped := part.strip())]


class _Node:
    """A place in the tree of keys: perhaps a value, perhaps children."""

    __slots__ = ("children", "has_value", "value")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.has_value = False
        self.value: object = None


def unflatten(items: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Nest dotted keys; a value of None is skipped.

    Raises:
        UnusableSpanError: a key has more than 64 segments.
    """
    root = _Node()
    for key, value in items:
        segments = key_segments(key)
        if value is None or not segments:
            continue
        if len(segments) > DEPTH_LIMIT:
            raise UnusableSpanError(f"an attribute key has more than {DEPTH_LIMIT} segments")
        node = root
        for segment in segments[:-1]:
            node = _child(node, _without_leading_zeros(segment))
        node = _child(node, segments[-1])
        node.value, node.has_value = value, True
    nested: dict[str, object] = {}
    _fill(nested, "", root)
    return nested


def _child(node: _Node, segment: str) -> _Node:
    child = node.children.get(segment)
    if child is None:
        child = node.children[segment] = _Node()
    return child


def is_position(segment: str) -> bool:
    """Return whether a segment of a key can be a position in a list."""
    return len(segment) <= _INDEX_DIGITS and segment.isascii() and segment.isdigit()


def _without_leading_zeros(segment: str) -> str:
    """Write a position as a plain number; ``segment`` is followed by others."""
    return str(int(segment)) if segment[0] == "0" and is_position(segment) else segment


def _shape(node: _Node) -> object:
    """Return the list or the object that stands for a node without a value of its own."""
    if all(is_position(key) and not child.has_value for key, child in node.children.items()):
        ordered = sorted(node.children.items(), key=lambda item: int(item[0]))
        return [_shape(child) for _, child in ordered]
    nested: dict[str, object] = {}
    _fill(nested, "", node)
    return nested


def _fill(nested: dict[str, object], prefix: str, node: _Node) -> None:
    for segment, child in node.children.items():
        key = prefix + segment
        if child.has_value:
            nested[key] = child.value
            _fill(nested, key + ".", child)
        else:
            nested[key] = _shape(child)


def flatten(attributes: Mapping[str, object]) -> dict[str, object]:
    """Write nested attributes with dotted keys, as the REST interface shows them.

    Lists of objects are spread out by position (``docs.0.c``); lists of anything else, empty
    lists and empty objects stay values.
    """
    flat: dict[str, object] = {}
    for key, value in attributes.items():
        _spread(flat, key, value)
    return flat


def _spread(flat: dict[str, object], key: str, value: object) -> None:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            _spread(flat, f"{key}.{name}", inner)
    elif isinstance(value, list) and _holds_objects(value):
        for position, inner in enumerate(value):
            _spread(flat, f"{key}.{position}", inner)
    else:
        flat[key] = value


def _holds_objects(values: list[object]) -> bool:
    """Tell whether a list holds nothing but filled objects, or lists of such, all the way."""
    return bool(values) and all(
        (isinstance(value, dict) and value) or (isinstance(value, list) and _holds_objects(value))
        for value in values
    )


def nest(attributes: Mapping[str, object]) -> dict[str, object]:
    """Nest attributes that may be dotted, nested, or a mixture of both.

    Raises:
        UnusableSpanError: a way to a value has more than 64 segments.
    """
    return unflatten(flatten(attributes).items())


def is_nested_deeper(value: object, limit: int = DEPTH_LIMIT) -> bool:
    """Tell whether lists and objects nest deeper than ``limit``, without recursion."""
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


class NestingPlan:
    """How to write the JSON of nested attributes whose dotted keys are known.

    Args:
        keys: the dotted keys, in the order in which values will come.

    Raises:
        UnusableSpanError: a key has more than 64 segments.
    """

    __slots__ = ("_order", "_pieces")

    def __init__(self, keys: Sequence[str]) -> None:
        nested = unflatten((key, _Gap(position)) for position, key in enumerate(keys))
        pieces: list[bytes] = []
        order: list[int] = []
        literal = bytearray()
        for part in _written(nested):
            if isinstance(part, _Gap):
                pieces += (bytes(literal), b"")
                literal.clear()
                order.append(part.position)
            else:
                literal += part
        pieces.append(bytes(literal))
        self._pieces = pieces
        self._order = order

    def to_json(self, values: Sequence[object]) -> bytes:
        """Return the nested attributes as JSON.

        Args:
            values: one per key, in the order of the keys; none of them None.
        """
        pieces = self._pieces.copy()
        pieces[1::2] = [encode_value(values[position]) for position in self._order]
        return b"".join(pieces)


class _Gap:
    """Stands in the nested form where the value of one key will come."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        self.position = position


def _written(shape: object) -> Iterable["bytes | _Gap"]:
    """Write a nested form of gaps as JSON, piece by piece."""
    if isinstance(shape, _Gap):
        yield shape
    elif isinstance(shape, dict):
        opening = b"{"
        for key, value in shape.items():
            yield opening + encode_value(key) + b":"
            yield from _written(value)
            opening = b","
        yield b"}" if shape else b"{}"
    else:
        opening = b"["
        for value in cast("list[object]", shape):
            yield opening
            yield from _written(value)
            opening = b","
        yield b"]"
