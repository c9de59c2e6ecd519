"""What proxies write, also when it is nonsense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.network.forwarded import (
    MOST_HOPS,
    Hop,
    hops_of_forwarded,
    hops_of_x_forwarded_for,
    node_address,
    plain_address,
)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("testclient", "testclient"),
    ],
)
def test_an_address_has_one_spelling(text: str, plain: str) -> None:
    assert plain_address(text) == plain


@pytest.mark.parametrize(
    ("node", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("192.0.2.1:_gazonk", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ('"[2001:db8::1]:4711"', "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", None),
        ("_hidden", None),
        ("", None),
        ("192.0.2.256", None),
        ("192.0.2", None),
        ("3221225985", None),
        ("[192.0.2.1]x", None),
    ],
)
def test_a_node_names_an_address_or_nothing(node: str, address: str | None) -> None:
    assert node_address(node) == address


def test_lists_may_stand_in_several_headers() -> None:
    hops = hops_of_x_forwarded_for(["a, b", "c"], [])
    assert [hop.node for hop in hops] == ["a", "b", "c"]


def test_one_scheme_holds_for_the_whole_way() -> None:
    assert hops_of_x_forwarded_for(["a, b"], ["HTTPS"]) == [Hop("a", "https"), Hop("b", "https")]


def test_several_schemes_are_counted_from_the_right() -> None:
    assert hops_of_x_forwarded_for(["a"], ["https, http"]) == [Hop("a", "http")]
    assert hops_of_x_forwarded_for(["a, b, c"], ["https, http"]) == [
        Hop("a", ""),
        Hop("b", "https"),
        Hop("c", "http"),
    ]


def test_a_scheme_alone_is_the_last_hop() -> None:
    assert hops_of_x_forwarded_for([], ["https"]) == [Hop("", "https")]
    assert hops_of_x_forwarded_for([], []) == []
    assert hops_of_x_forwarded_for(["a"], ["gopher"]) == [Hop("a", "")]


def test_forwarded_as_the_rfc_prints_it() -> None:
    values = [
        'for="_gazonk"',
        'For="[2001:db8:cafe::17]:4711"',
        "for=192.0.2.60;proto=http;by=203.0.113.43",
        "for=192.0.2.43, for=198.51.100.17;proto=HTTPS",
    ]
    assert hops_of_forwarded(values) == [
        Hop("_gazonk"),
        Hop("[2001:db8:cafe::17]:4711"),
        Hop("192.0.2.60", "http"),
        Hop("192.0.2.43"),
        Hop("198.51.100.17", "https"),
    ]


def test_a_comma_inside_quotes_splits_nothing() -> None:
    assert hops_of_forwarded(['for="a,b";proto=https']) == [Hop("a,b", "https")]


@pytest.mark.parametrize("value", ['for="a', "for", "=a", "for=a b", "for=a;;x=y"])
def test_what_is_not_well_formed_says_nothing(value: str) -> None:
    assert hops_of_forwarded([value]) == []


def test_only_the_end_of_a_long_list_is_read() -> None:
    many = [f"for=192.0.2.{i % 250}" for i in range(1000)]
    assert len(hops_of_forwarded(many)) == MOST_HOPS
    assert hops_of_x_forwarded_for([",".join(map(str, range(1000)))], [])[-1].node == "999"
    assert len(hops_of_x_forwarded_for([",".join(map(str, range(1000)))], [])) == MOST_HOPS


@given(st.lists(st.text(max_size=60), max_size=4), st.lists(st.text(max_size=20), max_size=3))
def test_nothing_that_a_client_writes_raises(values: list[str], schemes: list[str]) -> None:
    for hop in (*hops_of_x_forwarded_for(values, schemes), *hops_of_forwarded(values)):
        node_address(hop.node)
