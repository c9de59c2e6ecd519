"""Tries the directory step by step as a sign-in does, and says what is wrong where.

Blocks; for the command line and the doctor.

Spec: lines 279-285. Interface: ``bennu ldap test``.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bennu.auth.ldap.connection import LdapConnection, Query, bind_service
from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.diagnosis_report import DiagnosisReport, StepResult
from bennu.auth.ldap.entries import AccountState, Entry, account_state, unique_id_of
from bennu.auth.ldap.faults import LdapFault, Step
from bennu.auth.ldap.filters import fill_filter, filter_of_everybody, is_exact_match
from bennu.auth.ldap.groups import RoleRule
from bennu.auth.ldap.membership import Groups, groups_of
from bennu.auth.ldap.people import Person, attributes_of_people, describe, email_of
from bennu.auth.ldap.settings import LdapServer, LdapSettings
from bennu.auth.ldap.shown_certificate import describe_certificate, describe_untrusted
from bennu.auth.ldap.tls import make_tls_context, secure
from bennu.auth.ldap.wire import dial, resolve
from bennu.kernel.clock import Clock
from bennu.kernel.secret import Secret

STEP_SECONDS: Final = 10.0
_BASES: Final = "PHOENIX_LDAP_USER_SEARCH_BASE_DNS"
_FILTER: Final = "PHOENIX_LDAP_USER_SEARCH_FILTER"
_EMAIL: Final = "PHOENIX_LDAP_ATTR_EMAIL"
_UNIQUE_ID: Final = "PHOENIX_LDAP_ATTR_UNIQUE_ID"
_GROUP_BASES: Final = "PHOENIX_LDAP_GROUP_SEARCH_BASE_DNS"
_GROUP_FILTER: Final = "PHOENIX_LDAP_GROUP_SEARCH_FILTER"
_MAPPINGS: Final = "PHOENIX_LDAP_GROUP_ROLE_MAPPINGS"
_MODE: Final = "PHOENIX_LDAP_TLS_MODE"
_VERIFY: Final = "PHOENIX_LDAP_TLS_VERIFY"
_MOST_HITS: Final = 2
_NAMES_SHOWN: Final = 20


class _Note:
    """What a step says of itself while it runs."""

    def __init__(self) -> None:
        self.detail = ""
        self.ok = True
        self.variables: tuple[str, ...] = ()

    def fail(self, detail: str, *variables: str) -> None:
        """Say that this step is where it goes wrong."""
        self.ok, self.detail, self.variables = False, detail, variables


class Diagnosis:
    """One try of everything.

    Args:
        settings: with at least one server.
        clock: for times and for the dates of certificates.
    """

    def __init__(self, settings: LdapSettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._steps: list[StepResult] = []
        self._role: str | None = None

    def diagnose_servers(self) -> DiagnosisReport:
        """Try every server up to the bind of the service account, without anybody's name."""
        for connection in self._usable_servers():
            connection.close()
        return DiagnosisReport(tuple(self._steps))

    def diagnose(self, login_name: str, password: Secret | None) -> DiagnosisReport:
        """Try every server, then sign somebody in on the first that works, without an account.

        Args:
            login_name: as one would type it.
            password: None skips the step that needs it.
        """
        usable = self._usable_servers()
        try:
            if usable:
                self._try_person(usable[0], login_name, password)
        finally:
            for connection in usable:
                connection.close()
        return DiagnosisReport(tuple(self._steps), self._role)

    def _usable_servers(self) -> list[LdapConnection]:
        found = [self._try_server(server) for server in self._settings.servers]
        return [connection for connection in found if connection is not None]

    @contextmanager
    def _step(self, step: Step) -> Iterator[_Note]:
        """Run one step: a fault inside becomes its result."""
        note, began = _Note(), self._clock.monotonic_seconds()
        try:
            yield note
        except LdapFault as fault:
            note.fail(fault.detail, *fault.variables)
        seconds = self._clock.monotonic_seconds() - began
        self._steps.append(StepResult(step, note.ok, seconds, note.detail, note.variables))

    def _deadline(self) -> Deadline:
        return Deadline.after(self._clock, STEP_SECONDS)

    # --- a server ----------------------------------------------------------------------------

    def _try_server(self, server: LdapServer) -> LdapConnection | None:
        """Return a connection of the service account, None when there is none to be had."""
        plain: socket.socket | None = None
        secured: socket.socket | None = None
        with self._step(Step.DNS) as note:
            addresses = resolve(server, self._deadline())
            note.detail = f"{server.host}: {', '.join(str(a.place[0]) for a in addresses)}"
        if not self._steps[-1].ok:
            return None
        with self._step(Step.CONNECT) as note:
            plain = dial(server, addresses, self._deadline())
            note.detail = f"{plain.getpeername()[0]} port {server.port}"
        if plain is None:
            return None
        with self._step(Step.TLS) as note:
            secured = self._secured(plain, server, note)
        if secured is None:
            plain.close()
            return None
        return self._bound(LdapConnection(secured, server))

    def _secured(self, plain: socket.socket, server: LdapServer, note: _Note) -> socket.socket:
        settings, now = self._settings, self._clock.now_utc()
        context = make_tls_context(settings)
        if context is None:
            note.detail = "none: passwords travel in plain text"
            note.variables = (_MODE,)
            return plain
        try:
            secured = secure(plain, server, settings.tls_mode, self._deadline(), context)
        except LdapFault as fault:
            shown = describe_untrusted(settings, server, self._deadline(), now)
            detail = f"{fault.detail}; it shows: {shown}" if shown else fault.detail
            raise LdapFault(Step.TLS, detail, fault.variables) from None
        note.detail = f"{secured.version()}; {describe_certificate(secured, now)}"
        if context.verify_mode == ssl.CERT_NONE:
            note.detail += "; not checked"
            note.variables = (_VERIFY,)
        return secured

    def _bound(self, connection: LdapConnection) -> LdapConnection | None:
        with self._step(Step.SERVICE_BIND) as note:
            bind_service(connection, self._settings, self._deadline())
            note.detail = self._settings.bind_dn or "anonymous"
        if self._steps[-1].ok:
            return connection
        connection.close()
        return None

    # --- a person ------------------------------------------------------------------------------

    def _try_person(
        self, connection: LdapConnection, login_name: str, password: Secret | None
    ) -> None:
        entry = self._searched(connection, login_name)
        if entry is None:
            return
        person = self._described(entry, login_name)
        self._signed_in(connection.server, entry, password)
        if person is None:
            return
        groups = self._groups(connection, person)
        if groups is not None:
            self._chosen(groups)

    def _searched(self, connection: LdapConnection, login_name: str) -> Entry | None:
        settings = self._settings
        found: Entry | None = None
        with self._step(Step.USER_SEARCH) as note:
            lines, faults = [], []
            sent = fill_filter(settings.user_search_filter, login_name)
            for base in settings.user_search_base_dns:
                query = Query(base, sent, attributes_of_people(settings), most=_MOST_HITS)
                try:
                    hits = connection.search(query, self._deadline(), Step.USER_SEARCH)
                except LdapFault as fault:
                    faults.append(fault)
                    lines.append(f"{base}: {fault.detail}")
                    continue
                lines.append(f"{base}: {sent} finds {_count(hits)}")
                if len(hits) > 1 and found is None:
                    note.fail("; ".join(lines), _FILTER, _BASES)
                    return None
                exact = [
                    e for e in hits if is_exact_match(settings.user_search_filter, login_name, e)
                ]
                if hits and not exact:
                    lines.append(f"{hits[0].dn} has another login name")
                found = found or next(iter(exact), None)
            note.detail = "; ".join(lines)
            if faults:
                note.fail(note.detail, *faults[0].variables)
            elif found is None:
                note.fail(f"{note.detail}; {self._hint(connection)}", _FILTER, _BASES)
        return found

    def _hint(self, connection: LdapConnection) -> str:
        """Say whether the filter finds anybody at all."""
        everybody = filter_of_everybody(self._settings.user_search_filter)
        for base in self._settings.user_search_base_dns:
            query = Query(base, everybody, most=1)
            if connection.search(query, self._deadline(), Step.USER_SEARCH):
                return "it finds others there, so the name may be misspelt"
        return f"nobody at all is found by {everybody}"

    def _described(self, entry: Entry, login_name: str) -> Person | None:
        settings = self._settings
        person: Person | str = ""
        with self._step(Step.ATTRIBUTES) as note:
            lines, missing = [f"dn: {entry.dn}"], []
            if settings.attr_email is not None:
                email = email_of(entry, settings.attr_email)
                lines.append(f"{settings.attr_email}: {email or 'none'}")
                missing += [] if email else [_EMAIL]
            if settings.attr_unique_id:
                unique_id = unique_id_of(entry, settings.attr_unique_id)
                lines.append(f"{settings.attr_unique_id}: {unique_id or 'none'}")
                missing += [] if unique_id else [_UNIQUE_ID]
            shown = entry.text(settings.attr_display_name) if settings.attr_display_name else ""
            lines.append(
                f"{settings.attr_display_name}: {shown or 'none, the login name is shown'}"
            )
            note.detail = "; ".join(lines)
            if missing:
                note.fail(note.detail, *missing)
            person = describe(entry, settings, login_name)
        return person if isinstance(person, Person) else None

    def _signed_in(self, server: LdapServer, entry: Entry, password: Secret | None) -> None:
        if not password:
            return
        with self._step(Step.USER_BIND) as note:
            context = make_tls_context(self._settings)
            deadline = self._deadline()
            plain = dial(server, resolve(server, deadline), deadline)
            mode = self._settings.tls_mode
            secured = plain if context is None else secure(plain, server, mode, deadline, context)
            connection = LdapConnection(secured, server)
            try:
                reason = connection.bind(entry.dn, password.reveal(), deadline, Step.USER_BIND)
            finally:
                connection.close()
            state = account_state(entry, self._clock.now_utc(), has_just_bound=not reason)
            if reason:
                note.fail(f"the server does not take the password: {reason}")
            elif state is not AccountState.USABLE:
                note.fail(f"the password is right, and the account is {state}")
            else:
                note.detail = "the password is right"

    def _groups(self, connection: LdapConnection, person: Person) -> Groups | None:
        settings = self._settings
        groups: Groups | None = None
        with self._step(Step.GROUPS) as note:
            groups = groups_of(connection, settings, person, self._deadline(), in_full=True)
            note.detail = f"direct: {_names(groups.direct)}; nested: {_names(groups.nested)}"
            rule = RoleRule(settings.group_role_mappings, settings.default_role)
            is_empty = not groups.direct and not groups.nested
            if settings.group_search_filter and is_empty and rule.role_of(()) is None:
                note.fail(f"the search finds none; {note.detail}", _GROUP_BASES, _GROUP_FILTER)
        return groups if self._steps[-1].ok else None

    def _chosen(self, groups: Groups) -> None:
        settings = self._settings
        with self._step(Step.ROLE) as note:
            rule = RoleRule(settings.group_role_mappings, settings.default_role)
            self._role = rule.role_of(groups.names)
            chosen = rule.match(groups.names)
            if self._role is None:
                wanted = _names(tuple(m.group_dn for m in settings.group_role_mappings))
                note.fail(f"no mapping matches; they name {wanted}", _MAPPINGS)
            elif chosen is None:
                note.detail = f"{self._role}, the default, as there are no mappings"
            else:
                note.detail = f"{self._role}, for {chosen.group_dn}"


def _count(hits: tuple[Entry, ...]) -> str:
    if len(hits) > 1:
        return "several entries, such as " + " and ".join(entry.dn for entry in hits)
    return hits[0].dn if hits else "nothing"


def _names(dns: tuple[str, ...]) -> str:
    shown = ", ".join(f"“{dn}”" for dn in dns[:_NAMES_SHOWN])
    more = len(dns) - _NAMES_SHOWN
    return (shown or "none") + (f" and {more} more" if more > 0 else "")
