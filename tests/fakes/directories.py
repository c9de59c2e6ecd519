"""A directory as the server uses it, and addresses on which something is wrong."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Mapping

from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.directory import Directory
from bennu.auth.ldap.proof import Prover
from bennu.auth.ldap.settings import LdapSettings
from bennu.auth.ldap.threads import DirectoryThreads
from bennu.auth.provision import Identity
from bennu.kernel.clock import SystemClock
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from fakes.settings import SECRET, read_settings


def ldap_settings(env: Mapping[str, str]) -> LdapSettings:
    """Read the settings of a directory as a deployment would."""
    found = read_settings(env, PHOENIX_SECRET=SECRET).ldap
    assert found is not None
    return found


def mapped(*pairs: tuple[str, str]) -> str:
    """Return PHOENIX_LDAP_GROUP_ROLE_MAPPINGS for pairs of group and role."""
    return json.dumps([{"group_dn": group, "role": role} for group, role in pairs])


def soon(seconds: float = 30) -> Deadline:
    return Deadline.after(SystemClock(), seconds)


class Asked:
    """A directory that a test asks about people, without accounts."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.settings = ldap_settings(env)
        clock = SystemClock()
        self.threads = DirectoryThreads(clock)
        self.directory = Directory(self.settings, clock, self.threads.later)
        self.prover = Prover(self.directory, self.settings, clock, SystemEntropy(), self.threads)

    async def who(self, name: str, password: str) -> Identity | str:
        return await self.prover.prove(name, Secret(password))

    async def role(self, name: str, password: str) -> str | None:
        found = await self.who(name, password)
        return found.role if isinstance(found, Identity) else found

    def stop(self) -> None:
        self.threads.stop()
        self.directory.close()


@contextlib.contextmanager
def asked(env: Mapping[str, str]) -> Iterator[Asked]:
    made = Asked(env)
    try:
        yield made
    finally:
        made.stop()


def refusing_address() -> tuple[str, int]:
    """Return an address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1", int(probe.getsockname()[1])


@contextlib.contextmanager
def black_hole() -> Iterator[tuple[str, int]]:
    """An address that answers no attempt to connect: its queue is full and nobody empties it."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(address)
        yield address[0], address[1]


@contextlib.contextmanager
def answering(answer: bytes, *, hangs: bool = False) -> Iterator[tuple[str, int]]:
    """A server that reads a little, sends these bytes to everybody, and hangs up or does not."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        kept: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                    connection.recv(1024)
                    connection.sendall(answer)
                except OSError:
                    return
                if hangs:
                    kept.append(connection)
                else:
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in kept:
                connection.close()
