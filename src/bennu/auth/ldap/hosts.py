"""Which server is tried first: the order of the settings, and a rest for those that are dead.

Spec: line 54 (fail-over).
"""

import threading
from typing import Final

from bennu.auth.ldap.settings import LdapServer
from bennu.kernel.clock import Clock

REST_SECONDS: Final = 30.0


class Hosts:
    """The servers, shared by all threads.

    A server rests only when another one answered in its place: if none does, the fault is likelier
    on this side or passing, and all are tried again at the next sign-in.
    """

    def __init__(self, servers: tuple[LdapServer, ...], clock: Clock) -> None:
        self._servers, self._clock = servers, clock
        self._lock = threading.Lock()
        self._rests_until: dict[LdapServer, float] = {}

    def in_order(self) -> tuple[LdapServer, ...]:
        """Return the servers to try: those that do not rest; if all do, all of them."""
        now = self._clock.monotonic_seconds()
        with self._lock:
            awake = tuple(s for s in self._servers if self._rests_until.get(s, 0) <= now)
        return awake or self._servers

    def note_success(self, server: LdapServer, failed: tuple[LdapServer, ...]) -> None:
        """Note that a server answered after others had failed; those rest now."""
        until = self._clock.monotonic_seconds() + REST_SECONDS
        with self._lock:
            self._rests_until.pop(server, None)
            self._rests_until |= dict.fromkeys(failed, until)
