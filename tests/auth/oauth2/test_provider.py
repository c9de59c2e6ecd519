"""What is kept of providers, and for how long; what they answer is tried in test_flow.py."""

import asyncio

import pytest

from bennu.auth.oauth2.id_token import UnknownKeyError
from bennu.auth.oauth2.metadata import MetadataError
from bennu.auth.oauth2.provider import IdentityProviders, TokenEndpointError
from bennu.kernel.ids import SystemEntropy
from bennu.network.egress import Egress, EgressError
from fakes.clock import FrozenClock
from fakes.hostile_provider import HostileProvider, json_reply
from fakes.http_peer import Reply
from fakes.provider_world import LOOPBACK, provider_settings

DOCUMENT = "/.well-known/openid-configuration"


@pytest.fixture
def talker(clock: FrozenClock) -> IdentityProviders:
    return IdentityProviders(Egress(LOOPBACK), clock, SystemEntropy())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 3600),
        ("public, max-age=7200", 7200),
        ("max-age=1", 300),
        ("no-store", 3600),
        ("s-maxage=9000", 3600),
        ("max-age=99999999", 86_400),
    ],
)
async def test_documents_live_as_long_as_they_say_within_bounds(
    talker: IdentityProviders,
    provider: HostileProvider,
    clock: FrozenClock,
    header: str,
    seconds: int,
) -> None:
    reply = json_reply(provider.document())
    provider.replies[DOCUMENT] = Reply(200, reply.body, {"cache-control": header})
    settings = provider_settings(provider.config_url)
    await talker.metadata(settings)
    clock.advance(seconds - 1)
    await talker.metadata(settings)
    assert provider.count(DOCUMENT) == 1
    clock.advance(1)
    await talker.metadata(settings)
    assert provider.count(DOCUMENT) == 2


async def test_many_at_once_ask_once(talker: IdentityProviders, provider: HostileProvider) -> None:
    settings = provider_settings(provider.config_url)
    await asyncio.gather(*(talker.keys(settings) for _ in range(20)))
    assert (provider.count(DOCUMENT), provider.count("/jwks")) == (1, 1)


async def test_new_keys_are_fetched_where_the_document_moved_them(
    talker: IdentityProviders, provider: HostileProvider, clock: FrozenClock
) -> None:
    settings = provider_settings(provider.config_url)
    await talker.keys(settings)
    provider.metadata["jwks_uri"] = f"{provider.issuer}/keys"
    provider.replies["/keys"] = json_reply({"keys": [provider.key.as_dict(private=False)]})
    provider.replies["/jwks"] = Reply(500)
    clock.advance(3600)
    assert await talker.keys(settings)
    assert provider.count("/keys") == 1


async def test_a_check_that_never_knows_the_key_is_refused(
    talker: IdentityProviders, provider: HostileProvider
) -> None:
    def check(_: object) -> None:
        raise UnknownKeyError

    settings = provider_settings(provider.config_url)
    for _ in range(3):
        with pytest.raises(UnknownKeyError):
            await talker.with_keys(settings, check)
    assert provider.count("/jwks") == 2


async def test_no_more_than_a_hundred_providers_are_kept(
    talker: IdentityProviders, provider: HostileProvider
) -> None:
    for number in range(120):
        address = f"{provider.config_url}?n={number}"
        await talker.metadata(provider_settings(address))
    assert talker.providers_known() == 100


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (json_reply({"error": "invalid_client"}, 401), "invalid_client"),
        (json_reply({"error": "<script>"}, 400), ""),
        (json_reply({"error": 7}, 400), ""),
        (Reply(502, b"bad gateway"), ""),
    ],
)
async def test_a_refusal_of_the_token_endpoint_keeps_its_word(
    talker: IdentityProviders, provider: HostileProvider, reply: Reply, error: str
) -> None:
    provider.replies["/token"] = reply
    settings = provider_settings(provider.config_url)
    metadata = await talker.metadata(settings)
    with pytest.raises(TokenEndpointError) as refusal:
        await talker.ask_token_endpoint(settings, metadata, {})
    assert refusal.value.error == error
    assert "script" not in refusal.value.detail


async def test_a_document_that_is_not_there_is_said_so(
    talker: IdentityProviders, provider: HostileProvider
) -> None:
    provider.replies[DOCUMENT] = Reply(404)
    with pytest.raises(MetadataError) as refusal:
        await talker.metadata(provider_settings(provider.config_url))
    assert "404" in refusal.value.detail


@pytest.mark.parametrize("path", [DOCUMENT, "/jwks"])
async def test_of_many_at_once_only_the_first_waits_for_a_silent_provider(
    provider: HostileProvider, clock: FrozenClock, path: str
) -> None:
    talker = IdentityProviders(Egress(LOOPBACK), clock, SystemEntropy(), answer_seconds=0.3)
    settings = provider_settings(provider.config_url)
    provider.replies[path] = Reply(silent=True)
    for number in (1, 2):
        failed = await asyncio.gather(
            *(talker.keys(settings) for _ in range(20)), return_exceptions=True
        )
        assert {type(error) for error in failed} == {EgressError}
        assert provider.count(path) == number
        clock.advance(5)
    del provider.replies[path]
    assert await talker.keys(settings)


async def test_an_address_that_moved_is_asked_at_once(
    talker: IdentityProviders, provider: HostileProvider
) -> None:
    provider.replies[DOCUMENT] = Reply(500)
    with pytest.raises(MetadataError):
        await talker.metadata(provider_settings(provider.config_url))
    del provider.replies[DOCUMENT]
    with pytest.raises(MetadataError):
        await talker.metadata(provider_settings(provider.config_url))
    assert await talker.metadata(provider_settings(f"{provider.config_url}?corrected"))
