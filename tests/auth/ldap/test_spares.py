"""Connections opened in advance."""

from collections.abc import Callable

import pytest

from bennu.auth.ldap.connection import LdapConnection, open_connection
from bennu.auth.ldap.directory import Directory
from bennu.auth.ldap.faults import LdapFault, Step
from bennu.auth.ldap.settings import LdapServer
from bennu.auth.ldap.spares import Spares
from bennu.auth.ldap.tls import make_tls_context
from bennu.kernel.clock import SystemClock
from bennu.kernel.secret import Secret
from fakes.clock import FrozenClock
from fakes.directories import ldap_settings, soon
from peers.slapd import PEOPLE, SlapdServer

ALICE = f"uid=alice,{PEOPLE}"


class Ordered:
    """Spares for a directory, and what they have asked to be done later."""

    def __init__(self, slapd: SlapdServer, clock: FrozenClock) -> None:
        self.settings = ldap_settings(slapd.env())
        self.server = self.settings.servers[0]
        self.later: list[Callable[[], None]] = []
        self.spares = Spares(self.open_one, clock, self.later.append)

    def open_one(self, server: LdapServer) -> LdapConnection:
        return open_connection(self.settings, make_tls_context(self.settings), server, soon())

    def work(self) -> None:
        while self.later:
            self.later.pop()()


@pytest.fixture
def ordered(own_slapd: SlapdServer, clock: FrozenClock) -> Ordered:
    return Ordered(own_slapd, clock)


def test_one_is_ready_for_the_next(ordered: Ordered) -> None:
    assert ordered.spares.take(ordered.server) is None
    ordered.spares.order(ordered.server)
    ordered.spares.order(ordered.server)
    assert len(ordered.later) == 1
    ordered.work()
    assert ordered.spares.take(LdapServer("another", 389)) is None
    spare = ordered.spares.take(ordered.server)
    assert spare is not None
    assert spare.bind(ALICE, "alicepw", soon(), Step.USER_BIND) == ""
    spare.close()
    assert ordered.spares.take(ordered.server) is None


def test_an_old_one_is_not_used(ordered: Ordered, clock: FrozenClock) -> None:
    ordered.spares.order(ordered.server)
    ordered.work()
    clock.advance(31)
    assert ordered.spares.take(ordered.server) is None


def test_one_that_the_server_ended_is_not_used(ordered: Ordered, own_slapd: SlapdServer) -> None:
    ordered.spares.order(ordered.server)
    ordered.work()
    own_slapd.stop()
    assert ordered.spares.take(ordered.server) is None
    ordered.spares.order(ordered.server)
    ordered.work()
    assert ordered.spares.take(ordered.server) is None


def test_what_comes_after_the_end_is_closed(ordered: Ordered) -> None:
    ordered.spares.order(ordered.server)
    ordered.spares.close()
    ordered.work()
    assert ordered.spares.take(ordered.server) is None
    ordered.spares.order(ordered.server)
    assert ordered.later == []


def test_a_directory_has_one_ready_and_does_without(own_slapd: SlapdServer) -> None:
    later: list[Callable[[], None]] = []
    directory = Directory(ldap_settings(own_slapd.env()), SystemClock(), later.append)
    for password, reason in (("alicepw", ""), ("x", "wrong_password"), ("alicepw", "")):
        assert directory.check_password(ALICE, Secret(password), soon()) == reason
        later.pop()()
    own_slapd.freeze()
    # The one that was ready does not answer, nor does a new one.
    with pytest.raises(LdapFault):
        directory.check_password(ALICE, Secret("alicepw"), soon(2))
    own_slapd.thaw()
    assert directory.check_password(ALICE, Secret("alicepw"), soon()) == ""
    directory.close()
