"""The NetworkPolicy: a document that says what the plan says."""

from ipaddress import ip_network
from typing import Any

import yaml

from bennu.firewall.kubernetes import network_policy
from bennu.firewall.plan import FirewallPlan, Inbound, Outbound


def policy(*inbound: Inbound) -> dict[str, Any]:
    plan = FirewallPlan(
        inbound,
        (Outbound("database", "db", 5432, ("10.3.3.3", "fd00::3")), Outbound("m", "gone", 25, ())),
        remarks=("a remark",),
    )
    text = "\n".join(network_policy(plan, ("app.kubernetes.io/name", "phoenix")))
    assert "# gone could not be resolved" in text
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def listener(port: int, *sources: str) -> Inbound:
    return Inbound("x", port, tuple(map(ip_network, sources)), (4,), is_loopback=False)


def test_the_document_is_a_network_policy() -> None:
    made = policy(listener(6006, "10.0.0.0/8", "fd00::/16"), listener(4317, "10.0.1.0/24"))
    assert (made["apiVersion"], made["kind"]) == ("networking.k8s.io/v1", "NetworkPolicy")
    spec = made["spec"]
    assert spec["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "phoenix"}}
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [
        {
            "from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"ipBlock": {"cidr": "fd00::/16"}}],
            "ports": [{"protocol": "TCP", "port": 6006}],
        },
        {
            "from": [{"ipBlock": {"cidr": "10.0.1.0/24"}}],
            "ports": [{"protocol": "TCP", "port": 4317}],
        },
    ]
    names, database = spec["egress"]
    assert names == {"ports": [{"protocol": p, "port": 53} for p in ("UDP", "TCP")]}
    assert database == {
        "to": [{"ipBlock": {"cidr": "10.3.3.3/32"}}, {"ipBlock": {"cidr": "fd00::3/128"}}],
        "ports": [{"protocol": "TCP", "port": 5432}],
    }


def test_a_port_without_sources_is_closed() -> None:
    assert policy(listener(6006))["spec"]["ingress"] == []
