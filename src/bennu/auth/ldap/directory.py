"""All servers of the directory together: fail-over, and a pool of connections that heals.

Everything here blocks and is called from the directory's own threads only.

Spec: lines 24-90.
"""

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from bennu.auth.ldap.connection import LdapConnection, bind_service, open_connection
from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.faults import LdapFault, Step
from bennu.auth.ldap.hosts import Hosts
from bennu.auth.ldap.settings import LdapServer, LdapSettings
from bennu.auth.ldap.spares import Later, Spares
from bennu.auth.ldap.tls import TlsContexts
from bennu.kernel.clock import Clock
from bennu.kernel.secret import Secret

#: For one server to become usable while another one remains.
HOST_SECONDS: Final = 2.0
#: For all work on a connection that was idle, as its server may have vanished meanwhile.
IDLE_SECONDS_TO_ANSWER: Final = 1.5
_IDLE_CONNECTIONS: Final = 8
_IDLE_SECONDS: Final = 60.0

T = TypeVar("T")


class Directory:
    """All servers of the directory, one pool of connections of the service account.

    Args:
        settings: with at least one server.
        clock: monotonic times.
        later: runs something soon in another thread, to have connections ready in advance.

    Raises:
        LdapFault: a file that the settings name cannot be used.
    """

    def __init__(self, settings: LdapSettings, clock: Clock, later: Later | None = None) -> None:
        self._settings, self._clock = settings, clock
        self._contexts = TlsContexts(settings)
        self._hosts = Hosts(settings.servers, clock)
        self._lock = threading.Lock()
        self._idle: list[LdapConnection] = []
        self._spares = Spares(self._open_in_advance, clock, later)
        self._is_closed = False

    # --- connections -----------------------------------------------------------------------

    def open_connection(self, server: LdapServer, deadline: Deadline) -> LdapConnection:
        """Open a connection to one server, with TLS before anything else is said.

        Raises:
            LdapFault: it cannot be had in time.
        """
        return open_connection(self._settings, self._contexts.current(), server, deadline)

    def _first_usable(self, use: Callable[[LdapServer, Deadline], T], deadline: Deadline) -> T:
        """Return what ``use`` makes of the first server that works."""
        servers = self._hosts.in_order()
        failed: tuple[LdapServer, ...] = ()
        for number, server in enumerate(servers, start=1):
            is_last = number == len(servers)
            try:
                result = use(server, deadline if is_last else deadline.within(HOST_SECONDS))
            except LdapFault as fault:
                if is_last or not fault.is_of_host or deadline.is_over:
                    raise
                failed += (server,)
            else:
                self._hosts.note_success(server, failed)
                return result
        raise AssertionError("settings without a server")

    def _open_service(self, server: LdapServer, deadline: Deadline) -> LdapConnection:
        connection = self.open_connection(server, deadline)
        try:
            bind_service(connection, self._settings, deadline)
        except BaseException:
            connection.close()
            raise
        return connection

    # --- the service account -----------------------------------------------------------------

    def with_service(
        self,
        work: Callable[[LdapConnection, Deadline], T],
        deadline: Deadline,
        idle_seconds: float = IDLE_SECONDS_TO_ANSWER,
    ) -> T:
        """Run searches on a connection of the service account.

        What was idle may be dead without our knowing: then the work is done once more on a new
        connection, so it must only read.

        Args:
            work: gets the connection, and until when it may take.
            deadline: of everything together.
            idle_seconds: for all work on a connection that was idle.

        Raises:
            LdapFault: no server answers in time.
        """
        if self._is_closed:
            raise LdapFault(Step.CONNECT, "this server is being stopped", ())
        idle = self._take_idle()
        if idle is not None:
            try:
                return self._run(idle, work, deadline.within(idle_seconds))
            except LdapFault as fault:
                if not fault.is_of_host or deadline.is_over:
                    raise
        fresh = self._first_usable(self._open_service, deadline)
        return self._run(fresh, work, deadline)

    def _run(
        self,
        connection: LdapConnection,
        work: Callable[[LdapConnection, Deadline], T],
        deadline: Deadline,
    ) -> T:
        try:
            result = work(connection, deadline)
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return result

    def _take_idle(self) -> LdapConnection | None:
        oldest = self._clock.monotonic_seconds() - _IDLE_SECONDS
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if connection.idle_since_seconds >= oldest and connection.is_quiet:
                return connection
            connection.close()

    def _give_back(self, connection: LdapConnection) -> None:
        connection.idle_since_seconds = self._clock.monotonic_seconds()
        with self._lock:
            has_room = len(self._idle) < _IDLE_CONNECTIONS
            if has_room:
                self._idle.append(connection)
        if not has_room:
            connection.close()

    # --- people ------------------------------------------------------------------------------

    def check_password(self, dn: str, password: Secret, deadline: Deadline) -> str:
        """Bind as somebody on a connection of their own; "" when the password is right.

        Returns:
            A reason as one word, such as ``wrong_password`` or ``locked``.

        Raises:
            LdapFault: no server answers in time.
        """

        def bind_on(connection: LdapConnection, until: Deadline) -> str:
            try:
                return connection.bind(dn, password.reveal(), until, Step.USER_BIND)
            finally:
                connection.close()

        def bind(server: LdapServer, until: Deadline) -> str:
            spare = self._spares.take(server)
            if spare is not None:
                try:
                    return bind_on(spare, until.within(IDLE_SECONDS_TO_ANSWER))
                except LdapFault as fault:
                    if not fault.is_of_host or until.is_over:
                        raise
            return bind_on(self.open_connection(server, until), until)

        def bind_and_prepare(server: LdapServer, until: Deadline) -> str:
            reason = bind(server, until)
            self._spares.order(server)
            return reason

        return self._first_usable(bind_and_prepare, deadline)

    def _open_in_advance(self, server: LdapServer) -> LdapConnection:
        return self.open_connection(server, Deadline.after(self._clock, HOST_SECONDS))

    def close(self) -> None:
        """Close what is idle, and let long work end at its next search."""
        self._is_closed = True
        self._spares.close()
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
