"""Rules as a NetworkPolicy of Kubernetes.

Probes of the kubelet come from the node and are let through by the network plugins themselves.

Spec: lines 219-225. Source: Kubernetes, networking.k8s.io/v1 NetworkPolicy.
"""

from collections.abc import Iterator
from ipaddress import ip_network

from bennu.firewall.plan import DNS_PORT, FirewallPlan, Inbound, Outbound


def network_policy(plan: FirewallPlan, selector: tuple[str, str]) -> Iterator[str]:
    """Yield the lines of a YAML document for ``kubectl apply -f``.

    Args:
        plan: what to let through.
        selector: label and value of the pods.
    """
    label, value = selector
    yield "# Made by `bennu firewall --format k8s`."
    for remark in plan.remarks:
        yield f"# Note: {remark}"
    yield "apiVersion: networking.k8s.io/v1"
    yield "kind: NetworkPolicy"
    yield "metadata:"
    yield "  name: bennu"
    yield "spec:"
    yield "  podSelector:"
    yield f'    matchLabels: {{"{label}": "{value}"}}'
    yield "  policyTypes: [Ingress, Egress]"
    opened = [listener for listener in plan.inbound if listener.sources]
    yield "  ingress:" if opened else "  ingress: []"
    for listener in opened:
        yield from _inbound(listener)
    yield "  egress:"
    yield "    # names"
    yield "    - ports:"
    for protocol in ("UDP", "TCP"):
        yield f"        - {{protocol: {protocol}, port: {DNS_PORT}}}"
    for called in plan.outbound:
        yield from _called(called)


def _inbound(listener: Inbound) -> Iterator[str]:
    yield f"    # {listener.what}"
    yield "    - from:"
    for source in listener.sources:
        yield f'        - ipBlock: {{cidr: "{source}"}}'
    yield "      ports:"
    yield f"        - {{protocol: TCP, port: {listener.port}}}"


def _called(called: Outbound) -> Iterator[str]:
    yield f"    # {called.what}: {called.host}"
    if not called.addresses:
        yield f"    # {called.host} could not be resolved: no rule was made for it"
        return
    yield "    - to:"
    for address in called.addresses:
        yield f'        - ipBlock: {{cidr: "{ip_network(address)}"}}'
    yield "      ports:"
    yield f"        - {{protocol: TCP, port: {called.port}}}"
