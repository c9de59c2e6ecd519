"""The table for nftables, loaded and tried with real packets."""

from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from bennu.firewall.nftables import nftables_rules
from bennu.firewall.plan import FirewallPlan, Inbound, Outbound
from peers.netns import INTERNAL, NEAR, NEAR_6, OUTSIDE, OUTSIDE_6, Machines, run

SERVER, SERVER_2, SERVER_6 = "10.0.0.1", "192.168.77.1", "fd00:1::1"


def inbound(what: str, port: int, *sources: str) -> Inbound:
    return Inbound(what, port, tuple(map(ip_network, sources)), (4, 6), is_loopback=False)


PLAN = FirewallPlan(
    (
        inbound("HTTP", 6006, "10.0.0.0/8", "fd00:1:0::/48"),
        inbound("gRPC", 4317, "10.0.1.0/24"),
        inbound("metrics", 9090),
    ),
    (
        Outbound("database", "db", 5433, (NEAR, NEAR_6)),
        Outbound("mail", "gone", 25, ()),
    ),
    user="nobody",
    remarks=("a remark",),
)


@pytest.fixture
def loaded(machines: Machines) -> Iterator[Machines]:
    machines.flush()
    machines.load("nft", "-f", "-", text="\n".join(nftables_rules(PLAN)))
    yield machines
    machines.flush()


def test_who_may_connect_connects_and_nobody_else(loaded: Machines) -> None:
    wanted = [
        (NEAR, SERVER, 6006),
        (INTERNAL, SERVER, 6006),
        (OUTSIDE, SERVER_2, 6006),
        (NEAR_6, SERVER_6, 6006),
        (OUTSIDE_6, SERVER_6, 6006),
        (NEAR, SERVER, 4317),
        (INTERNAL, SERVER, 4317),
        (NEAR_6, SERVER_6, 4317),
        (NEAR, SERVER, 9090),
        (OUTSIDE, SERVER_2, 8000),
    ]
    reached = loaded.reach(*wanted)
    assert reached[:5] == ["open", "open", "dropped", "open", "dropped"]
    assert reached[5:] == ["open", "dropped", "dropped", "dropped", "open"]
    local = [("", "127.0.0.1", port) for port in (6006, 4317, 9090)]
    assert loaded.reach(*local, start=loaded.server) == ["open"] * 3


def test_a_user_reaches_only_what_the_server_needs(loaded: Machines) -> None:
    wanted = [("", NEAR, 5433), ("", NEAR_6, 5433), ("", NEAR, 6379), ("", INTERNAL, 5433)]
    user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    reached = loaded.reach(*wanted, start=loaded.server, user=user)
    assert reached == ["open", "open", "refused", "refused"]
    assert loaded.reach(*wanted, start=loaded.server) == ["open"] * 4


def test_loading_again_replaces_the_table(loaded: Machines) -> None:
    rules = "\n".join(nftables_rules(PLAN))
    loaded.load("nft", "-f", "-", text=rules)
    shown = run("ip", "netns", "exec", loaded.server, "nft", "list", "ruleset")
    assert shown.count("tcp dport 6006 drop") == 1
    assert "# gone could not be resolved" in rules
    assert "# Note: a remark" in rules


def test_without_a_user_nothing_that_goes_out_is_refused(machines: Machines) -> None:
    plan = FirewallPlan(PLAN.inbound, PLAN.outbound)
    machines.load("nft", "-f", "-", text="\n".join(nftables_rules(plan)))
    wanted = [("", NEAR, 5433), ("", NEAR, 6379)]
    assert machines.reach(*wanted, start=machines.server) == ["open", "open"]
    machines.flush()
