"""The origin rule, as a rule; the table of cases over HTTP is tests/spec/test_09_network.py."""

import pytest

from bennu.network.origins import (
    UNTRUSTED_ORIGIN,
    UNTRUSTED_REFERER,
    OriginRule,
    Provenance,
    normal_origin,
)
from bennu.network.settings import NetworkSettings

LISTED = NetworkSettings(
    root_url="https://phoenix.example.com/phoenix",
    allowed_origins=("https://app.example.com", "*"),
    csrf_trusted_origins=("https://csrf.example.com:8443",),
)


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://A.example", "https://a.example"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("http://a.example:80/path?x", "http://a.example"),
        ("http://[::1]:6006", "http://[::1]:6006"),
        ("null", ""),
        ("", ""),
        ("file:///etc/passwd", ""),
        ("javascript:alert(1)", ""),
        ("https://", ""),
        ("https://a b", ""),
        ("https://a:b", ""),
    ],
)
def test_an_origin_has_one_spelling(address: str, origin: str) -> None:
    assert normal_origin(address) == origin


@pytest.mark.parametrize(
    "origin",
    [
        "https://phoenix.example.com",
        "https://phoenix.example.com:443",
        "https://app.example.com",
        "https://csrf.example.com:8443",
        "http://bennu.test:6006",
    ],
)
def test_the_own_origin_the_root_url_and_both_lists_are_trusted(origin: str) -> None:
    rule, own = OriginRule(LISTED), {"scheme": "http", "host": "bennu.test:6006"}
    assert rule.objection(Provenance(origins=[origin], **own)) == ""  # type: ignore[arg-type]
    referer = Provenance(referers=[origin + "/page"], **own)  # type: ignore[arg-type]
    assert rule.objection(referer) == ""


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "*",
        "http://phoenix.example.com",
        "https://phoenix.example.com:8443",
        "https://phoenix.example.com.evil.example",
        "https://csrf.example.com",
        "https://bennu.test:6006",
        "http://bennu.test",
        "https://app.example.com@evil.example",
        "https://evil.example/https://app.example.com",
    ],
)
def test_everything_else_is_not(origin: str) -> None:
    rule = OriginRule(LISTED)
    provenance = Provenance(origins=[origin], scheme="http", host="bennu.test:6006")
    assert rule.objection(provenance) == UNTRUSTED_ORIGIN


def test_the_origin_goes_before_what_else_is_said() -> None:
    rule = OriginRule(LISTED)
    good, bad = "https://app.example.com", "https://evil.example"
    assert not rule.objection(Provenance([good], ["cross-site"], [bad]))
    assert rule.objection(Provenance([bad], ["same-origin"], [good])) == UNTRUSTED_ORIGIN
    assert not rule.objection(Provenance([], ["same-origin"], [bad]))
    assert rule.objection(Provenance([], ["same-site"], [good])) == UNTRUSTED_ORIGIN
    assert rule.objection(Provenance([], [], [bad])) == UNTRUSTED_REFERER


def test_what_is_said_twice_is_not_believed() -> None:
    rule, good = OriginRule(LISTED), "https://app.example.com"
    assert rule.objection(Provenance([good, good])) == UNTRUSTED_ORIGIN
    assert rule.objection(Provenance([], ["same-origin", "cross-site"])) == UNTRUSTED_ORIGIN
    assert rule.objection(Provenance([], [], [good, good])) == UNTRUSTED_REFERER


def test_who_says_nothing_is_no_browser() -> None:
    assert OriginRule(NetworkSettings()).objection(Provenance()) == ""
