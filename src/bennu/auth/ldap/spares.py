"""Connections opened in advance for the next person, on which nobody was ever bound.

Connecting with TLS takes longer than everything else at a sign-in. While people sign in one after
the other, each finds a connection ready; after a pause they are opened on demand again.
"""

import threading
from collections.abc import Callable
from typing import Final

from bennu.auth.ldap.connection import LdapConnection
from bennu.auth.ldap.faults import LdapFault
from bennu.auth.ldap.settings import LdapServer
from bennu.kernel.clock import Clock

#: Servers end connections on which nobody binds; the shortest of them wait two minutes.
_GOOD_SECONDS: Final = 30.0
_MOST: Final = 4

Later = Callable[[Callable[[], None]], None]


class Spares:
    """A few of them.

    Args:
        open_one: opens a connection to a server.
        clock: monotonic times.
        later: runs something soon, in another thread; None opens nothing in advance.
    """

    def __init__(
        self, open_one: Callable[[LdapServer], LdapConnection], clock: Clock, later: Later | None
    ) -> None:
        self._open_one, self._clock, self._later = open_one, clock, later
        self._lock = threading.Lock()
        self._ready: list[LdapConnection] = []
        self._is_closed = False
        self._is_opening = False

    def take(self, server: LdapServer) -> LdapConnection | None:
        """Return a connection to a server that is still up, None when there is none."""
        oldest = self._clock.monotonic_seconds() - _GOOD_SECONDS
        while True:
            with self._lock:
                found = next((c for c in self._ready if c.server == server), None)
                if found is None:
                    return None
                self._ready.remove(found)
            if found.idle_since_seconds >= oldest and found.is_quiet:
                return found
            found.close()

    def order(self, server: LdapServer) -> None:
        """Have a connection opened for the next person, unless that is under way."""
        if self._later is None:
            return
        with self._lock:
            if self._is_closed or self._is_opening or len(self._ready) >= _MOST:
                return
            self._is_opening = True
        self._later(lambda: self._open(server))

    def _open(self, server: LdapServer) -> None:
        made: LdapConnection | None = None
        try:
            made = self._open_one(server)
            made.idle_since_seconds = self._clock.monotonic_seconds()
        except LdapFault:
            # Whoever signs in next meets it too and tells of it.
            return
        finally:
            with self._lock:
                self._is_opening = False
                is_wanted = made is not None and not self._is_closed
                if made is not None and is_wanted:
                    self._ready.append(made)
            if made is not None and not is_wanted:
                made.close()

    def close(self) -> None:
        """Close all of them and open no more."""
        with self._lock:
            self._is_closed = True
            ready, self._ready = self._ready, []
        for connection in ready:
            connection.close()
