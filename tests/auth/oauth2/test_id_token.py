"""Keys and logout tokens; what ID tokens must be is tried in test_flow.py over HTTP too.

Source: OpenID Connect Back-Channel Logout 1.0 section 2.6, RFC 7518 section 3.
"""

import base64
import json
import time
from typing import Any

import pytest
from joserfc import jws

from bennu.auth.oauth2.id_token import (
    LOGOUT_EVENT,
    Expected,
    TokenRefusedError,
    UnknownKeyError,
    keys_of,
    verified_claims,
    verified_logout,
)
from bennu.kernel.secret import Secret
from fakes.hostile_provider import RSA_KEY, SharedKey, make_key, signed

NOW = 1_800_000_000
ISSUER = "https://idp.example"
PUBLIC = keys_of({"keys": [RSA_KEY.as_dict(private=False)]})


def expected(**changes: Any) -> Expected:
    values: dict[str, Any] = {
        "issuer": ISSUER,
        "client_id": "c",
        "algorithms": ("RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256"),
        "client_secret": Secret("a secret of 32 bytes, or even more"),
        "now_seconds": NOW,
        "nonce": "n",
        **changes,
    }
    return Expected(**values)


def id_token(header: dict[str, Any] | None = None, key: Any = RSA_KEY, **claims: Any) -> str:
    values = {"iss": ISSUER, "aud": "c", "sub": "s", "iat": NOW, "exp": NOW + 60, "nonce": "n"}
    return signed({**values, **claims}, key, {"alg": "RS256", **(header or {})})


def logout_token(header: dict[str, Any] | None = None, **claims: Any) -> str:
    values = {
        "iss": ISSUER,
        "aud": "c",
        "iat": NOW,
        "exp": NOW + 60,
        "jti": "j",
        "sid": "x",
        "events": {LOGOUT_EVENT: {}},
        **claims,
    }
    kept = {name: value for name, value in values.items() if value is not None}
    return signed(kept, RSA_KEY, {"alg": "RS256", "typ": "logout+jwt", **(header or {})})


@pytest.mark.asvs("9.2.1")
@pytest.mark.parametrize("seconds", [-59, 0, 59 + 60])
def test_clocks_may_differ_by_a_minute(seconds: int) -> None:
    assert verified_claims(id_token(), PUBLIC, expected(now_seconds=NOW + seconds))["sub"] == "s"


@pytest.mark.asvs("9.2.1")
@pytest.mark.parametrize("seconds", [-61, 121])
def test_and_by_no_more(seconds: int) -> None:
    with pytest.raises(TokenRefusedError):
        verified_claims(id_token(), PUBLIC, expected(now_seconds=NOW + seconds))


@pytest.mark.parametrize(
    "claims", [{"aud": ["c"]}, {"aud": ["c", "d"], "azp": "c"}, {"azp": "c"}, {"sid": 7}]
)
def test_a_token_for_us_and_others_is_for_us(claims: dict[str, Any]) -> None:
    assert verified_claims(id_token(**claims), PUBLIC, expected())


def test_an_access_token_is_vouched_for() -> None:
    """Example of OpenID Connect Core, appendix A.4."""
    token = id_token(at_hash="77QmUPtjPfzWtF2AnpK9RQ")
    access = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
    assert verified_claims(token, PUBLIC, expected(access_token=access))
    with pytest.raises(TokenRefusedError, match="wrong_access_token"):
        verified_claims(token, PUBLIC, expected(access_token=access + "x"))


def test_a_short_client_secret_is_no_key() -> None:
    token = id_token({"alg": "HS256"}, SharedKey(b"short"))
    with pytest.raises(TokenRefusedError, match="short_client_secret"):
        verified_claims(token, PUBLIC, expected(client_secret=Secret("short")))
    with pytest.raises(UnknownKeyError):
        verified_claims(token, PUBLIC, expected(client_secret=None))


def test_a_shared_key_of_the_documents_verifies_nothing() -> None:
    """Everybody can read it; OpenID Connect Core 10.1 knows the client secret only."""
    shared = SharedKey(b"0123456789abcdef0123456789abcdef")
    published = {**shared.as_dict(private=False), "kid": "s"}
    assert keys_of({"keys": [published]}) == ()
    keys = keys_of({"keys": [published, RSA_KEY.as_dict(private=False)]})
    token = id_token({"alg": "HS256", "kid": "s"}, shared)
    with pytest.raises(UnknownKeyError):
        verified_claims(token, keys, expected(client_secret=None))
    with pytest.raises(TokenRefusedError, match="bad_signature"):
        verified_claims(token, keys, expected())
    with pytest.raises(TokenRefusedError, match="wrong_algorithm"):
        verified_claims(token, keys, expected(algorithms=("RS256",)))
    own = id_token({"alg": "HS256"}, SharedKey(b"a secret of 32 bytes, or even more"))
    assert verified_claims(own, keys, expected())


@pytest.mark.parametrize(
    "parameters",
    [
        {"use": "enc"},
        {"alg": "PS256"},
        {"kid": "other"},
        {"kty": "EC"},
    ],
)
def test_a_key_for_something_else_is_not_used(parameters: dict[str, Any]) -> None:
    keys = keys_of({"keys": [{**RSA_KEY.as_dict(private=False), **parameters}]})
    with pytest.raises(UnknownKeyError):
        verified_claims(id_token({"kid": "first"}), keys, expected())


def test_keys_that_cannot_be_used_are_left_out() -> None:
    short = {"kty": "RSA", "e": "AQAB", "n": "q" * 171}  # 1024 bits
    odd: list[Any] = [7, None, {}, {"kty": "RSA"}, {"kty": "x"}, {"kty": "oct", "k": "c2hvcnQ"}]
    assert keys_of({"keys": [short, *odd]}) == ()
    assert keys_of({"keys": "none"}) == keys_of({}) == ()
    assert len(keys_of({"keys": [RSA_KEY.as_dict(private=False)] * 200})) == 100


def test_private_parts_of_a_published_key_are_dropped() -> None:
    (key,) = keys_of({"keys": [make_key("Ed25519", "k").as_dict(private=True)]})
    assert not key.key.is_private


def test_many_keys_without_a_name_are_tried() -> None:
    others = [make_key("RS256", "x").as_dict(private=False), RSA_KEY.as_dict(private=False)]
    assert verified_claims(id_token(), keys_of({"keys": others}), expected())


@pytest.mark.parametrize(
    ("claims", "order"),
    [
        ({}, ("j", None, "x")),
        ({"sub": "s"}, ("j", "s", "x")),
        ({"sub": "s", "sid": None}, ("j", "s", None)),
        ({"exp": None}, ("j", None, "x")),
    ],
)
def test_a_logout_token_says_whose_session_ends(
    claims: dict[str, Any], order: tuple[str, str | None, str | None]
) -> None:
    found = verified_logout(logout_token(**claims), PUBLIC, expected())
    assert (found.token_id, found.subject, found.session_id) == order


@pytest.mark.asvs("10.5.5")
@pytest.mark.parametrize(
    ("header", "claims", "reason"),
    [
        ({"typ": "JWT"}, {}, "wrong_type"),
        ({"typ": ""}, {}, "wrong_type"),
        ({}, {"iss": "https://other.example"}, "wrong_issuer"),
        ({}, {"aud": "other"}, "wrong_audience"),
        ({}, {"iat": None}, "no_times"),
        ({}, {"iat": NOW - 361, "exp": None}, "expired"),
        ({}, {"iat": NOW + 61}, "issued_in_future"),
        ({}, {"exp": NOW - 60}, "expired"),
        ({}, {"exp": "x"}, "no_times"),
        ({}, {"nonce": "n"}, "nonce_in_logout_token"),
        ({}, {"events": None}, "no_logout_event"),
        ({}, {"events": {}}, "no_logout_event"),
        ({}, {"events": [LOGOUT_EVENT]}, "no_logout_event"),
        ({}, {"events": {LOGOUT_EVENT: True}}, "no_logout_event"),
        ({}, {"jti": None}, "incomplete_logout_token"),
        ({}, {"sid": None}, "incomplete_logout_token"),
        ({}, {"sid": 7}, "incomplete_logout_token"),
        ({}, {"sub": ""}, "incomplete_logout_token"),
        ({"alg": "none"}, {}, "wrong_algorithm"),
    ],
)
def test_a_logout_token_that_is_not_as_it_must_be_is_refused(
    header: dict[str, Any], claims: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TokenRefusedError, match=reason):
        verified_logout(logout_token(header, **claims), PUBLIC, expected())


@pytest.mark.asvs("9.2.2")
def test_an_id_token_is_no_logout_token_and_the_other_way_round() -> None:
    with pytest.raises(TokenRefusedError):
        verified_logout(id_token({"typ": "JWT"}), PUBLIC, expected())
    with pytest.raises(TokenRefusedError):
        verified_claims(logout_token(sub="s"), PUBLIC, expected())


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "." * 70_000, "é.b.c", "eyJhbGciOiJSUzI1NiJ9..", "a" * 65_000]
)
def test_garbage_costs_little_and_says_so(text: str) -> None:
    began = time.process_time()
    with pytest.raises(TokenRefusedError):
        verified_claims(text, PUBLIC, expected())
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "header",
    [
        *('["alg"]', '["alg", "crit"]', '"alg"', "7", "null", "{}"),
        '{"alg": []}',
        '{"alg": {}}',
        '{"alg": "RS256", "kid": []}',
        '{"alg": "RS256", "typ": []}',
        '{"alg": ' + "[" * 5_000 + "]" * 5_000 + "}",
        "[" * 5_000,
    ],
)
def test_a_header_of_another_kind_is_refused(header: str) -> None:
    token = f"{base64.urlsafe_b64encode(header.encode()).rstrip(b'=').decode()}.e30.AA"
    for check in (verified_claims, verified_logout):
        with pytest.raises(TokenRefusedError):
            check(token, PUBLIC, expected())


@pytest.mark.parametrize(
    "claims", [json.dumps(["iss"]), '"iss"', "7", "null", '{"a": ' + "[" * 5_000 + "]" * 5_000]
)
def test_claims_of_another_kind_are_refused_although_signed(claims: str) -> None:
    token = jws.serialize_compact({"alg": "RS256"}, claims.encode(), RSA_KEY)
    for check in (verified_claims, verified_logout):
        with pytest.raises(TokenRefusedError):
            check(token, PUBLIC, expected())
