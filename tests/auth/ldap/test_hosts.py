"""Which server is tried first."""

from bennu.auth.ldap.hosts import REST_SECONDS, Hosts
from bennu.auth.ldap.settings import LdapServer
from fakes.clock import FrozenClock

ONE, TWO, THREE = (LdapServer(name, 389) for name in ("one", "two", "three"))


def test_the_order_of_the_settings(clock: FrozenClock) -> None:
    assert Hosts((ONE, TWO), clock).in_order() == (ONE, TWO)


def test_a_dead_server_rests_while_another_answers(clock: FrozenClock) -> None:
    hosts = Hosts((ONE, TWO, THREE), clock)
    hosts.note_success(TWO, (ONE,))
    assert hosts.in_order() == (TWO, THREE)
    clock.advance(REST_SECONDS)
    assert hosts.in_order() == (ONE, TWO, THREE)


def test_when_all_rest_all_are_tried(clock: FrozenClock) -> None:
    hosts = Hosts((ONE, TWO), clock)
    hosts.note_success(TWO, (ONE,))
    hosts.note_success(ONE, (TWO,))
    assert hosts.in_order() == (ONE,)
    hosts.note_success(THREE, (ONE, TWO))
    assert hosts.in_order() == (ONE, TWO)
