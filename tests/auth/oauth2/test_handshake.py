"""State, nonce and verifier. Source: RFC 7636 appendix B, RFC 6749 section 10.12."""

from urllib.parse import parse_qs, urlsplit

import pytest

from bennu.auth.oauth2.handshake import (
    Handshake,
    HandshakeRefusedError,
    Handshakes,
    authorization_address,
    code_challenge,
    cookie_name,
    with_query,
)
from bennu.auth.oauth2.metadata import Metadata
from bennu.kernel.ids import SystemEntropy
from bennu.storage.database import Database
from fakes.accounts import CIPHER
from fakes.clock import FrozenClock
from fakes.provider_world import provider_settings

ISSUER = "https://idp.example"
METADATA = Metadata(ISSUER, f"{ISSUER}/auth?p=1", f"{ISSUER}/token", f"{ISSUER}/jwks")
SETTINGS = provider_settings(f"{ISSUER}/.well-known/openid-configuration")


@pytest.fixture
def handshakes(database: Database) -> Handshakes:
    return Handshakes(database, SystemEntropy(), CIPHER)


def begun(handshakes: Handshakes, settings: object = SETTINGS) -> Handshake:
    callback = "https://b.example/oauth2/corp/tokens"
    return handshakes.begin(settings, METADATA, callback, "/x")  # type: ignore[arg-type]


@pytest.mark.asvs("10.2.1")
def test_the_challenge_of_the_rfc() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert code_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_parameters_join_an_address_that_has_some() -> None:
    assert with_query("https://a.example/x?y=1", {"z": "2 3"}) == "https://a.example/x?y=1&z=2+3"


@pytest.mark.asvs("10.1.2")
async def test_what_is_asked_of_the_provider(handshakes: Handshakes) -> None:
    handshake = begun(handshakes)
    address = authorization_address(handshake, SETTINGS, METADATA)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert asked == {
        "p": "1",
        "response_type": "code",
        "client_id": "bennu-client",
        "redirect_uri": "https://b.example/oauth2/corp/tokens",
        "scope": "openid email profile",
        "state": handshake.state,
        "nonce": handshake.nonce,
        "code_challenge": code_challenge(handshake.verifier),
        "code_challenge_method": "S256",
    }
    assert min(len(handshake.state), len(handshake.nonce), len(handshake.verifier)) >= 43


async def test_without_pkce_nothing_is_said_of_it(handshakes: Handshakes) -> None:
    settings = provider_settings(SETTINGS.oidc_config_url, use_pkce=False)
    handshake = begun(handshakes, settings)
    assert "code_challenge" not in authorization_address(handshake, settings, METADATA)
    assert handshake.verifier == ""


async def test_a_handshake_comes_back_once(handshakes: Handshakes, clock: FrozenClock) -> None:
    handshake = begun(handshakes)
    cookie = handshakes.seal(handshake)
    assert handshake.state not in cookie
    assert handshake.verifier not in cookie
    assert await handshakes.take_back(cookie, "corp", handshake.state) == handshake
    with pytest.raises(HandshakeRefusedError, match="replayed_state"):
        await handshakes.take_back(cookie, "corp", handshake.state)
    clock.advance(900)
    with pytest.raises(HandshakeRefusedError, match="expired_state"):
        await handshakes.take_back(cookie, "corp", handshake.state)


async def test_it_comes_back_for_its_own_answer_only(handshakes: Handshakes) -> None:
    handshake = begun(handshakes)
    cookie = handshakes.seal(handshake)
    for provider, state, reason in (
        ("other", handshake.state, "other_provider"),
        ("corp", begun(handshakes).state, "foreign_state"),
        ("corp", "", "foreign_state"),
        ("corp", "\ud800é", "foreign_state"),
    ):
        with pytest.raises(HandshakeRefusedError, match=reason):
            await handshakes.take_back(cookie, provider, state)
    assert await handshakes.take_back(cookie, "corp", handshake.state)


async def test_only_a_cookie_of_this_server_is_opened(handshakes: Handshakes) -> None:
    handshake = begun(handshakes)
    sealed = handshakes.seal(handshake)
    other_sealed_values = (CIPHER.seal('["a","b"]'), CIPHER.seal(b"\xff"), CIPHER.seal("{}"))
    cookies = ("", "x", sealed[:-8], "x" * 9000, "é", *other_sealed_values)
    for cookie in cookies:
        with pytest.raises(HandshakeRefusedError, match="missing_handshake"):
            await handshakes.take_back(cookie, "corp", handshake.state)


def test_each_state_has_a_cookie_of_its_own() -> None:
    assert cookie_name("a") != cookie_name("b")
    assert cookie_name("a").startswith("phoenix-oauth2-state-")
