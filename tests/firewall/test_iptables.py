"""The rules for iptables, as the spec prints them, loaded and tried with real packets."""

from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from bennu.firewall.iptables import iptables_rules
from bennu.firewall.plan import FirewallPlan, Inbound, Outbound
from peers.netns import INTERNAL, NEAR, NEAR_6, OUTSIDE, OUTSIDE_6, Machines

#: Lines 222, 223 and 225 of the spec.
SPEC_LINES = """\
iptables -A INPUT -p tcp --dport 6006 -s 10.0.0.0/8 -j ACCEPT
iptables -A INPUT -p tcp --dport 6006 -j DROP
iptables -A INPUT -p tcp --dport 4317 -s 10.0.1.0/24 -j ACCEPT
"""
SERVER, SERVER_2, SERVER_6 = "10.0.0.1", "192.168.77.1", "fd00:1::1"


def inbound(what: str, port: int, *sources: str, families: tuple[int, ...] = (4,)) -> Inbound:
    return Inbound(what, port, tuple(map(ip_network, sources)), families, is_loopback=False)


SPEC_PLAN = FirewallPlan(
    (inbound("HTTP", 6006, "10.0.0.0/8"), inbound("gRPC", 4317, "10.0.1.0/24")), ()
)


@pytest.fixture
def clean(machines: Machines) -> Iterator[Machines]:
    machines.flush()
    yield machines
    machines.flush()


def test_the_lines_of_the_spec_are_among_them() -> None:
    made = list(iptables_rules(SPEC_PLAN))
    assert [line for line in SPEC_LINES.splitlines() if line not in made] == []
    assert "iptables -A INPUT -p tcp --dport 4317 -j DROP" in made


def test_the_lines_of_the_spec_do_what_they_say(clean: Machines) -> None:
    """Spec 222-225, as printed."""
    clean.load("sh", "-e", text=SPEC_LINES)
    wanted = [(NEAR, SERVER, 6006), (INTERNAL, SERVER, 6006), (OUTSIDE, SERVER_2, 6006)]
    assert clean.reach(*wanted) == ["open", "open", "dropped"]
    # Nothing in the spec's lines closes the gRPC port to others.
    assert clean.reach((NEAR, SERVER, 4317), (OUTSIDE, SERVER_2, 4317)) == ["open", "open"]


def test_our_rules_close_what_they_do_not_open(clean: Machines) -> None:
    clean.load("sh", text="\n".join(iptables_rules(SPEC_PLAN)))
    wanted = [
        (NEAR, SERVER, 6006),
        (INTERNAL, SERVER, 6006),
        (OUTSIDE, SERVER_2, 6006),
        (NEAR, SERVER, 4317),
        (INTERNAL, SERVER, 4317),
        (OUTSIDE, SERVER_2, 4317),
        (OUTSIDE, SERVER_2, 8000),
    ]
    reached = clean.reach(*wanted)
    assert reached == ["open", "open", "dropped", "open", "dropped", "dropped", "open"]
    local = [("", "127.0.0.1", 6006), ("", "127.0.0.1", 4317)]
    assert clean.reach(*local, start=clean.server) == ["open", "open"]


def test_both_versions_of_ip_are_closed(clean: Machines) -> None:
    plan = FirewallPlan((inbound("HTTP", 6006, "fd00:1:0::/48", families=(4, 6)),), ())
    clean.load("sh", text="\n".join(iptables_rules(plan)))
    wanted = [(NEAR_6, SERVER_6, 6006), (OUTSIDE_6, SERVER_6, 6006), (NEAR, SERVER, 6006)]
    assert clean.reach(*wanted) == ["open", "dropped", "dropped"]


def test_a_user_reaches_only_what_the_server_needs(clean: Machines) -> None:
    plan = FirewallPlan(
        (inbound("HTTP", 6006, "10.0.0.0/8"),),
        (Outbound("database", "db", 5433, (NEAR, NEAR_6)), Outbound("mail", "gone", 25, ())),
        user="nobody",
    )
    rules = "\n".join(iptables_rules(plan))
    assert "# gone could not be resolved" in rules
    clean.load("sh", text=rules)
    wanted = [
        ("", NEAR, 5433),
        ("", NEAR_6, 5433),
        ("", NEAR, 6379),
        ("", INTERNAL, 5433),
        ("", "127.0.0.1", 8000),
    ]
    user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    reached = clean.reach(*wanted, start=clean.server, user=user)
    assert reached == ["open", "open", "refused", "refused", "open"]
    assert clean.reach(*wanted[:3], start=clean.server) == ["open"] * 3


def test_a_source_that_cannot_connect_is_said() -> None:
    plan = FirewallPlan((inbound("HTTP", 6006, "fd00::/16"),), (), remarks=("r",))
    rules = list(iptables_rules(plan))
    assert "# fd00::/16: no rule, since it does not listen on IPv6" in rules
    assert "# Note: r" in rules
