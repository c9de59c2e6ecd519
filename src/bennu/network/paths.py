"""Paths of routes as patterns, and whether a rule's path can ever meet a route.

Spec: line 216 (limits per endpoint).
"""

import re
from collections.abc import Iterable
from typing import Final

from bennu.httpio.route import Route

_NAMED: Final = re.compile(r"\{\w+(:\w+)?\}")


def path_pattern(path: str) -> re.Pattern[str]:
    """Return a pattern that a whole concrete path matches.

    Args:
        path: of a route or a rule. ``{name}`` and ``*`` are one part; ``{name:path}``, and a
            ``*`` at the end, are any number of parts, at least one.
    """
    parts = path.split("/")
    pieces = [_piece(part, is_last=index == len(parts) - 1) for index, part in enumerate(parts)]
    return re.compile("/".join(pieces))


def _piece(part: str, *, is_last: bool) -> str:
    if part == "*" and is_last:
        return ".+"
    if part == "*":
        return "[^/]+"
    named = _NAMED.fullmatch(part)
    if named is None:
        return re.escape(part)
    return ".+" if named[1] == ":path" else "[^/]+"


def first_part(path: str) -> str:
    """Return what stands before the second slash: ``v1`` of ``/v1/traces``."""
    end = path.find("/", 1)
    return path[1:] if end < 0 else path[1:end]


def is_literal(path: str) -> bool:
    """Whether a path names exactly one path."""
    return all(part != "*" and _NAMED.fullmatch(part) is None for part in path.split("/"))


def same_shape(one: str, other: str) -> bool:
    """Whether two paths are the same but for the names in braces."""
    return _NAMED.sub("{}", one) == _NAMED.sub("{}", other)


def may_meet(rule: str, route: str) -> bool:
    """Whether some concrete path matches both, each written as in ``path_pattern``."""
    ours, theirs = rule.split("/"), route.split("/")
    for index, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if _is_rest(one, is_last=index == len(ours) - 1):
            return True
        if _is_rest(other, is_last=index == len(theirs) - 1):
            return True
        if one != other and is_literal(one) and is_literal(other):
            return False
    return len(ours) == len(theirs)


def _is_rest(part: str, *, is_last: bool) -> bool:
    return _piece(part, is_last=is_last) == ".+"


def pages_that_refuse_themselves(routes: Iterable[Route]) -> "PathSet":
    """Return the routes that turn a refusal into a page; the layers leave theirs to them."""
    return PathSet((r.method, r.path) for r in routes if r.on_refusal is not None)


class PathSet:
    """A set of paths of routes with their methods, asked by concrete path.

    Args:
        routes: method and path.
    """

    def __init__(self, routes: Iterable[tuple[str, str]]) -> None:
        self._exact: set[tuple[str, str]] = set()
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        for method, path in routes:
            if is_literal(path):
                self._exact.add((method, path))
            else:
                self._patterns.append((method, path_pattern(path)))

    def holds(self, method: str, path: str) -> bool:
        """Whether a request for this path is one of the routes."""
        return (method, path) in self._exact or any(
            method == of and pattern.fullmatch(path) for of, pattern in self._patterns
        )
