"""Groups and roles: names compared as the directory means them, the first mapping that matches.

Spec: lines 42-46, 80-83. Contract: section 6. Source: RFC 4514 (names as text).
"""

import re
from collections.abc import Iterable
from typing import Final

from bennu.auth.ldap.filters import fold_case
from bennu.auth.ldap.name_lists import EVERYBODY_MARK
from bennu.auth.ldap.settings import GroupRole

#: One part of a name: everything up to a comma, semicolon or plus that is not escaped.
_PARTS: Final = re.compile(r"((?:\\.|[^\\,;+])*)([,;+]|$)", re.DOTALL)
_ESCAPED_BYTES: Final = re.compile(r"(?:\\[0-9A-Fa-f]{2})+")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_BLANKS: Final = re.compile(r" +")

#: A name as it compares: its parts from the entry to the root, each the pairs of one step.
CanonicalName = tuple[frozenset[tuple[str, str]], ...]


def canonical_name(dn: str) -> CanonicalName:
    """Return a distinguished name so that two spellings of one name are equal.

    Case, blanks around and within values, kinds of escaping and the order within one step do not
    count. A text that is no name is equal to itself only.
    """
    steps: list[frozenset[tuple[str, str]]] = []
    pairs: list[tuple[str, str]] = []
    for part, mark in _PARTS.findall(dn):
        kind, _, value = part.partition("=")
        pairs.append((kind.strip().lower(), _canonical_value(value)))
        if mark != "+":
            steps.append(frozenset(pairs))
            pairs = []
        if not mark:
            break
    return tuple(steps)


def _canonical_value(text: str) -> str:
    # A blank that is escaped at an end belongs to the value; servers ignore it there all the same.
    plain = _ESCAPED_BYTES.sub(_decoded, text)
    plain = _ESCAPED.sub(r"\1", plain)
    return fold_case(_BLANKS.sub(" ", plain).strip())


def _decoded(match: re.Match[str]) -> str:
    r"""Return what ``\hh\hh`` stands for, its own special characters escaped as ``\c``."""
    raw = bytes.fromhex(match[0].replace("\\", ""))
    return re.sub(r"([\\])", r"\\\1", raw.decode("utf-8", "surrogateescape"))


class RoleRule:
    """Which role a person has: the first mapping that matches, or the default without mappings.

    Args:
        mappings: in the order of the settings; ``*`` matches everybody.
        default_role: of everybody when there are no mappings.
    """

    def __init__(self, mappings: tuple[GroupRole, ...], default_role: str) -> None:
        self._default_role = default_role
        self._mappings = tuple(
            (None if m.group_dn == EVERYBODY_MARK else canonical_name(m.group_dn), m)
            for m in mappings
        )

    def match(self, groups: Iterable[CanonicalName]) -> GroupRole | None:
        """Return the first mapping that matches, None when none does or there are none."""
        known = frozenset(groups)
        return next((m for name, m in self._mappings if name is None or name in known), None)

    def role_of(self, groups: Iterable[CanonicalName]) -> str | None:
        """Return the role of a person, None when no mapping matches: no sign-in."""
        if not self._mappings:
            return self._default_role
        found = self.match(groups)
        return None if found is None else found.role

    def better_groups(self, groups: Iterable[CanonicalName]) -> tuple[str, ...]:
        """Return the groups that would match before what matches already, as configured.

        Empty when it is of no use to look for further groups.
        """
        found = self.match(groups)
        better: list[str] = []
        for _, mapping in self._mappings:
            if mapping is found:
                break
            better.append(mapping.group_dn)
        return tuple(better)
