"""The one file that speaks to the LDAP library: one connection, its binds and searches.

Everything here blocks and is called from the directory's own threads only; every wait ends at a
deadline. A connection on which anything went wrong is never used again.

Spec: lines 24-90. Source: RFC 4511, RFC 4513 section 5.1.2 (unauthenticated bind), RFC 2696
(paged results).
"""

import contextlib
import logging
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import ldap
from ldap.controls import SimplePagedResultsControl

from bennu.auth.ldap.carrier import Carrier
from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.entries import Entry, make_entry
from bennu.auth.ldap.faults import CutAnswerFault, LdapFault, Step
from bennu.auth.ldap.settings import LdapServer, LdapSettings
from bennu.auth.ldap.tls import secure
from bennu.auth.ldap.wire import dial, resolve

logger: Final = logging.getLogger("bennu.auth.ldap")

#: For the answer to one request.
ANSWER_SECONDS: Final = 5.0
PAGE_SIZE: Final = 500
MOST_ENTRIES: Final = 20_000
#: Nothing listens there: a library that wanted to connect by itself could not.
_NOWHERE: Final = "ldapi://%2Fnonexistent%2Fbennu"

_BIND_DN: Final = "PHOENIX_LDAP_BIND_DN"
_BIND_PASSWORD: Final = "PHOENIX_LDAP_BIND_PASSWORD"  # noqa: S105 - the name of a variable
_MODE: Final = "PHOENIX_LDAP_TLS_MODE"
_HOST: Final = "PHOENIX_LDAP_HOST"

#: Active Directory's reasons inside "invalid credentials", as it writes them.
_AD_REASON: Final = re.compile(r"\bdata ([0-9a-f]{3}),")
_AD_REASONS: Final = {
    "525": "unknown_user",
    "52e": "wrong_password",
    "530": "outside_hours",
    "531": "wrong_place",
    "532": "password_expired",
    "533": "disabled",
    "701": "expired",
    "773": "password_must_change",
    "775": "locked",
}
WRONG_PASSWORD: Final = "wrong_password"  # noqa: S105 - a reason


class Scope:
    """How far below its base a search looks."""

    BASE: Final[int] = ldap.SCOPE_BASE
    SUBTREE: Final[int] = ldap.SCOPE_SUBTREE


@dataclass(frozen=True, slots=True)
class Query:
    """One search.

    Args:
        base: a distinguished name; "" with ``Scope.BASE`` is the server's own entry.
        filter: as sent.
        attributes: to read; none reads only which entries there are.
        scope: of ``Scope``.
        most: as many entries are enough; more are not read.
        whole: a part is no answer; else what the server says before its own limit is enough.
    """

    base: str
    filter: str
    attributes: tuple[str, ...] = ()
    scope: int = Scope.SUBTREE
    most: int = MOST_ENTRIES
    whole: bool = False


class LdapConnection:
    """One connection, encrypted if the settings say so; nobody is bound yet."""

    def __init__(self, connection: socket.socket, server: LdapServer) -> None:
        self.server = server
        self.idle_since_seconds = 0.0
        #: Kept by whoever asks, such as what kind of server it is.
        self.notes: dict[str, object] = {}
        self._carrier = Carrier(connection)
        self._ldap = ldap.initialize(_NOWHERE, fileno=self._carrier.library_fd)
        for option, value in (
            (ldap.OPT_PROTOCOL_VERSION, ldap.VERSION3),
            # A referral would take the password to a server that nobody configured.
            (ldap.OPT_REFERRALS, ldap.OPT_OFF),
            (ldap.OPT_DEREF, ldap.DEREF_NEVER),
            (ldap.OPT_SIZELIMIT, ldap.NO_LIMIT),
            (ldap.OPT_TIMELIMIT, ldap.NO_LIMIT),
        ):
            self._ldap.set_option(option, value)

    @property
    def is_quiet(self) -> bool:
        """Whether it is up and the server said nothing unasked, such as goodbye."""
        return self._carrier.is_quiet

    def bind(self, dn: str, password: str, deadline: Deadline, step: Step) -> str:
        """Bind; return "" when the server takes the password, else a reason as one word.

        Raises:
            LdapFault: the server cannot answer the question.
        """
        if dn and not password:
            # Why it matters: servers take an empty password for anonymous and say yes.
            raise ValueError("a bind with a name needs a password")
        try:
            self._call(step, deadline, lambda: self._ldap.simple_bind(dn, password))
        except _NOT_TAKEN as error:
            return _reason_of(error)
        except (ldap.CONSTRAINT_VIOLATION, ldap.UNWILLING_TO_PERFORM) as error:
            # OpenLDAP and others say so of locked or disabled accounts.
            return _reason_of(error) if step is Step.USER_BIND else self._refuse(error, step)
        except ldap.LDAPError as error:
            self._refuse(error, step)
        return ""

    def search(self, query: Query, deadline: Deadline, step: Step) -> tuple[Entry, ...]:
        """Return the entries of a search, at most ``query.most``; references are left out.

        Raises:
            CutAnswerFault: the query asks for all and there is more than that.
            LdapFault: the search could not be made.
        """
        found: list[Entry] = []
        page = SimplePagedResultsControl(
            criticality=False, size=min(PAGE_SIZE, query.most), cookie=""
        )
        is_single = query.scope == Scope.BASE
        while True:
            entries, cookie = self._search_page(query, None if is_single else page, deadline, step)
            found += entries
            if query.whole and cookie and len(found) >= query.most:
                raise _cut(query, len(found), step)
            if not cookie or len(found) >= query.most:
                return tuple(found[: query.most])
            page.cookie = cookie

    def _search_page(
        self,
        query: Query,
        page: SimplePagedResultsControl | None,
        deadline: Deadline,
        step: Step,
    ) -> tuple[list[Entry], bytes]:
        entries: list[Entry] = []
        controls = [] if page is None else [page]
        try:
            answered = self._call(
                step,
                deadline,
                lambda: self._ldap.search_ext(
                    query.base,
                    query.scope,
                    query.filter,
                    list(query.attributes) or ["1.1"],
                    serverctrls=controls,
                ),
                entries,
            )
        except ldap.SIZELIMIT_EXCEEDED:
            if query.whole:
                raise _cut(query, len(entries), step) from None
            fields = {"base": query.base, "count": len(entries)}
            logger.warning("ldap.search.cut_by_server", extra=fields)
            return entries, b""
        except ldap.LDAPError as error:
            self._refuse(error, step)
        cookies = [
            c.cookie for c in answered if c.controlType == SimplePagedResultsControl.controlType
        ]
        return entries, next(iter(cookies), b"")

    def _call(
        self,
        step: Step,
        deadline: Deadline,
        request: Callable[[], int],
        entries: list[Entry] | None = None,
    ) -> list[Any]:
        """Send one request and read its answer; return the controls of the answer."""
        answer_by = deadline.within(ANSWER_SECONDS)
        number = request()
        self._carrier.send_request(answer_by, step)
        while True:
            kind, data, controls = self._next_part(number, step)
            if kind is None:
                self._await_more(answer_by, step)
            elif kind == ldap.RES_SEARCH_ENTRY and entries is not None:
                entries.extend(make_entry(dn, values) for dn, values in data)
                if len(entries) > MOST_ENTRIES:
                    raise LdapFault(step, "far too many entries", _VARIABLES_OF_STEP[step])
            elif kind not in {ldap.RES_SEARCH_ENTRY, ldap.RES_SEARCH_REFERENCE}:
                return list(controls or ())

    def _await_more(self, answer_by: Deadline, step: Step) -> None:
        """Bring the next part of an answer to the library, unless it has some unread."""
        if answer_by.is_over:
            raise LdapFault(step, "no answer in time", (_HOST,), is_of_host=True)
        if not self._carrier.has_unread:
            self._carrier.fetch_answer(answer_by, step)

    def _next_part(self, number: int, step: Step) -> tuple[Any, Any, Any]:
        """Return kind, data and controls of the next part of an answer, if it has arrived."""
        try:
            kind, data, _, controls = self._ldap.result3(number, all=0, timeout=0)
        except (UnicodeError, ValueError) as error:
            detail = f"the answer cannot be read ({type(error).__name__})"
            raise LdapFault(step, detail, (_HOST,)) from None
        return kind, data, controls

    def _refuse(self, error: ldap.LDAPError, step: Step) -> Any:  # noqa: ANN401 - never returns
        raise _fault_of(error, step) from None

    def close(self) -> None:
        """Close; nothing can fail here."""
        with contextlib.suppress(ldap.LDAPError):
            self._ldap.unbind_ext()
        self._carrier.close()


def open_connection(
    settings: LdapSettings,
    context: ssl.SSLContext | None,
    server: LdapServer,
    deadline: Deadline,
) -> LdapConnection:
    """Open a connection to one server, with TLS before anything else is said.

    Raises:
        LdapFault: it cannot be had in time.
    """
    plain = dial(server, resolve(server, deadline), deadline)
    if context is None:
        return LdapConnection(plain, server)
    return LdapConnection(secure(plain, server, settings.tls_mode, deadline, context), server)


def bind_service(connection: LdapConnection, settings: LdapSettings, deadline: Deadline) -> None:
    """Bind as the service account; without one the server is searched anonymously.

    Raises:
        LdapFault: the server does not take the account.
    """
    password = settings.bind_password
    if not settings.bind_dn or password is None:
        return
    reason = connection.bind(settings.bind_dn, password.reveal(), deadline, Step.SERVICE_BIND)
    if reason:
        detail = f"{connection.server.host} does not take the service account ({reason})"
        raise LdapFault(Step.SERVICE_BIND, detail, (_BIND_DN, _BIND_PASSWORD))


def _reason_of(error: ldap.LDAPError) -> str:
    """Return why a password was not taken, as far as the server says."""
    info = _info_of(error)
    found = _AD_REASON.search(info)
    if found is not None:
        return _AD_REASONS.get(found[1], WRONG_PASSWORD)
    lowered = info.lower()
    for word, reason in (("lock", "locked"), ("disabled", "disabled"), ("inactiv", "disabled")):
        if word in lowered:
            return reason
    return WRONG_PASSWORD


def _info_of(error: ldap.LDAPError) -> str:
    described = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return str(described.get("info", ""))


_VARIABLES_OF_STEP: Final = {
    Step.SERVICE_BIND: (_BIND_DN, _BIND_PASSWORD, _MODE),
    Step.USER_SEARCH: (
        "PHOENIX_LDAP_USER_SEARCH_BASE_DNS",
        "PHOENIX_LDAP_USER_SEARCH_FILTER",
        _BIND_DN,
    ),
    Step.USER_BIND: (_MODE, _HOST),
    Step.GROUPS: (
        "PHOENIX_LDAP_GROUP_SEARCH_BASE_DNS",
        "PHOENIX_LDAP_GROUP_SEARCH_FILTER",
        _BIND_DN,
    ),
}
#: What another server may do better.
_OF_HOST: Final = (
    ldap.SERVER_DOWN,
    ldap.CONNECT_ERROR,
    ldap.BUSY,
    ldap.UNAVAILABLE,
    ldap.TIMEOUT,
    ldap.TIMELIMIT_EXCEEDED,
    ldap.PROTOCOL_ERROR,
    ldap.DECODING_ERROR,
)
#: A name or a password that the server does not take.
_NOT_TAKEN: Final = (
    ldap.INVALID_CREDENTIALS,
    ldap.INAPPROPRIATE_AUTH,
    ldap.INVALID_DN_SYNTAX,
    ldap.NO_SUCH_OBJECT,
)
_WANTS_TLS: Final = (ldap.STRONG_AUTH_REQUIRED, ldap.CONFIDENTIALITY_REQUIRED)


def _cut(query: Query, count: int, step: Step) -> CutAnswerFault:
    detail = (
        f"the server ends its answer about {query.base} after {count} entries: it must say all "
        "to the service account, so raise its limit of entries there"
    )
    variables = _VARIABLES_OF_STEP.get(step, ())
    # Who asks is what servers set limits for.
    return CutAnswerFault(step, detail, (_BIND_DN, *(v for v in variables if v != _BIND_DN)))


def _fault_of(error: ldap.LDAPError, step: Step) -> LdapFault:
    described = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    info = _info_of(error)
    reason = f"{described.get('desc', type(error).__name__)}{f': {info}' if info else ''}"
    variables = _VARIABLES_OF_STEP.get(step, (_HOST,))
    if isinstance(error, _WANTS_TLS):
        variables = (_MODE,)
    elif isinstance(error, ldap.FILTER_ERROR):
        variables = tuple(v for v in variables if v.endswith("FILTER")) or variables
    elif isinstance(error, ldap.OPERATIONS_ERROR | ldap.INSUFFICIENT_ACCESS):
        variables = (_BIND_DN, *variables)
    return LdapFault(step, reason, variables, is_of_host=isinstance(error, _OF_HOST))
