"""``bennu firewall``: rules for iptables, nftables or Kubernetes, from the effective settings.

Spec: lines 219-225.
"""

import re
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click

from bennu.cli.context import Command, env_file_option, load_settings
from bennu.firewall.iptables import iptables_rules
from bennu.firewall.kubernetes import network_policy
from bennu.firewall.nftables import nftables_rules
from bennu.firewall.plan import Network, Sources, firewall_plan, parse_network

_INCOMPLETE: Final = 1
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}\$?|[0-9]{1,10}")
_LABEL: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._/-]*)=([A-Za-z0-9][A-Za-z0-9._-]*)")


class _NetworkType(click.ParamType[Network]):
    """A network in CIDR form."""

    name = "CIDR"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> Network:
        """Read one."""
        try:
            return parse_network(value)
        except ValueError as error:
            self.fail(f"{error}; such as 10.0.0.0/8 or 2001:db8::/32", param, ctx)


def _networks(option: str, what: str) -> Callable[[Command], Command]:
    return click.option(
        option,
        type=_NetworkType(),
        multiple=True,
        metavar="CIDR",
        help=f"Who may reach {what}; may be repeated. Without it only this machine.",
    )


@click.command("firewall")
@env_file_option
@click.option(
    "--format",
    "kind",
    type=click.Choice(["iptables", "nftables", "k8s"]),
    default="nftables",
    show_default=True,
    help="Which rules to print.",
)
@_networks("--http-from", "the HTTP port")
@_networks("--grpc-from", "the gRPC port")
@_networks("--metrics-from", "the port of the metrics")
@click.option(
    "--user",
    default="",
    metavar="NAME",
    help="The user that the server runs as: everything but what it needs is refused to it.",
)
@click.option(
    "--selector",
    default="app=phoenix",
    show_default=True,
    metavar="LABEL=VALUE",
    help="The pods, for --format k8s.",
)
def firewall_command(
    *,
    env_file: Path | None,
    kind: str,
    user: str,
    selector: str,
    **networks: Sequence[Network],
) -> None:
    """Print firewall rules for the settings: ports, and what the server itself calls.

    Nothing is loaded. Hosts are resolved now; status 1 when one cannot be.
    """
    if user and _USER.fullmatch(user) is None:
        raise click.BadParameter("the name or number of a user", param_hint="--user")
    label = _LABEL.fullmatch(selector)
    if label is None:
        raise click.BadParameter("a label such as app=phoenix", param_hint="--selector")
    http, grpc, metrics = (tuple(networks[f"{door}_from"]) for door in ("http", "grpc", "metrics"))
    sources = Sources(http, grpc, metrics)
    plan = firewall_plan(load_settings(env_file), sources, addresses_of, user)
    lines = {
        "iptables": lambda: iptables_rules(plan),
        "nftables": lambda: nftables_rules(plan),
        "k8s": lambda: network_policy(plan, (label[1], label[2])),
    }[kind]()
    click.echo("\n".join(lines))
    for each in plan.unresolved:
        click.echo(f"error: {each.what}: {each.host} cannot be resolved", err=True)
    if plan.unresolved:
        sys.exit(_INCOMPLETE)


def addresses_of(host: str) -> tuple[str, ...]:
    """Return the addresses of a host as this machine resolves it.

    Raises:
        OSError: it has none.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(str(entry[4][0]).partition("%")[0] for entry in found)
