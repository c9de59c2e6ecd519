"""What a name in a filter stands for: a field, an attribute, an annotation, a list. Pure.

Source: contract/data-plane.md section 6.1 (filter.condition).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bennu.traces.expressions.syntax import Member, Name, Node
from bennu.traces.expressions.tokens import ExpressionError
from bennu.traces.expressions.tree import (
    AnnotationOf,
    Field,
    JsonPath,
    Kind,
    Nothing,
    ParentOf,
    Row,
    Rows,
    Scope,
    Source,
    Value,
)
from bennu.traces.expressions.vocabulary import (
    ALIASES,
    ANNOTATION_FIELDS,
    ANNOTATIONS,
    ATTRIBUTES,
    EVENTS,
    FIELDS,
    FROM_SPAN,
    KEY_ROOTS,
    LISTS,
    LOOKUP,
    MISSING,
    PARENT,
)
from bennu.traces.spans.attributes import key_segments

_MOST_SEGMENTS: Final = 16
#: JSON paths of SQLite cannot quote these.
_UNSEARCHABLE: Final = re.compile(r'["\\\x00-\x1f]')


@dataclass(frozen=True, slots=True)
class Variable:
    """What the variable of a loop is: a row, an annotation, or an element of a JSON list."""

    row: Row
    is_annotation: bool = False


@dataclass(slots=True)
class Names:
    """The names that hold at one place of a filter on rows of one kind."""

    of: Scope
    scopes: set[Scope] = field(default_factory=set)
    variables: dict[str, Variable] = field(default_factory=dict)

    def row(self, scope: Scope) -> Row:
        """Return the row of a scope that values are read from, and note that it is needed."""
        used = self.of if self.of is Scope.SPAN else scope
        self.scopes.add(used)
        return Row(used)

    def value(self, node: Node) -> Value:
        """Return what a reference stands for.

        Raises:
            ExpressionError: an unknown name, or a key where there is none.
        """
        root, keys = _unwound(node)
        if not isinstance(root, Name):
            raise ExpressionError("a key of something that has none", node.position)
        name, keys = _without_alias(root.name, keys)
        variable = self.variables.get(name)
        if variable is not None:
            return _of_variable(variable, root, keys)
        found = (
            self._annotation(root, keys)
            or self._field(root, name, keys)
            or self._attribute(root, name, keys)
        )
        if found is None:
            raise _unknown(root, keys, self.of)
        return found

    def rows(self, node: Node) -> Rows | None:
        """Return the rows that a reference stands for, None when it stands for something else."""
        root, keys = _unwound(node)
        if not isinstance(root, Name) or len(keys) > 1:
            return None
        variable = self.variables.get(root.name)
        if variable is not None:
            scope = variable.row.scope
            return None if scope is None or not keys else _inside(variable.row, scope, keys[0].key)
        if keys:
            return None
        if root.name in ANNOTATIONS:
            about = ANNOTATIONS[root.name] or self.of
            return Rows(Source.ANNOTATIONS, self._annotated(about), about)
        if root.name in LISTS and self.of is not LISTS[root.name][1]:
            return _inside(self.row(self.of), self.of, root.name)
        return None

    def _annotated(self, about: Scope) -> Row:
        inward = LOOKUP[self.of] if self.of is not Scope.SPAN else (Scope.SPAN,)
        return self.row(about if about in inward else self.of)

    def _annotation(self, root: Name, keys: Sequence[Member]) -> Value | None:
        if root.name not in ANNOTATIONS:
            return None
        about = ANNOTATIONS[root.name] or self.of
        return _annotation_of(self._annotated(about), about, root, keys)

    def _field(self, root: Name, name: str, keys: Sequence[Member]) -> Value | None:
        for scope in LOOKUP[self.of]:
            is_outside = self.of is Scope.SPAN and scope is not Scope.SPAN
            if name in FIELDS[scope] and (not is_outside or name in FROM_SPAN):
                _refuse_keys(root, keys)
                return Field(FIELDS[scope][name], self.row(scope), name)
        if name in MISSING:
            _refuse_keys(root, keys)
            return Nothing(MISSING[name])
        return None

    def _attribute(self, root: Name, name: str, keys: Sequence[Member]) -> Value | None:
        if name not in {ATTRIBUTES, EVENTS, PARENT} and name not in KEY_ROOTS:
            return None
        return _of_span(self.row(Scope.SPAN), root, name, keys)


def _unwound(node: Node) -> tuple[Node, list[Member]]:
    """Return where a chain of keys begins, and the keys from there on."""
    keys: list[Member] = []
    while isinstance(node, Member):
        keys.append(node)
        node = node.of
    return node, keys[::-1]


def _without_alias(name: str, keys: list[Member]) -> tuple[str, list[Member]]:
    if len(keys) == 1 and not keys[0].is_subscript:
        own = ALIASES.get((name, keys[0].key))
        if own is not None:
            return own, []
    return name, keys


def _of_variable(variable: Variable, root: Name, keys: Sequence[Member]) -> Value:
    row = variable.row
    if variable.is_annotation:
        if len(keys) != 1 or keys[0].key not in ANNOTATION_FIELDS:
            known = ", ".join(ANNOTATION_FIELDS)
            raise ExpressionError(f"an annotation has {known}", root.position)
        return Field(ANNOTATION_FIELDS[keys[0].key], row, keys[0].key)
    if row.scope is None:
        return JsonPath(Kind.JSON, row, "", _segments(root, keys))
    return _of_row(row, row.scope, root, keys)


def _of_row(row: Row, scope: Scope, root: Name, keys: Sequence[Member]) -> Value:
    if not keys:
        raise ExpressionError(f"'{root.name}' is a {scope.value}: name a field", root.position)
    first = Name(keys[0].position, keys[0].key)
    name, rest = _without_alias(first.name, list(keys[1:]))
    if name in FIELDS[scope]:
        _refuse_keys(first, rest)
        return Field(FIELDS[scope][name], row, name)
    if name in {"annotations", "evals"}:
        return _annotation_of(row, scope, first, rest)
    if scope is Scope.SPAN and (name in {ATTRIBUTES, EVENTS, PARENT} or name in KEY_ROOTS):
        return _of_span(row, first, name, rest)
    raise _unknown(first, rest, scope)


def _of_span(row: Row, root: Name, name: str, keys: Sequence[Member]) -> Value:
    if name == PARENT:
        _refuse_keys(root, keys)
        return ParentOf(Kind.TRUTH, row)
    if name == EVENTS:
        return JsonPath(Kind.JSON, row, EVENTS, _segments(root, keys))
    segments = _segments(root, keys)
    if name == ATTRIBUTES:
        if not segments:
            raise ExpressionError("a key of attributes is missing", root.position)
    else:
        segments = (*key_segments(name), *segments)
        if len(segments) == 1 and name != "metadata":
            raise ExpressionError(f"the key {name} goes on: name it whole", root.position)
    return JsonPath(Kind.JSON, row, ATTRIBUTES, segments)


def _annotation_of(row: Row, about: Scope, root: Name, keys: Sequence[Member]) -> Value:
    if not keys or not keys[0].is_subscript:
        raise ExpressionError(f"write {root.name}['name']", root.position)
    name = keys[0].key
    if len(keys) == 1:
        return AnnotationOf(Kind.TRUTH, row, about, name, "")
    wanted = keys[1].key
    known = [one for one in ANNOTATION_FIELDS if one != "name"]
    if len(keys) > 2 or wanted not in known:  # noqa: PLR2004 - name and field
        raise ExpressionError(f"an annotation has {', '.join(known)}", keys[1].position)
    return AnnotationOf(ANNOTATION_FIELDS[wanted], row, about, name, wanted)


def _inside(row: Row, scope: Scope, name: str) -> Rows | None:
    """Return rows inside a row, by the name of the list."""
    if name in {"annotations", "evals"}:
        return Rows(Source.ANNOTATIONS, row, scope)
    if name == Source.SPANS.value and scope is not Scope.SPAN:
        return Rows(Source.SPANS, row, Scope.SPAN)
    if name == Source.TRACES.value and scope is Scope.SESSION:
        return Rows(Source.TRACES, row, Scope.TRACE)
    return None


def _segments(root: Name, keys: Sequence[Member]) -> tuple[str, ...]:
    """Return the parts of a way into a JSON document.

    Raises:
        ExpressionError: a part is empty, cannot be searched for, or there are too many.
    """
    segments: list[str] = []
    for key in keys:
        parts = key_segments(key.key)
        if not parts or _UNSEARCHABLE.search(key.key):
            raise ExpressionError(
                "a key must not be empty or hold quotes, backslashes and control characters",
                key.position,
            )
        segments += parts
    if len(segments) > _MOST_SEGMENTS:
        raise ExpressionError(f"more than {_MOST_SEGMENTS} parts of a key", root.position)
    return tuple(segments)


def _refuse_keys(root: Name, keys: Sequence[Member]) -> None:
    if keys:
        raise ExpressionError(f"'{root.name}' has no keys", keys[0].position)


def _unknown(root: Name, keys: Sequence[Member], of: Scope) -> ExpressionError:
    if root.name in LISTS and not keys and LISTS[root.name][1] is not of:
        what = f"'{root.name}' is a list: write any(... for x in {root.name})"
    else:
        what = f"unknown name '{root.name[:60]}'"
        if keys:
            what += "; other attributes are written attributes['key']"
    return ExpressionError(what, root.position)
