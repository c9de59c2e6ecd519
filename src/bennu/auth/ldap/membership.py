"""Finds the groups of a person: direct ones, groups in groups, the primary group.

On Active Directory one query asks the server itself about nesting; elsewhere the groups are walked
up, with a limit, and only while that could still change the role.

Spec: lines 41-46, 80-83. Source: MS-ADTS 3.1.1.3.4.4.3 (LDAP_MATCHING_RULE_TRANSITIVE_EVAL),
MS-ADTS 3.1.1.3.2.23 (supportedCapabilities), MS-DTYP 2.4.2 (security identifiers).
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bennu.auth.ldap.connection import LdapConnection, Query, Scope
from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.entries import Entry
from bennu.auth.ldap.faults import LdapFault, Step
from bennu.auth.ldap.filters import any_of, escape_bytes, escape_value, fill_filter
from bennu.auth.ldap.groups import CanonicalName, RoleRule, canonical_name
from bennu.auth.ldap.people import OBJECT_SID, PRIMARY_GROUP, Person
from bennu.auth.ldap.settings import LdapSettings

logger: Final = logging.getLogger("bennu.auth.ldap")

IN_CHAIN: Final = "1.2.840.113556.1.4.1941"
_ACTIVE_DIRECTORY: Final = "1.2.840.113556.1.4.800"
_CAPABILITIES: Final = "supportedCapabilities"
_NAMING_CONTEXT: Final = "defaultNamingContext"
_ANYTHING: Final = "(objectClass=*)"
_MOST_LEVELS: Final = 10
_MOST_GROUPS: Final = 1000
#: Names in one filter; servers limit its length.
_CHUNK: Final = 50
_SID_HEAD_BYTES: Final = 8
_RID_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of a person.

    Args:
        direct: distinguished names as the directory writes them.
        nested: those that hold the person only through other groups, as far as they were looked
            for: where the role was clear before, none.
    """

    direct: tuple[str, ...]
    nested: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[CanonicalName]:
        """All of them, as they compare."""
        return frozenset(canonical_name(dn) for dn in (*self.direct, *self.nested))


def groups_of(
    connection: LdapConnection,
    settings: LdapSettings,
    person: Person,
    deadline: Deadline,
    *,
    in_full: bool = False,
) -> Groups:
    """Find the groups of a person, as far as the role depends on them.

    Args:
        connection: of the service account.
        settings: where groups are, and which of them mean something.
        person: whose.
        deadline: of everything together.
        in_full: also where the role does not depend on groups at all.

    Raises:
        LdapFault: they could not be looked up; a role is never taken from half of them.
    """
    if not settings.group_role_mappings and not in_full:
        return Groups(())
    if settings.group_search_filter:
        direct = _searched_groups(connection, settings, person, deadline)
    else:
        direct = person.entry.texts(settings.attr_member_of) if settings.attr_member_of else ()
    rule = RoleRule(settings.group_role_mappings, settings.default_role)
    better = rule.better_groups(canonical_name(dn) for dn in direct)
    if not better:
        return Groups(direct)
    root = _root_of(connection, deadline)
    if _is_active_directory(root):
        base = root.text(_NAMING_CONTEXT)
        nested = _asked_groups(connection, base, person, better, deadline)
    else:
        nested = _walked_groups(connection, settings, direct, rule, deadline)
    known = {canonical_name(dn) for dn in direct}
    return Groups(direct, tuple(dn for dn in nested if canonical_name(dn) not in known))


# --- direct groups ---------------------------------------------------------------------------


def _searched_groups(
    connection: LdapConnection, settings: LdapSettings, person: Person, deadline: Deadline
) -> tuple[str, ...]:
    """Find the groups that a filter of the settings finds."""
    attribute = settings.group_search_filter_user_attr
    name = person.entry.text(attribute) if attribute else person.login_name
    if not name:
        return ()
    sought = fill_filter(settings.group_search_filter, name, person.entry.dn)
    return _search_bases(connection, settings, sought, deadline)


def _search_bases(
    connection: LdapConnection, settings: LdapSettings, sought: str, deadline: Deadline
) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for base in settings.group_search_base_dns:
        entries = connection.search(Query(base, sought, whole=True), deadline, Step.GROUPS)
        found |= dict.fromkeys(entry.dn for entry in entries)
    return tuple(found)


# --- groups in groups, Active Directory --------------------------------------------------------


def _root_of(connection: LdapConnection, deadline: Deadline) -> Entry:
    """Return the server's own entry, read once per connection."""
    known = connection.notes.get("root")
    if isinstance(known, Entry):
        return known
    query = Query("", _ANYTHING, (_CAPABILITIES, _NAMING_CONTEXT), Scope.BASE)
    try:
        found = connection.search(query, deadline, Step.GROUPS)
    except LdapFault as fault:
        if fault.is_of_host:
            raise
        found = ()
    root = found[0] if found else Entry("")
    connection.notes["root"] = root
    return root


def _is_active_directory(root: Entry) -> bool:
    return _ACTIVE_DIRECTORY in root.texts(_CAPABILITIES) and bool(root.text(_NAMING_CONTEXT))


def _asked_groups(
    connection: LdapConnection,
    base: str,
    person: Person,
    wanted: tuple[str, ...],
    deadline: Deadline,
) -> tuple[str, ...]:
    """Ask Active Directory which of some groups hold a person, at any depth."""
    members = [person.entry.dn]
    primary = _primary_group(connection, base, person.entry, deadline)
    if primary:
        members.append(primary)
    holds = any_of(f"(member:{IN_CHAIN}:={escape_value(dn)})" for dn in members)
    found = [primary] if primary else []
    for start in range(0, len(wanted), _CHUNK):
        names = any_of(
            f"(distinguishedName={escape_value(dn)})" for dn in wanted[start : start + _CHUNK]
        )
        query = Query(base, f"(&{names}{holds})", whole=True)
        found += [entry.dn for entry in connection.search(query, deadline, Step.GROUPS)]
    return tuple(found)


def _primary_group(connection: LdapConnection, base: str, entry: Entry, deadline: Deadline) -> str:
    """Return the DN of the primary group, which no ``memberOf`` names; "" when there is none.

    It is given as a number that takes the place of the last one of the person's own identifier.
    """
    number = entry.number(PRIMARY_GROUP)
    own = next(iter(entry.all_bytes(OBJECT_SID)), b"")
    if number is None or number < 0 or len(own) < _SID_HEAD_BYTES + _RID_BYTES:
        return ""
    sid = own[:-_RID_BYTES] + number.to_bytes(_RID_BYTES, "little")
    query = Query(base, f"(objectSid={escape_bytes(sid)})", most=1)
    return next((e.dn for e in connection.search(query, deadline, Step.GROUPS)), "")


# --- groups in groups, elsewhere ---------------------------------------------------------------


def _walked_groups(
    connection: LdapConnection,
    settings: LdapSettings,
    direct: tuple[str, ...],
    rule: RoleRule,
    deadline: Deadline,
) -> tuple[str, ...]:
    """Walk up from group to group until nothing new comes, or the first mapping matches."""
    seen = {canonical_name(dn): dn for dn in direct}
    level: Iterable[str] = direct
    for _ in range(_MOST_LEVELS):
        above = _groups_above(connection, settings, tuple(level), deadline)
        new = {n: dn for dn in above if (n := canonical_name(dn)) not in seen}
        seen |= new
        if not new or not rule.better_groups(seen):
            return tuple(seen.values())
        if len(seen) > _MOST_GROUPS:
            logger.warning("ldap.groups.too_many", extra={"count": len(seen)})
            return tuple(seen.values())
        level = new.values()
    logger.warning("ldap.groups.too_deep", extra={"count": _MOST_LEVELS})
    return tuple(seen.values())


def _groups_above(
    connection: LdapConnection, settings: LdapSettings, level: tuple[str, ...], deadline: Deadline
) -> tuple[str, ...]:
    """Return the groups that hold some groups: as they say themselves, or by a search."""
    found: list[str] = []
    if settings.group_search_filter:
        for start in range(0, len(level), _CHUNK):
            sought = any_of(
                f"({attribute}={escape_value(dn)})"
                for dn in level[start : start + _CHUNK]
                for attribute in ("member", "uniqueMember")
            )
            found += _search_bases(connection, settings, sought, deadline)
        return tuple(found)
    for dn in level:
        query = Query(dn, _ANYTHING, (settings.attr_member_of,), Scope.BASE)
        try:
            entries = connection.search(query, deadline, Step.GROUPS)
        except LdapFault as fault:
            if fault.is_of_host:
                raise
            # Nobody must be able to read every group; what cannot be read leads no further.
            continue
        found += [above for entry in entries for above in entry.texts(settings.attr_member_of)]
    return tuple(found)
