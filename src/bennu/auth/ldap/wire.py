"""The way to a directory server: its addresses, TCP, and a wait that always ends.

Spec: lines 28-29, 54.
"""

import contextlib
import ipaddress
import math
import queue
import select
import socket
import threading
from dataclasses import dataclass
from typing import Final

from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.faults import LdapFault, Step
from bennu.auth.ldap.settings import LdapServer

_HOST: Final = "PHOENIX_LDAP_HOST"
_PORT: Final = "PHOENIX_LDAP_PORT"


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a server, as the socket module writes it."""

    family: int
    place: tuple[str, int] | tuple[str, int, int, int]


def resolve(server: LdapServer, deadline: Deadline) -> tuple[Address, ...]:
    """Return the addresses of a server.

    The system's resolver cannot be interrupted, so a name is looked up beside this thread.

    Raises:
        LdapFault: there are none, or nothing answers in time.
    """
    with contextlib.suppress(ValueError):
        literal = ipaddress.ip_address(server.host)
        family = socket.AF_INET if literal.version == 4 else socket.AF_INET6  # noqa: PLR2004
        return (Address(family, (server.host, server.port)),)
    found: queue.SimpleQueue[list[Address] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            rows = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
            found.put([Address(row[0], row[4]) for row in rows])  # type: ignore[arg-type]
        except (OSError, UnicodeError) as error:
            found.put(error if isinstance(error, OSError) else OSError(str(error)))

    threading.Thread(target=look_up, name="ldap-dns", daemon=True).start()
    late = OSError("the name service did not answer in time")
    try:
        answer = late if deadline.is_over else found.get(timeout=deadline.left_seconds())
    except queue.Empty:
        answer = late
    if isinstance(answer, OSError):
        reason = answer.strerror or str(answer)
        raise LdapFault(Step.DNS, f"{server.host}: {reason}", (_HOST,), is_of_host=True)
    return tuple(answer)


def dial(server: LdapServer, addresses: tuple[Address, ...], deadline: Deadline) -> socket.socket:
    """Open a TCP connection to the first address that answers.

    Raises:
        LdapFault: none did in time.
    """
    reasons = []
    for number, address in enumerate(addresses):
        # A silent address leaves time for the others.
        seconds = deadline.left_seconds() / (len(addresses) - number)
        connection = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(seconds, 0.001))
            connection.connect(address.place)
        except OSError as error:
            connection.close()
            is_late = isinstance(error, TimeoutError)
            reason = "no answer in time" if is_late else error.strerror or str(error)
            reasons.append(f"{address.place[0]} port {server.port}: {reason}")
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setblocking(False)
            return connection
    raise LdapFault(Step.CONNECT, "; ".join(reasons), (_HOST, _PORT), is_of_host=True)


def wait_for(
    connection: socket.socket, deadline: Deadline, step: Step, *, to_write: bool = False
) -> None:
    """Wait until a socket can be read or written.

    Raises:
        LdapFault: not before the deadline.
    """
    if not is_ready(connection.fileno(), deadline.left_seconds(), to_write=to_write):
        raise LdapFault(step, "no answer in time", (_HOST,), is_of_host=True)


def is_ready(descriptor: int, seconds: float, *, to_write: bool = False) -> bool:
    """Wait for at most so many seconds; whether a descriptor can be read or written then.

    By poll, as select knows no descriptor beyond 1023, and a busy server has more.
    """
    watched = select.poll()
    watched.register(descriptor, select.POLLOUT if to_write else select.POLLIN)
    return bool(watched.poll(math.ceil(max(seconds, 0) * 1000)))
