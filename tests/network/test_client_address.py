"""Headers about the client count only from trusted proxies, and are read from the right."""

from typing import Any

import pytest

from bennu.network.client_address import ClientAddresses, limit_key

PROXY = "10.0.0.1"
TRUSTED = ("10.0.0.0/8", "2001:db8:1::/48")


def seen(
    peer: str, *headers: tuple[str, str], trusted: tuple[str, ...] = TRUSTED
) -> tuple[str, str]:
    """Return the address and the scheme that the server works with."""
    scope: dict[str, Any] = {
        "client": (peer, 1234),
        "scheme": "http",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
    }
    return ClientAddresses(trusted).of_request(scope), scope["scheme"]


SPOOFED = (
    ("X-Forwarded-For", "198.51.100.1"),
    ("X-Forwarded-Proto", "https"),
    ("Forwarded", "for=198.51.100.1;proto=https"),
    ("X-Real-IP", "198.51.100.1"),
    ("X-Client-IP", "198.51.100.1"),
    ("True-Client-IP", "198.51.100.1"),
    ("CF-Connecting-IP", "198.51.100.1"),
    ("Fastly-Client-IP", "198.51.100.1"),
    ("X-Forwarded-Host", "evil.example"),
)


@pytest.mark.asvs("4.1.3", "15.3.4")
@pytest.mark.parametrize("header", SPOOFED, ids=lambda header: header[0])
@pytest.mark.parametrize("trusted", [(), TRUSTED], ids=["no proxies", "others trusted"])
def test_a_spoofed_header_changes_nothing(
    header: tuple[str, str], trusted: tuple[str, ...]
) -> None:
    assert seen("192.0.2.1", header, trusted=trusted) == ("192.0.2.1", "http")


@pytest.mark.asvs("4.1.3")
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], (PROXY, "http")),
        ([("X-Forwarded-For", "192.0.2.1")], ("192.0.2.1", "http")),
        # What stands left of the first address that is not trusted was written by the client.
        ([("X-Forwarded-For", "198.51.100.1, 192.0.2.1")], ("192.0.2.1", "http")),
        ([("X-Forwarded-For", "10.0.0.9, 192.0.2.1")], ("192.0.2.1", "http")),
        ([("X-Forwarded-For", "198.51.100.1, 192.0.2.1, 10.0.0.2")], ("192.0.2.1", "http")),
        ([("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "192.0.2.1")],
         ("192.0.2.1", "http")),
        ([("X-Forwarded-For", "10.0.0.3, 10.0.0.2")], ("10.0.0.3", "http")),
        ([("X-Forwarded-For", "2001:db8:2::1, 2001:db8:1::1")], ("2001:db8:2::1", "http")),
        # A proxy that does not say who it was: what stands left of it proves nothing.
        ([("X-Forwarded-For", "192.0.2.1, unknown")], (PROXY, "http")),
        ([("X-Forwarded-For", "192.0.2.1, ::::")], (PROXY, "http")),
        ([("X-Forwarded-Proto", "https")], (PROXY, "https")),
        ([("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https")],
         ("192.0.2.1", "https")),
        ([("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https, http")],
         ("192.0.2.1", "http")),
        ([("X-Forwarded-For", "192.0.2.1, 10.0.0.2"), ("X-Forwarded-Proto", "https, http")],
         ("192.0.2.1", "https")),
        ([("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "javascript")],
         ("192.0.2.1", "http")),
        ([("Forwarded", "for=198.51.100.1, for=192.0.2.1;proto=https")], ("192.0.2.1", "https")),
        ([("Forwarded", 'for="[2001:db8:2::1]:80"')], ("2001:db8:2::1", "http")),
        ([("Forwarded", "for=192.0.2.1;;")], (PROXY, "http")),
        # A proxy that writes the one lets the other pass as the client sent it.
        ([("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=198.51.100.1")],
         ("192.0.2.1", "http")),
        ([("X-Real-IP", "198.51.100.1")], (PROXY, "http")),
    ],
)  # fmt: skip
def test_a_trusted_proxy_is_believed_as_far_as_it_saw(
    headers: list[tuple[str, str]], expected: tuple[str, str]
) -> None:
    assert seen(PROXY, *headers) == expected


def test_a_proxy_that_connects_over_a_wide_socket_is_known() -> None:
    forwarded = ("X-Forwarded-For", "192.0.2.1")
    assert seen("::ffff:10.0.0.1", forwarded) == ("192.0.2.1", "http")
    assert seen("::ffff:192.0.2.9") == ("192.0.2.9", "http")


def test_without_a_peer_there_is_no_address() -> None:
    scope = {"client": None, "scheme": "http", "headers": [(b"x-forwarded-for", b"192.0.2.1")]}
    assert ClientAddresses(TRUSTED).of_request(scope) == ""
    assert not ClientAddresses(TRUSTED).trusts("")


@pytest.mark.parametrize(
    ("peer", "metadata", "address"),
    [
        ("ipv4:192.0.2.1:5", [], "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:5", [], "2001:db8::1"),
        ("ipv6:[::ffff:192.0.2.1]:5", [], "192.0.2.1"),
        ("unix:/run/x", [], ""),
        ("ipv4:192.0.2.1:5", [("x-forwarded-for", "198.51.100.1")], "192.0.2.1"),
        ("ipv4:10.0.0.1:5", [("x-forwarded-for", "198.51.100.1, 192.0.2.1")], "192.0.2.1"),
        ("ipv4:10.0.0.1:5", [("forwarded", b"for=192.0.2.1")], "192.0.2.1"),
    ],
)
def test_calls_over_grpc_follow_the_same_rule(
    peer: str, metadata: list[tuple[str, str | bytes]], address: str
) -> None:
    assert ClientAddresses(TRUSTED).of_call(peer, metadata) == address


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("", ""),
        ("a:b", "a:b"),
    ],
)
def test_ipv6_is_counted_per_site(address: str, key: str) -> None:
    assert limit_key(address) == key


def test_what_is_remembered_is_bounded() -> None:
    addresses = ClientAddresses(TRUSTED)
    assert not any(addresses.trusts(f"192.0.{i // 250}.{i % 250}") for i in range(10_000))
    assert addresses.trusts("10.1.1.1")
    assert addresses.trusts("10.1.1.1")
