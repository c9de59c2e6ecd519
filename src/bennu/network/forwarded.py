"""What proxies write about the client: ``X-Forwarded-For``, ``X-Forwarded-Proto``, ``Forwarded``.

Only reading; whether it is believed is decided in ``client_address``.

Source: RFC 7239; RFC 4291 section 2.5.5.2 (IPv4 addresses written as IPv6).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

#: More proxies than that in a row are not real; the rest of a longer list is not looked at.
MOST_HOPS: Final = 32
_IPV4_WITH_PORT: Final = re.compile(r"([0-9.]+):[0-9_a-zA-Z.-]+")
_IPV6_IN_BRACKETS: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](:[0-9_a-zA-Z.-]+)?")
#: One parameter of a Forwarded element: a token or a quoted text, and what ends it.
_PARAMETER: Final = re.compile(
    r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(\"(?:[^\"\\]|\\.)*\"|[^\s;,\"]*)\s*(;|,|$)"
)


@dataclass(frozen=True, slots=True)
class Hop:
    """What one proxy says of whoever connected to it.

    Args:
        node: as written: an address, perhaps with a port, ``unknown``, or a made-up name.
        scheme: ``http`` or ``https``, "" when it does not say.
    """

    node: str = ""
    scheme: str = ""


def plain_address(text: str) -> str:
    """Write an IP address in its shortest form: IPv4 where it is one, without a zone.

    Returns:
        The address, or the text as it is when it is none.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return text
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def node_address(node: str) -> str | None:
    """Return the IP address of a node as proxies write it, or None when it names none."""
    text = node.strip().strip('"')
    match = _IPV6_IN_BRACKETS.fullmatch(text) or _IPV4_WITH_PORT.fullmatch(text)
    host = match[1] if match else text
    try:
        ip_address(host)
    except ValueError:
        return None
    return plain_address(host)


def hops_of_x_forwarded_for(values: Sequence[str], schemes: Sequence[str]) -> list[Hop]:
    """Read ``X-Forwarded-For`` and ``X-Forwarded-Proto``, the client's end first.

    Proxies either keep one scheme for the whole way or append theirs as they append addresses;
    so a single scheme is that of every hop, and several are counted from the right.
    """
    nodes = _split(values)
    protos = [text if text in {"http", "https"} else "" for text in map(str.lower, _split(schemes))]
    if not nodes:
        return [Hop("", protos[-1])] if protos else []
    if len(protos) <= 1:
        return [Hop(node, protos[0] if protos else "") for node in nodes]
    aligned = ([""] * len(nodes) + protos)[-len(nodes) :]
    return [Hop(node, proto) for node, proto in zip(nodes, aligned, strict=True)]


def hops_of_forwarded(values: Sequence[str]) -> list[Hop]:
    """Read ``Forwarded``, the client's end first; nothing of a value that is not well formed."""
    hops: list[Hop] = []
    text = ",".join(values)
    position = 0
    pairs: dict[str, str] = {}
    while position < len(text):
        match = _PARAMETER.match(text, position)
        if match is None:
            return []
        pairs.setdefault(match[1].lower(), match[2].strip('"'))
        position = match.end()
        if match[3] != ";":
            scheme = pairs.get("proto", "").lower()
            hops.append(Hop(pairs.get("for", ""), scheme if scheme in {"http", "https"} else ""))
            pairs = {}
    return hops[-MOST_HOPS:]


def _split(values: Sequence[str]) -> list[str]:
    """Return the items of a comma list that may stand in several headers, at most the last 32."""
    text = ",".join(values)
    return [item.strip() for item in text.rsplit(",", MOST_HOPS)[-MOST_HOPS:] if item.strip()]
