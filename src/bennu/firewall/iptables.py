"""Rules as commands of iptables and ip6tables, in the form that the spec prints.

Spec: lines 221-225.
"""

from collections.abc import Iterator
from ipaddress import ip_network

from bennu.firewall.plan import DNS_PORT, FirewallPlan, Inbound, Outbound

_COMMANDS = {4: "iptables", 6: "ip6tables"}


def iptables_rules(plan: FirewallPlan) -> Iterator[str]:
    """Yield the lines of a shell script that appends the rules."""
    yield "#!/bin/sh"
    yield "# Made by `bennu firewall --format iptables`. Rules are appended: they count after those"
    yield "# that are there already. Run it once, at boot, as root."
    yield "set -e"
    for listener in plan.inbound:
        yield ""
        yield from _inbound(listener)
    yield ""
    yield from _outbound_rules(plan)


def _inbound(listener: Inbound) -> Iterator[str]:
    where = ", which listens on this machine only" if listener.is_loopback else ""
    yield f"# Who may reach {listener.what}{where}"
    for family in listener.families:
        command, port = _COMMANDS[family], f"-p tcp --dport {listener.port}"
        yield f"{command} -A INPUT -i lo {port} -j ACCEPT"
        for source in listener.sources_of(family):
            yield f"{command} -A INPUT {port} -s {source} -j ACCEPT"
        yield f"{command} -A INPUT {port} -j DROP"
    for source in listener.sources:
        if source.version not in listener.families:
            yield f"# {source}: no rule, since it does not listen on IPv{source.version}"


def _outbound_rules(plan: FirewallPlan) -> Iterator[str]:
    owner = f"-m owner --uid-owner {plan.user} " if plan.user else ""
    yield "# What Bennu itself calls"
    for remark in plan.remarks:
        yield f"# Note: {remark}"
    if not plan.user:
        yield "# Name the user that it runs as (--user), and everything else is refused to it."
    for protocol in ("udp", "tcp"):
        for command in _COMMANDS.values():
            yield f"{command} -A OUTPUT {owner}-p {protocol} --dport {DNS_PORT} -j ACCEPT"
    for called in plan.outbound:
        yield from _called(called, owner)
    if plan.user:
        for command in _COMMANDS.values():
            yield f"{command} -A OUTPUT {owner}-o lo -j ACCEPT"
            yield (
                f"{command} -A OUTPUT {owner}-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
            )
            yield f"{command} -A OUTPUT {owner}-j REJECT"


def _called(called: Outbound, owner: str) -> Iterator[str]:
    yield f"# {called.what}: {called.host}"
    if not called.addresses:
        yield f"# {called.host} could not be resolved: no rule was made for it"
    for family, command in _COMMANDS.items():
        for address in called.addresses_of(family):
            place = f"-d {ip_network(address)} -p tcp --dport {called.port}"
            yield f"{command} -A OUTPUT {owner}{place} -j ACCEPT"
