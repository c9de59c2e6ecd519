"""Rules as one table of nftables; loading it again replaces it.

Spec: lines 219-225.
"""

from collections.abc import Iterator, Sequence

from bennu.firewall.plan import DNS_PORT, FirewallPlan, Inbound, Network, Outbound

_FAMILY_WORDS = {4: "ip", 6: "ip6"}


def nftables_rules(plan: FirewallPlan) -> Iterator[str]:
    """Yield the lines of a file for ``nft -f``."""
    yield "# Made by `bennu firewall --format nftables`; load it with `nft -f FILE`."
    yield "table inet bennu"
    yield "delete table inet bennu"
    yield "table inet bennu {"
    yield "\tchain input {"
    yield "\t\ttype filter hook input priority filter; policy accept;"
    for listener in plan.inbound:
        yield from _inbound(listener)
    yield "\t}"
    yield ""
    yield from _output_chain(plan)
    yield "}"


def _inbound(listener: Inbound) -> Iterator[str]:
    where = ", which listens on this machine only" if listener.is_loopback else ""
    yield f"\t\t# Who may reach {listener.what}{where}"
    port = f"tcp dport {listener.port}"
    yield f'\t\tiifname "lo" {port} accept'
    for family, word in _FAMILY_WORDS.items():
        sources = listener.sources_of(family)
        if sources:
            yield f"\t\t{word} saddr {_set_of(sources)} {port} accept"
    yield f"\t\t{port} drop"


def _output_chain(plan: FirewallPlan) -> Iterator[str]:
    yield "\t# What Bennu itself calls"
    for remark in plan.remarks:
        yield f"\t# Note: {remark}"
    if not plan.user:
        yield "\t# Name the user that it runs as (--user), and everything else is refused to it."
    yield "\tchain output {"
    yield "\t\ttype filter hook output priority filter; policy accept;"
    owner = f'meta skuid "{plan.user}" ' if plan.user else ""
    yield f"\t\t{owner}meta l4proto {{ tcp, udp }} th dport {DNS_PORT} accept"
    for called in plan.outbound:
        yield from _called(called, owner)
    if plan.user:
        yield f'\t\t{owner}oifname "lo" accept'
        yield f"\t\t{owner}ct state established,related accept"
        yield f"\t\t{owner}reject"
    yield "\t}"


def _called(called: Outbound, owner: str) -> Iterator[str]:
    yield f"\t\t# {called.what}: {called.host}"
    if not called.addresses:
        yield f"\t\t# {called.host} could not be resolved: no rule was made for it"
    for family, word in _FAMILY_WORDS.items():
        addresses = called.addresses_of(family)
        if addresses:
            yield f"\t\t{owner}{word} daddr {_set_of(addresses)} tcp dport {called.port} accept"


def _set_of(members: Sequence[Network | str]) -> str:
    return "{ " + ", ".join(str(member) for member in members) + " }"
