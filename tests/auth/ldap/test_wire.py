"""Addresses, TCP, a wait that always ends."""

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from bennu.auth.ldap.carrier import Carrier
from bennu.auth.ldap.faults import LdapFault, Step
from bennu.auth.ldap.settings import LdapServer
from bennu.auth.ldap.wire import dial, resolve, wait_for
from fakes.directories import black_hole, refusing_address, soon


def test_a_name_and_an_address_are_resolved() -> None:
    assert resolve(LdapServer("127.0.0.1", 389), soon())[0].place == ("127.0.0.1", 389)
    assert resolve(LdapServer("::1", 389), soon())[0].family == socket.AF_INET6
    assert resolve(LdapServer("localhost", 389), soon())


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".test"])
def test_a_name_that_nobody_has(host: str) -> None:
    with pytest.raises(LdapFault) as caught:
        resolve(LdapServer(host, 389), soon())
    assert caught.value.step is Step.DNS
    assert caught.value.variables == ("PHOENIX_LDAP_HOST",)


def test_a_name_service_that_does_not_answer_in_time() -> None:
    with pytest.raises(LdapFault) as caught:
        resolve(LdapServer("localhost", 389), soon(0))
    assert caught.value.is_of_host


def test_nobody_listens() -> None:
    host, port = refusing_address()
    server = LdapServer(host, port)
    with pytest.raises(LdapFault, match="refused") as caught:
        dial(server, resolve(server, soon()), soon())
    assert caught.value.variables == ("PHOENIX_LDAP_HOST", "PHOENIX_LDAP_PORT")


def test_a_black_hole_takes_no_longer_than_it_may() -> None:
    with black_hole() as (host, port):
        server = LdapServer(host, port)
        began = time.monotonic()
        with pytest.raises(LdapFault, match="no answer in time"):
            dial(server, resolve(server, soon()) * 2, soon(0.2))
        assert 0.19 < time.monotonic() - began < 10


@contextmanager
def many_descriptors() -> Iterator[None]:
    """Have so many files open that the next ones get numbers beyond 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2048)), hard))
    try:
        with ExitStack() as opened:
            while opened.enter_context(socket.socket()).fileno() <= 1024:
                pass
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_wait_on_a_busy_server_with_more_than_a_thousand_connections() -> None:
    with many_descriptors():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            assert ours.fileno() > 1024
            wait_for(ours, soon(), Step.USER_BIND, to_write=True)
            with pytest.raises(LdapFault, match="no answer in time"):
                wait_for(ours, soon(0.01), Step.USER_BIND)
            theirs.sendall(b"x")
            wait_for(ours, soon(), Step.USER_BIND)


def test_a_carrier_on_a_busy_server_with_more_than_a_thousand_connections() -> None:
    with many_descriptors():
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        carrier = Carrier(ours)
        with theirs, socket.socket(fileno=carrier.library_fd):
            assert carrier.library_fd > 1024
            assert not carrier.has_unread
            theirs.sendall(b"x")
            carrier.fetch_answer(soon(), Step.USER_BIND)
            assert carrier.has_unread
            carrier.close()
