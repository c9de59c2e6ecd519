"""Which hosts the server itself may call. Issue: SSRF."""

from collections.abc import Sequence

import pytest

from bennu.network.destinations import (
    DestinationRefusedError,
    Destinations,
    check_destination,
    check_proxied_destination,
    checked_host,
    host_of,
    kind_of_address,
    resolve_destination,
)
from bennu.network.settings import NetworkSettings

NONE = Destinations()
PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        (PUBLIC, ""),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", ""),
        ("127.0.0.1", "loopback"),
        ("127.9.8.7", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "private"),  # noqa: S104 - nothing is bound
        ("::", "private"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("198.18.0.1", "private"),
        ("255.255.255.255", "private"),
        ("fc00::1", "private"),
        ("fec0::1", "private"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("169.254.1.1", "link-local"),
        ("fe80::1", "link-local"),
        ("169.254.169.254", "metadata"),
        ("169.254.170.2", "metadata"),
        ("100.100.100.200", "metadata"),
        ("168.63.129.16", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("::ffff:127.0.0.1", "private"),
        ("::ffff:10.0.0.1", "private"),
        ("::7f00:1", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::a9fe:a9fe", "metadata"),
        ("64:ff9b::5db8:d70e", ""),
        ("2002:7f00:1::", "loopback"),
        ("2002:a9fe:a9fe::1", "metadata"),
    ],
)
def test_an_address_is_known_for_what_it_is(address: str, kind: str) -> None:
    assert kind_of_address(address) == kind


@pytest.mark.parametrize(
    "host",
    [
        *("2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "017700000001", "1.2.3"),
        *("0x7f.0.0.1", "127.0.0.0x1", "example.1", "", ".", "a..b", "-a.example", "a b"),
        *("a\\b", "a@b", "a:1", "a%2e", "exämple.com", "a\n", "fe80::1%eth0", "a" * 254),
    ],
)
def test_what_is_no_plain_name_or_address_is_refused(host: str) -> None:
    with pytest.raises(DestinationRefusedError):
        checked_host(host)


@pytest.mark.parametrize("host", ["IdP.Example.COM.", "a_b.example", "10.0.0.1", "[::1]", "x"])
def test_names_and_addresses_pass(host: str) -> None:
    assert checked_host(host) == host.lower().strip("[]").removesuffix(".")


@pytest.mark.parametrize(
    ("configured", "allowed", "host", "addresses", "is_allowed"),
    [
        ((), (), "idp.example.com", (PUBLIC,), True),
        ((), (), "idp.example.com", (), False),
        ((), (), "idp.example.com", ("10.0.0.5",), False),
        ((), (), "idp.example.com", (PUBLIC, "10.0.0.5"), False),
        (("idp.corp",), (), "idp.corp", ("10.0.0.5", "fc00::5"), True),
        (("idp.corp",), (), "other.corp", ("10.0.0.5",), False),
        (("idp.corp",), (), "x.idp.corp", ("10.0.0.5",), False),
        (("localhost",), (), "localhost", ("127.0.0.1", "::1"), True),
        ((), ("idp.corp",), "idp.corp", ("10.0.0.5",), True),
        ((), ("*.corp",), "idp.corp", ("10.0.0.5",), True),
        ((), ("*.corp",), "corp", ("10.0.0.5",), False),
        ((), ("*.corp",), "evilcorp", ("10.0.0.5",), False),
        ((), ("idp.corp:443",), "idp.corp", ("10.0.0.5",), True),
        ((), ("idp.corp:8443",), "idp.corp", ("10.0.0.5",), False),
        ((), ("10.0.0.0/8",), "idp.corp", ("10.0.0.5",), True),
        ((), ("10.0.0.0/8",), "idp.corp", ("192.168.0.5",), False),
        ((), ("10.0.0.5",), "idp.corp", ("10.0.0.5",), True),
        ((), ("*",), "idp.corp", ("10.0.0.5",), True),
        # A name never opens the metadata service, only its address does.
        (("idp.corp",), (), "idp.corp", ("169.254.169.254",), False),
        ((), ("*",), "idp.corp", ("169.254.169.254",), False),
        (("169.254.169.254",), (), "169.254.169.254", ("169.254.169.254",), True),
    ],
)
def test_the_operator_decides_what_else_is_called(
    configured: Sequence[str],
    allowed: tuple[str, ...],
    host: str,
    addresses: Sequence[str],
    is_allowed: bool,
) -> None:
    destinations = Destinations(frozenset(configured), allowed)
    if is_allowed:
        check_destination(destinations, host, 443, addresses)
        return
    with pytest.raises(DestinationRefusedError) as refusal:
        check_destination(destinations, host, 443, addresses)
    assert host in refusal.value.detail
    assert "10.0.0.5" not in refusal.value.public


@pytest.mark.asvs("13.2.4", "13.2.5")
def test_without_external_resources_only_what_is_listed_is_called() -> None:
    settings = NetworkSettings(
        egress_allowed_hosts=("*.example.com", "192.0.2.0/24"), allow_external_resources=False
    )
    destinations = Destinations.from_settings(settings, ["IdP.corp.", ""])
    check_destination(destinations, "idp.corp", 443, ["10.0.0.5"])
    check_destination(destinations, "a.example.com", 443, [PUBLIC])
    check_destination(destinations, "elsewhere.net", 443, ["192.0.2.7"])
    with pytest.raises(DestinationRefusedError, match="address") as refusal:
        check_destination(destinations, "elsewhere.net", 443, [PUBLIC])
    assert "PHOENIX_EGRESS_ALLOWED_HOSTS" in refusal.value.detail
    assert "PHOENIX_ALLOW_EXTERNAL_RESOURCES" in refusal.value.detail


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("idp.example.com", True),
        ("localhost", False),
        ("a.localhost", False),
        ("metadata", False),
        ("metadata.google.internal", False),
        ("printer.local", False),
        ("169.254.169.254", False),
        ("10.0.0.1", False),
        ("named.internal", True),
    ],
)
def test_behind_a_proxy_names_are_judged(host: str, is_allowed: bool) -> None:
    destinations = Destinations(frozenset({"named.internal"}))
    if is_allowed:
        check_proxied_destination(destinations, host, 443)
    else:
        with pytest.raises(DestinationRefusedError):
            check_proxied_destination(destinations, host, 443)


async def test_a_name_is_resolved_once_and_all_its_addresses_count() -> None:
    asked: list[str] = []

    async def rebinding(host: str, _: int) -> Sequence[str]:
        asked.append(host)
        return (PUBLIC,) if len(asked) == 1 else ("127.0.0.1",)

    assert await resolve_destination(NONE, "evil.example", 443, rebinding) == (PUBLIC,)
    assert asked == ["evil.example"]
    with pytest.raises(DestinationRefusedError):
        await resolve_destination(NONE, "evil.example", 443, rebinding)


async def test_an_address_is_never_resolved() -> None:
    async def nobody(_: str, __: int) -> Sequence[str]:
        raise AssertionError

    assert await resolve_destination(NONE, PUBLIC, 443, nobody) == (PUBLIC,)


async def test_a_name_without_address_is_refused() -> None:
    async def unknown(_: str, __: int) -> Sequence[str]:
        raise OSError

    with pytest.raises(DestinationRefusedError, match="address"):
        await resolve_destination(NONE, "nowhere.example", 443, unknown)


def test_the_host_of_an_address() -> None:
    assert host_of("https://IdP.Example.com:8443/x") == "idp.example.com"
    assert host_of("https://[::1]/") == "::1"
    assert host_of("https://[") == ""
