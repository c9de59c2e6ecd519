"""Proves who somebody is, step by step as the directory allows it: found, bound, described, role.

The steps block and run in the directory's own threads.

Spec: lines 24-90. Contract: section 6.
"""

from typing import Final

from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.directory import Directory
from bennu.auth.ldap.entries import AccountState, account_state
from bennu.auth.ldap.groups import RoleRule
from bennu.auth.ldap.membership import groups_of
from bennu.auth.ldap.people import Person, describe, find_entry
from bennu.auth.ldap.settings import LdapSettings
from bennu.auth.ldap.threads import DirectoryThreads
from bennu.auth.provision import Identity
from bennu.kernel.clock import Clock
from bennu.kernel.ids import Entropy
from bennu.kernel.secret import Secret
from bennu.users.model import AuthMethod

PROVIDER: Final = "ldap"
NO_MAPPED_GROUP: Final = "no_mapped_group"
_NAME_BYTES: Final = 16


class Prover:
    """Asks the directory about people who want to sign in."""

    def __init__(
        self,
        directory: Directory,
        settings: LdapSettings,
        clock: Clock,
        entropy: Entropy,
        threads: DirectoryThreads,
    ) -> None:
        self._directory, self._settings = directory, settings
        self._clock, self._entropy, self._threads = clock, entropy, threads

    async def prove(self, login_name: str, password: Secret) -> Identity | str:
        """Return who it is, or why that is not proved as one word.

        Args:
            login_name: as typed, not empty.
            password: not empty.

        Raises:
            LdapFault: the directory could not be asked.
        """
        return await self._threads.run(lambda d: self._prove(login_name, password, d))

    def _prove(self, login_name: str, password: Secret, deadline: Deadline) -> Identity | str:
        settings, directory = self._settings, self._directory
        entry = directory.with_service(
            lambda c, until: find_entry(c, settings, login_name, until), deadline
        )
        if isinstance(entry, str):
            # The same work as for a wrong password, so that time tells nothing.
            directory.check_password(self._nobody(), password, deadline)
            return entry
        reason = directory.check_password(entry.dn, password, deadline)
        if reason:
            return reason
        state = account_state(entry, self._clock.now_utc(), has_just_bound=True)
        if state is not AccountState.USABLE:
            return str(state)
        person = describe(entry, settings, login_name)
        if isinstance(person, str):
            return person
        role = self._role_of(person, deadline)
        return NO_MAPPED_GROUP if role is None else identity_of(person, role)

    def _role_of(self, person: Person, deadline: Deadline) -> str | None:
        settings = self._settings
        groups = self._directory.with_service(
            lambda c, until: groups_of(c, settings, person, until), deadline
        )
        rule = RoleRule(settings.group_role_mappings, settings.default_role)
        return rule.role_of(groups.names)

    def _nobody(self) -> str:
        name = self._entropy.bytes(_NAME_BYTES).hex()
        return f"CN={name},{self._settings.user_search_base_dns[0]}"


def identity_of(person: Person, role: str) -> Identity:
    """Return a person of the directory as accounts know people from outside."""
    return Identity(
        AuthMethod.LDAP,
        PROVIDER,
        "",
        person.unique_id or None,
        person.email,
        person.display_name,
        role=role,
        login_name=person.login_name,
    )
