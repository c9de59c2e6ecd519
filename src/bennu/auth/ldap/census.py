"""Asks the directory about many accounts at once: who is still there, and with which role.

Blocks; runs in the directory's own threads.

Spec: lines 36-46, 58-66. Issue: deprovisioning.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from bennu.auth.ldap.connection import LdapConnection, Query
from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.directory import Directory
from bennu.auth.ldap.entries import AccountState, Entry, account_state, unique_id_of
from bennu.auth.ldap.faults import Step
from bennu.auth.ldap.filters import (
    any_of,
    escape_value,
    filter_of_everybody,
    unique_id_filter,
)
from bennu.auth.ldap.groups import RoleRule
from bennu.auth.ldap.membership import groups_of
from bennu.auth.ldap.people import attributes_of_people, describe
from bennu.auth.ldap.proof import NO_MAPPED_GROUP
from bennu.auth.ldap.settings import LdapSettings
from bennu.auth.ldap.standing import MISSING, Standing
from bennu.auth.provision import outside_email
from bennu.kernel.clock import Clock
from bennu.users.links import Link

#: Accounts in one search; servers limit the length of a filter.
_AT_ONCE: Final = 50
_SECONDS_AT_ONCE: Final = 60.0


class Census:
    """Compares accounts with the directory."""

    def __init__(self, directory: Directory, settings: LdapSettings, clock: Clock) -> None:
        self._directory, self._settings, self._clock = directory, settings, clock
        self._rule = RoleRule(settings.group_role_mappings, settings.default_role)

    def take(self, links: Sequence[Link], deadline: Deadline) -> dict[int, Standing]:
        """Return how accounts stand, by their row ids.

        Accounts that the settings give no way to recognise are left out.

        Raises:
            LdapFault: something could not be asked; half an answer is none.
        """
        found: dict[int, Standing] = {}
        for start in range(0, len(links), _AT_ONCE):
            some = links[start : start + _AT_ONCE]
            found |= self._directory.with_service(
                lambda c, until, some=some: self._some(c, some, until),  # type: ignore[misc]
                deadline.within(_SECONDS_AT_ONCE),
                idle_seconds=_SECONDS_AT_ONCE,
            )
        return found

    def _some(
        self, connection: LdapConnection, links: Sequence[Link], deadline: Deadline
    ) -> dict[int, Standing]:
        sought = {link.row_id: f for link in links if (f := self._filter_of(link))}
        if not sought:
            return {}
        entries = self._entries(connection, sought.values(), deadline)
        return {
            link.row_id: self._standing(connection, link, entries, deadline)
            for link in links
            if link.row_id in sought
        }

    def _filter_of(self, link: Link) -> str:
        """Return the filter of the one entry of an account, "" when there is no way to it."""
        if self._settings.attr_unique_id and link.subject:
            return unique_id_filter(self._settings.attr_unique_id, link.subject)
        if self._settings.attr_email and link.email:
            return f"({self._settings.attr_email}={escape_value(link.email)})"
        return ""

    def _entries(
        self, connection: LdapConnection, sought: Iterable[str], deadline: Deadline
    ) -> dict[str, Entry]:
        """Return entries by unique id and by e-mail; what an earlier base holds counts."""
        everybody = filter_of_everybody(self._settings.user_search_filter)
        query_filter = f"(&{any_of(sought)}{everybody})"
        found: dict[str, Entry] = {}
        for base in self._settings.user_search_base_dns:
            query = Query(base, query_filter, attributes_of_people(self._settings), whole=True)
            for entry in connection.search(query, deadline, Step.USER_SEARCH):
                for key in self._keys_of(entry):
                    found.setdefault(key, entry)
        return found

    def _keys_of(self, entry: Entry) -> tuple[str, ...]:
        settings = self._settings
        ids = (unique_id_of(entry, settings.attr_unique_id),) if settings.attr_unique_id else ()
        emails = entry.texts(settings.attr_email) if settings.attr_email else ()
        return (*(f"id {i}" for i in ids), *(f"email {outside_email(text)}" for text in emails))

    def _standing(
        self,
        connection: LdapConnection,
        link: Link,
        entries: dict[str, Entry],
        deadline: Deadline,
    ) -> Standing:
        by_id = bool(self._settings.attr_unique_id and link.subject)
        entry = entries.get(f"id {link.subject}" if by_id else f"email {link.email}")
        if entry is None:
            return Standing(MISSING)
        state = account_state(entry, self._clock.now_utc())
        if state is not AccountState.USABLE:
            return Standing(str(state))
        person = describe(entry, self._settings, link.login_name or "")
        if isinstance(person, str):
            # They could not sign in now; what they have is not taken away for that.
            return Standing()
        groups = groups_of(connection, self._settings, person, deadline)
        role = self._rule.role_of(groups.names)
        return Standing(NO_MAPPED_GROUP) if role is None else Standing(role=role)
