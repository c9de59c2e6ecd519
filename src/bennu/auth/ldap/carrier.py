"""Carries bytes between the LDAP library and the server.

The library never touches the network: it writes to one end of a pair of sockets, and what it
wrote is carried over here. So every wait has an end (the library's own TLS handshake has none),
and a connection that is lost is never opened again in plain text behind our back.
"""

import contextlib
import socket
import ssl
from typing import Final

from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.faults import LdapFault, Step
from bennu.auth.ldap.tls import tls_fault
from bennu.auth.ldap.wire import is_ready, wait_for

_CHUNK_BYTES: Final = 65_536
_HAND_OVER_SECONDS: Final = 5
_HOST: Final = "PHOENIX_LDAP_HOST"
_CERT: Final = "PHOENIX_LDAP_TLS_CLIENT_CERT_FILE"


class Carrier:
    """Carries bytes between the LDAP library and the server, only when it is asked to.

    Args:
        connection: to the server, not blocking; closed together with the carrier.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._outer = connection
        self._inner, library_end = socket.socketpair()
        self._inner.setblocking(False)
        #: The end for the library, which closes it.
        self.library_fd = library_end.detach()

    def send_request(self, deadline: Deadline, step: Step) -> None:
        """Carry what the library has written over to the server."""
        while True:
            try:
                part = self._inner.recv(_CHUNK_BYTES)
            except BlockingIOError:
                return
            if not part:
                return
            self._send_all(part, deadline, step)

    def _send_all(self, part: bytes, deadline: Deadline, step: Step) -> None:
        view = memoryview(part)
        while view:
            try:
                view = view[self._outer.send(view) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                wait_for(self._outer, deadline, step, to_write=True)
            except ssl.SSLWantReadError:
                wait_for(self._outer, deadline, step)
            except OSError as error:
                raise _lost(step, error) from None

    def fetch_answer(self, deadline: Deadline, step: Step) -> None:
        """Wait for a part of an answer and carry it over to the library.

        Raises:
            LdapFault: there is none in time, or the connection is gone.
        """
        part = self._receive(step)
        while part is None:
            wait_for(self._outer, deadline, step)
            part = self._receive(step)
        if not part:
            raise _lost(step, ConnectionResetError("the server ended the connection"))
        # The library reads everything after each part, so that there is always room for one.
        self._inner.settimeout(_HAND_OVER_SECONDS)
        try:
            self._inner.sendall(part)
        except OSError as error:
            raise _lost(step, error) from None
        finally:
            self._inner.setblocking(False)

    def _receive(self, step: Step) -> bytes | None:
        """Return what has arrived, b"" at the end of the connection, None for nothing yet."""
        try:
            return self._outer.recv(_CHUNK_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except ssl.SSLEOFError:
            return b""
        except OSError as error:
            raise _lost(step, error) from None

    @property
    def has_unread(self) -> bool:
        """Whether the library has not yet read all that was carried over to it."""
        return is_ready(self.library_fd, 0)

    @property
    def is_quiet(self) -> bool:
        """Whether the connection is up and nothing has arrived that nobody asked for."""
        try:
            return self._receive(Step.CONNECT) is None
        except LdapFault:
            return False

    def close(self) -> None:
        """Say goodbye to the server with what the library wrote last, and close."""
        with contextlib.suppress(OSError, LdapFault):
            self._outer.send(self._inner.recv(_CHUNK_BYTES))
        self._inner.close()
        self._outer.close()


def _lost(step: Step, error: OSError) -> LdapFault:
    if isinstance(error, ssl.SSLError):
        # With TLS 1.3 a server says only now that it wants a certificate of ours.
        return tls_fault(error)
    reason = error.strerror or str(error)
    return LdapFault(step, f"the connection was lost: {reason}", (_HOST, _CERT), is_of_host=True)
