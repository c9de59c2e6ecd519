"""Looks for one person in the directory, and reads what the entry says.

Spec: lines 36-41, 60-66, 74-79. Contract: section 6.
"""

import logging
from dataclasses import dataclass
from typing import Final

from bennu.auth.ldap.connection import LdapConnection, Query
from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.entries import STATE_ATTRIBUTES, Entry, unique_id_of
from bennu.auth.ldap.faults import CutAnswerFault, LdapFault, Step
from bennu.auth.ldap.filters import (
    fill_filter,
    is_exact_match,
    login_attributes,
    login_name_of,
)
from bennu.auth.ldap.settings import LdapSettings
from bennu.auth.provision import outside_email

logger: Final = logging.getLogger("bennu.auth.ldap")

#: Two are enough to know that a name is not one person's.
_MOST_HITS: Final = 2
PRIMARY_GROUP: Final = "primaryGroupID"
OBJECT_SID: Final = "objectSid"

UNKNOWN_USER: Final = "unknown_user"
AMBIGUOUS_USER: Final = "ambiguous_user"
MISSING_EMAIL: Final = "missing_email"
MISSING_UNIQUE_ID: Final = "missing_unique_id"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as the directory describes them.

    Args:
        entry: with the attributes of ``attributes_of_people``.
        login_name: as the directory writes it.
        unique_id: "" when none is configured.
        email: None when none is configured.
        display_name: the login name where the entry has none.
    """

    entry: Entry
    login_name: str
    unique_id: str
    email: str | None
    display_name: str


def attributes_of_people(settings: LdapSettings) -> tuple[str, ...]:
    """Return the attributes that are read of a person."""
    wanted = (
        settings.attr_email,
        settings.attr_display_name,
        settings.attr_member_of,
        settings.attr_unique_id,
        settings.group_search_filter_user_attr,
        *login_attributes(settings.user_search_filter),
        *STATE_ATTRIBUTES,
        PRIMARY_GROUP,
        OBJECT_SID,
    )
    return tuple(dict.fromkeys(name for name in wanted if name))


def find_entry(
    connection: LdapConnection, settings: LdapSettings, login_name: str, deadline: Deadline
) -> Entry | str:
    """Look for a login name in all bases, in their order; the first with one hit wins.

    Returns:
        The entry, or why there is none as one word.

    Raises:
        LdapFault: no base could be searched. Where only some could not, people of the others
            sign in, and the answer for everybody else does not tell that.
    """
    faults: list[LdapFault] = []
    for base in settings.user_search_base_dns:
        try:
            hits = _hits_below(base, connection, settings, login_name, deadline)
        except LdapFault as fault:
            if fault.is_of_host:
                raise
            faults.append(fault)
            continue
        if hits is None:
            return AMBIGUOUS_USER
        exact = [e for e in hits if is_exact_match(settings.user_search_filter, login_name, e)]
        if exact:
            return exact[0]
    if len(faults) == len(settings.user_search_base_dns):
        raise faults[0]
    for unusable in faults:
        logger.error("ldap.base.unusable", extra={"why": unusable.detail})
    return UNKNOWN_USER


def _hits_below(
    base: str,
    connection: LdapConnection,
    settings: LdapSettings,
    login_name: str,
    deadline: Deadline,
) -> tuple[Entry, ...] | None:
    """Return whom a login name finds below a base: nobody or one; None when there are more.

    Why safe: a server that cuts its answer has more than it says, so that none of it is taken.
    """
    query = Query(
        base,
        fill_filter(settings.user_search_filter, login_name),
        attributes_of_people(settings),
        most=_MOST_HITS,
        whole=True,
    )
    try:
        hits = connection.search(query, deadline, Step.USER_SEARCH)
    except CutAnswerFault:
        return None
    return hits if len(hits) < _MOST_HITS else None


def email_of(entry: Entry, attribute: str) -> str | None:
    """Return the first value that is an address, in small letters; None when there is none."""
    found = (outside_email(text) for text in entry.texts(attribute))
    return next((email for email in found if email is not None), None)


def describe(entry: Entry, settings: LdapSettings, typed_name: str) -> Person | str:
    """Read what is needed of an entry, or say what it lacks as one word."""
    unique_id = unique_id_of(entry, settings.attr_unique_id) if settings.attr_unique_id else ""
    if settings.attr_unique_id and not unique_id:
        return MISSING_UNIQUE_ID
    email = None
    if settings.attr_email is not None:
        email = email_of(entry, settings.attr_email)
        if email is None:
            return MISSING_EMAIL
    login_name = login_name_of(settings.user_search_filter, entry, typed_name)
    shown = entry.text(settings.attr_display_name) if settings.attr_display_name else ""
    return Person(entry, login_name, unique_id, email, shown or login_name)
