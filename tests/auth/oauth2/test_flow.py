"""Signing in through a provider, and everything that must not work. Spec: 91-133."""

import json
from typing import Any

import pytest
from sqlalchemy import update

from bennu.kernel.secret import Secret
from bennu.storage.schema import users
from fakes.accounts import Accounts
from fakes.clock import FrozenClock
from fakes.hostile_provider import (
    CLIENT_SECRET,
    RSA_KEY,
    HostileProvider,
    SharedKey,
    json_reply,
    make_key,
    public_pem_as_secret,
)
from fakes.http_peer import Reply
from fakes.provider_world import ROOT_URL, ProviderWorld, provider_settings

FIRST = "/.well-known/openid-configuration"


def error_of(answer: Any) -> str:
    assert answer.status_code == 307, (answer.status_code, answer.headers.get("location"))
    path, _, code = answer.headers["location"].partition("?error=")
    assert path == "/login"
    assert "phoenix-access-token" not in answer.headers.get("set-cookie", "")
    return str(code)


async def test_somebody_signs_in_and_lands_where_they_wanted(
    world: ProviderWorld, provider: HostileProvider
) -> None:
    async with world.browser() as browser:
        address = await world.begin(browser, return_url="/projects/x?filter=a%20b")
        assert address.startswith(f"{provider.issuer}/auth?")
        assert f"redirect_uri={ROOT_URL.replace(':', '%3A').replace('/', '%2F')}" in address
        assert "code_challenge_method=S256" in address
        answer = await world.finish(browser, provider.authorize(address))
        assert (answer.status_code, answer.headers["location"]) == (302, "/projects/x?filter=a%20b")
        me = (await browser.get("/v1/user")).json()["data"]
    assert (me["username"], me["role"], me["auth_method"]) == ("Ada", "VIEWER", "OAUTH2")
    made, success = (await world.records())[-2:]
    assert made["event"] == "user.created"
    assert success["event"] == "auth.sign_in.succeeded"
    assert success["after"] == {"method": "oauth2", "provider": "corp", "role": "VIEWER"}


@pytest.mark.asvs("10.5.2")
async def test_the_second_time_it_is_the_same_account(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    for name in ("Ada", "Ada Byron"):
        provider.claims["name"] = name
        async with quick_world.browser() as browser:
            await quick_world.sign_in_at(provider, browser)
            me = (await browser.get("/v1/user")).json()["data"]
    assert me["username"] == "Ada"
    events = [record["event"] for record in await quick_world.records()]
    assert events.count("user.created") == 1


async def test_documents_are_fetched_once_per_lifetime(
    quick_world: ProviderWorld, provider: HostileProvider, clock: FrozenClock
) -> None:
    for _ in range(3):
        async with quick_world.browser() as browser:
            await quick_world.sign_in_at(provider, browser)
    assert (provider.count(FIRST), provider.count("/jwks")) == (1, 1)
    clock.advance(3601)
    async with quick_world.browser() as browser:
        await quick_world.sign_in_at(provider, browser)
    assert (provider.count(FIRST), provider.count("/jwks")) == (2, 2)


# --- state ---------------------------------------------------------------------------------


async def test_an_answer_without_state_or_code_is_no_answer(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    async with quick_world.browser() as browser:
        good = provider.authorize(await quick_world.begin(browser))
        for name in ("state", "code"):
            answer = await quick_world.finish(browser, {k: v for k, v in good.items() if k != name})
            assert answer.status_code == 422
            assert answer.json()["detail"][0]["loc"] == ["query", name]


@pytest.mark.asvs("10.1.2", "10.2.1")
async def test_the_state_of_another_sign_in_is_refused(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    """The cookie of the attacker's own sign-in stands under another name and is never looked at."""
    async with quick_world.browser() as attacker, quick_world.browser() as victim:
        stolen = provider.authorize(await quick_world.begin(attacker))
        await quick_world.begin(victim)
        assert error_of(await quick_world.finish(victim, stolen)) == "invalid_state"
        assert await quick_world.last_refusal() == "missing_handshake"


async def test_a_cookie_under_the_name_of_another_state_is_refused(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    async with quick_world.browser() as browser:
        first = provider.authorize(await quick_world.begin(browser))
        ((first_name, first_value),) = browser.cookies.items()
        browser.cookies.clear()
        second = provider.authorize(await quick_world.begin(browser))
        ((second_name, _),) = browser.cookies.items()
        browser.cookies.clear()
        browser.cookies.set(second_name, first_value)
        assert error_of(await quick_world.finish(browser, second)) == "invalid_state"
        assert await quick_world.last_refusal() == "foreign_state"
        browser.cookies.set(first_name, "changed" + first_value)
        assert error_of(await quick_world.finish(browser, first)) == "invalid_state"


@pytest.mark.asvs("2.3.1", "10.5.1")
async def test_a_state_works_once(world: ProviderWorld, provider: HostileProvider) -> None:
    async with world.browser() as browser:
        answer = provider.authorize(await world.begin(browser))
        kept = dict(browser.cookies)
        assert (await world.finish(browser, answer)).status_code == 302
        async with world.browser() as again:
            again.cookies.update(kept)
            assert error_of(await world.finish(again, answer)) == "invalid_state"
    assert await world.last_refusal() == "replayed_state"


async def test_a_state_ends_after_a_quarter_of_an_hour(
    quick_world: ProviderWorld, provider: HostileProvider, clock: FrozenClock
) -> None:
    async with quick_world.browser() as browser:
        answer = provider.authorize(await quick_world.begin(browser))
        clock.advance(901)
        assert error_of(await quick_world.finish(browser, answer)) == "invalid_state"
    assert await quick_world.last_refusal() == "expired_state"


@pytest.mark.asvs("10.1.2")
async def test_the_callback_in_another_browser_is_refused(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    async with quick_world.browser() as browser, quick_world.browser() as other:
        answer = provider.authorize(await quick_world.begin(browser))
        assert error_of(await quick_world.finish(other, answer)) == "invalid_state"


async def test_a_refusal_at_the_provider_is_told(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    async with quick_world.browser() as browser:
        answer = provider.authorize(await quick_world.begin(browser))
        refused = {"state": answer["state"], "error": "access_denied", "iss": provider.issuer}
        assert error_of(await quick_world.finish(browser, refused)) == "oauth_error"
        assert await quick_world.last_refusal() == "provider_error"


# --- two providers -------------------------------------------------------------------------


@pytest.fixture
async def two(quick_accounts: Accounts, provider: HostileProvider, clock: FrozenClock) -> Any:
    with HostileProvider(clock) as evil:
        world = ProviderWorld(
            quick_accounts,
            provider_settings(provider.config_url),
            provider_settings(evil.config_url, "evil"),
        )
        yield world, evil


@pytest.mark.asvs("10.2.2")
async def test_the_answer_of_one_provider_is_not_taken_for_another(
    two: tuple[ProviderWorld, HostileProvider], provider: HostileProvider
) -> None:
    world, _evil = two
    async with world.browser() as browser:
        # The cookie's path keeps it away already; a browser that sends it all the same:
        answer = provider.authorize(await world.begin(browser))
        jar = dict(browser.cookies)
        browser.cookies.clear()
        browser.cookies.update(jar)
        assert error_of(await world.finish(browser, answer, "evil")) == "invalid_state"
        assert await world.last_refusal() == "other_provider"


@pytest.mark.asvs("10.2.2")
async def test_a_mix_up_is_noticed_by_the_issuer_of_the_answer(
    two: tuple[ProviderWorld, HostileProvider], provider: HostileProvider
) -> None:
    """The honest provider's code comes back on the sign-in that began at the evil one."""
    world, evil = two
    async with world.browser() as browser:
        address = await world.begin(browser, "evil")
        mixed = provider.authorize(address)
        assert error_of(await world.finish(browser, mixed, "evil")) == "auth_failed"
        assert await world.last_refusal() == "wrong_issuer"
        address = await world.begin(browser, "evil")
        silent = {k: v for k, v in provider.authorize(address).items() if k != "iss"}
        assert error_of(await world.finish(browser, silent, "evil")) == "auth_failed"
    assert evil.count("/token") == 0


@pytest.mark.asvs("10.2.1")
async def test_the_code_of_another_client_is_refused(
    two: tuple[ProviderWorld, HostileProvider], provider: HostileProvider
) -> None:
    world, _ = two
    async with world.browser() as browser, world.browser() as other:
        theirs = provider.authorize(await world.begin(other))
        own = provider.authorize(await world.begin(browser))
        injected = {**own, "code": theirs["code"]}
        assert error_of(await world.finish(browser, injected)) == "oauth_error"
        assert await world.last_refusal() == "token_endpoint"


# --- ID tokens -----------------------------------------------------------------------------

SHARED = public_pem_as_secret(RSA_KEY)
OWN_KEYS = [RSA_KEY.as_dict(private=False)]


@pytest.mark.asvs("6.8.2", "9.1.1", "9.2.3", "10.5.1", "10.5.4")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"claims": {"iss": "https://other.example"}}, "wrong_issuer"),
        ({"claims": {"aud": "other-client"}}, "wrong_audience"),
        ({"claims": {"aud": ["other-client"]}}, "wrong_audience"),
        ({"claims": {"aud": ["bennu-client", "other"]}}, "wrong_party"),
        ({"claims": {"aud": None}}, "wrong_audience"),
        ({"claims": {"azp": "other-client"}}, "wrong_party"),
        ({"claims": {"azp": ["bennu-client"]}}, "wrong_party"),
        ({"claims": {"nonce": "another"}}, "wrong_nonce"),
        ({"claims": {"nonce": None}}, "wrong_nonce"),
        ({"claims": {"exp": 1000}}, "expired"),
        ({"claims": {"exp": None}}, "no_times"),
        ({"claims": {"exp": "tomorrow"}}, "no_times"),
        ({"claims": {"iat": 4_000_000_000}}, "issued_in_future"),
        ({"claims": {"nbf": 4_000_000_000}}, "issued_in_future"),
        ({"claims": {"sub": None}}, "no_subject"),
        ({"claims": {"sub": 7}}, "no_subject"),
        ({"claims": {"at_hash": "AAAA"}}, "wrong_access_token"),
        ({"algorithm": "none"}, "wrong_algorithm"),
        ({"algorithm": "none", "header": {"alg": "None"}}, "wrong_algorithm"),
        (
            {"algorithm": "HS256", "key": SHARED, "jwks": OWN_KEYS},
            "bad_signature",
        ),
        ({"algorithm": "HS384", "key": SHARED, "jwks": OWN_KEYS}, "wrong_algorithm"),
        (
            {"key": make_key("RS256", "first"), "jwks": OWN_KEYS},
            "bad_signature",
        ),
        (
            {
                "key": make_key("ES256", "e"),
                "algorithm": "ES256",
                "jwks": OWN_KEYS,
            },
            "unknown_key",
        ),
        ({"header": {"kid": "unheard-of"}}, "unknown_key"),
        ({"header": {"crit": ["x"], "x": 1}}, "unreadable"),
        ({"claims": {"filler": "x" * 70_000}}, "too_large"),
    ],
)
async def test_a_token_that_is_not_as_it_must_be_is_refused(
    quick_world: ProviderWorld, provider: HostileProvider, changes: dict[str, Any], reason: str
) -> None:
    for name, value in changes.items():
        setattr(provider, name, value)
    async with quick_world.browser() as browser:
        assert error_of(await quick_world.sign_in_at(provider, browser)) == "auth_failed"
    assert await quick_world.last_refusal() == reason


@pytest.mark.asvs("9.1.2")
async def test_the_public_key_is_no_secret_where_the_provider_lists_no_hs256(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    provider.metadata["id_token_signing_alg_values_supported"] = ["RS256"]
    provider.algorithm, provider.key = "HS256", SHARED
    provider.jwks = OWN_KEYS
    async with quick_world.browser() as browser:
        await quick_world.sign_in_at(provider, browser)
    assert await quick_world.last_refusal() == "wrong_algorithm"


@pytest.mark.asvs("9.1.3")
async def test_a_key_that_the_token_brings_along_is_not_looked_at(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    own = make_key("RS256", "first")
    provider.key, provider.jwks = own, OWN_KEYS
    provider.header = {"jwk": own.as_dict(private=False)}
    async with quick_world.browser() as browser:
        await quick_world.sign_in_at(provider, browser)
    assert await quick_world.last_refusal() == "bad_signature"


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c.d", "é.é.é", "....", 7, None])
async def test_what_is_no_token_is_refused(
    quick_world: ProviderWorld, provider: HostileProvider, token: Any
) -> None:
    provider.token_answer = lambda _: json_reply({"id_token": token, "access_token": "x"})
    async with quick_world.browser() as browser:
        code = error_of(await quick_world.sign_in_at(provider, browser))
    is_text = isinstance(token, str) and token
    assert code == ("auth_failed" if is_text else "no_oidc_support")


async def test_without_an_id_token_there_is_no_sign_in(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    provider.token_answer = lambda _: json_reply({"access_token": "x", "token_type": "Bearer"})
    async with quick_world.browser() as browser:
        assert error_of(await quick_world.sign_in_at(provider, browser)) == "no_oidc_support"


async def test_a_flood_of_unknown_keys_makes_the_keys_be_fetched_once_a_minute(
    quick_world: ProviderWorld, provider: HostileProvider, clock: FrozenClock
) -> None:
    async with quick_world.browser() as browser:
        await quick_world.sign_in_at(provider, browser)
        provider.header = {"kid": "unheard-of"}
        for _ in range(10):
            await quick_world.sign_in_at(provider, browser)
        assert provider.count("/jwks") == 2
        clock.advance(61)
        await quick_world.sign_in_at(provider, browser)
        assert provider.count("/jwks") == 3


async def test_a_new_key_of_the_provider_is_found_at_once(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    async with quick_world.browser() as browser:
        await quick_world.sign_in_at(provider, browser)
        provider.key, provider.algorithm = make_key("ES256", "second"), "ES256"
        assert (await quick_world.sign_in_at(provider, browser)).status_code == 302
        assert provider.count("/jwks") == 2


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"])
async def test_every_listed_algorithm_is_accepted(
    quick_world: ProviderWorld, provider: HostileProvider, algorithm: str
) -> None:
    provider.algorithm = algorithm
    if algorithm not in {"RS256", "PS256"}:
        provider.key = make_key(algorithm, "k")
    async with quick_world.browser() as browser:
        assert (await quick_world.sign_in_at(provider, browser)).status_code == 302


async def test_hs256_works_with_the_client_secret_where_it_is_listed(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    provider.jwks = OWN_KEYS
    provider.key, provider.algorithm = SharedKey(CLIENT_SECRET.encode()), "HS256"
    async with quick_world.browser() as browser:
        assert (await quick_world.sign_in_at(provider, browser)).status_code == 302


# --- userinfo ------------------------------------------------------------------------------


async def test_what_the_token_misses_is_asked_for(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    provider.claims = {"email": None, "email_verified": None}
    provider.userinfo = {"sub": "subject-1", "email": "ada@corp.example", "name": "Not Ada"}
    async with quick_world.browser() as browser:
        assert (await quick_world.sign_in_at(provider, browser)).status_code == 302
        assert (await browser.get("/v1/user")).json()["data"]["username"] == "Ada"


async def test_what_the_token_says_is_not_asked_for(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    provider.userinfo = {"sub": "subject-1", "email": "boss@corp.example"}
    async with quick_world.browser() as browser:
        await quick_world.sign_in_at(provider, browser)
        assert (await browser.get("/v1/user")).json()["data"]["email"] == "ada@corp.example"
    assert provider.count("/me") == 0


@pytest.mark.parametrize("subject", ["subject-2", None, 7])
async def test_userinfo_about_somebody_else_is_refused(
    quick_world: ProviderWorld, provider: HostileProvider, subject: Any
) -> None:
    provider.claims = {"email": None}
    provider.userinfo = {"sub": subject, "email": "boss@corp.example"}
    async with quick_world.browser() as browser:
        assert error_of(await quick_world.sign_in_at(provider, browser)) == "auth_failed"
    assert await quick_world.last_refusal() == "userinfo_of_other_subject"


async def test_without_an_email_there_is_no_sign_in(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    provider.claims = {"email": None}
    async with quick_world.browser() as browser:
        assert error_of(await quick_world.sign_in_at(provider, browser)) == "missing_email_scope"


# --- documents and connections --------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"issuer": "https://other.example"}, "provider_metadata"),
        ({"issuer": None}, "provider_metadata"),
        ({"token_endpoint": "http://internal.example/token"}, "provider_metadata"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "provider_metadata"),
        ({"jwks_uri": "https://user@idp.example/jwks"}, "provider_metadata"),
    ],
)
async def test_a_document_that_cannot_be_trusted_is_refused(
    quick_world: ProviderWorld, provider: HostileProvider, metadata: dict[str, Any], reason: str
) -> None:
    provider.metadata = metadata
    async with quick_world.browser() as browser:
        assert error_of(await browser.get("/oauth2/corp/login")) == "auth_failed"
    assert await quick_world.last_refusal() == reason


@pytest.mark.parametrize(
    ("endpoint", "url", "reason"),
    [
        ("token_endpoint", "https://169.254.169.254/latest/meta-data", "destination_refused"),
        ("token_endpoint", "https://10.0.0.1/token", "destination_refused"),
        ("jwks_uri", "https://[::ffff:127.0.0.1]/jwks", "destination_refused"),
    ],
)
async def test_a_document_does_not_lead_the_server_inside(
    quick_world: ProviderWorld, provider: HostileProvider, endpoint: str, url: str, reason: str
) -> None:
    provider.metadata = {endpoint: url}
    async with quick_world.browser() as browser:
        assert error_of(await quick_world.sign_in_at(provider, browser)) == "auth_failed"
    assert await quick_world.last_refusal() == reason


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        ("/jwks", Reply(endless=True)),
        ("/token", Reply(silent=True)),
        ("/jwks", Reply(silent=True)),
        ("/jwks", Reply(headers={"content-length": "104857600"})),
        ("/jwks", Reply(302, headers={"location": "http://169.254.169.254/latest/meta-data"})),
        ("/token", Reply(302, headers={"location": "http://127.0.0.1:1/"})),
        ("/token", Reply(500, b"<html>")),
        ("/token", Reply(200, b"[]")),
        ("/token", Reply(200, b"\xff\xfe")),
        ("/jwks", Reply(200, json.dumps({"keys": []}).encode())),
        ("/jwks", Reply(404)),
    ],
)
async def test_a_provider_that_answers_with_something_else_signs_nobody_in(
    quick_world: ProviderWorld, provider: HostileProvider, path: str, reply: Reply
) -> None:
    provider.replies = {path: reply}
    async with quick_world.browser() as browser:
        code = error_of(await quick_world.sign_in_at(provider, browser))
    assert code in {"auth_failed", "oauth_error"}
    assert await quick_world.last_refusal() in {
        *("provider_unavailable", "provider_metadata", "token_endpoint"),
    }


@pytest.mark.asvs("16.5.2")
async def test_a_provider_that_is_down_is_an_error_page(
    quick_accounts: Accounts, clock: FrozenClock, caplog: pytest.LogCaptureFixture
) -> None:
    with HostileProvider(clock) as gone:
        world = ProviderWorld(quick_accounts, provider_settings(gone.config_url))
    async with world.browser() as browser:
        for method in ("GET", "POST"):
            answer = await browser.request(method, "/oauth2/corp/login")
            assert answer.status_code == (307 if method == "GET" else 303)
            assert answer.headers["location"] == "/login?error=auth_failed"
    assert await world.last_refusal() == "provider_unavailable"
    assert any("ConnectError" in str(vars(record)) for record in caplog.records)


async def test_an_unknown_provider_is_an_error_page(quick_world: ProviderWorld) -> None:
    async with quick_world.browser() as browser:
        assert error_of(await browser.get("/oauth2/nobody/login")) == "unknown_idp"
        answer = await browser.get("/oauth2/a;b%0d%0ac/tokens", params={"state": "x", "code": "y"})
        assert error_of(answer) == "unknown_idp"
    assert await quick_world.last_refusal() == "unknown_provider"


@pytest.mark.asvs("3.7.2")
@pytest.mark.parametrize(
    "place",
    [
        *("//evil.example", "/\\evil.example", "/%2fevil.example", "https://evil.example"),
        *("/@evil.example", "/\tevil", "javascript:alert(1)", "/%252fevil.example"),
    ],
)
async def test_nobody_is_led_to_another_site(quick_world: ProviderWorld, place: str) -> None:
    async with quick_world.browser() as browser:
        answer = await browser.get("/oauth2/corp/login", params={"returnUrl": place})
        assert error_of(answer) == "unsafe_return_url"
    assert await quick_world.last_refusal() == "unsafe_return_url"


# --- who may enter -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "claims", "outcome"),
    [
        ({"allowed_groups": ("a",), "groups_attribute_path": "groups"}, {"groups": ["b", "a"]}, ""),
        ({"allowed_groups": ("a",), "groups_attribute_path": "groups"}, {"groups": "a"}, ""),
        (
            {"allowed_groups": ("a",), "groups_attribute_path": "groups"},
            {"groups": ["A"]},
            "group_not_allowed",
        ),
        ({"allowed_groups": ("a",), "groups_attribute_path": "groups"}, {}, "group_not_allowed"),
        ({"role_attribute_path": "role", "role_attribute_strict": True}, {"role": "x"}, "no_role"),
        ({"role_attribute_path": "role", "role_attribute_strict": True}, {"role": "ADMIN"}, ""),
        ({"allow_sign_up": False}, {}, "sign_in_not_allowed"),
    ],
)
async def test_the_settings_say_who_may_enter(
    quick_accounts: Accounts,
    provider: HostileProvider,
    settings: dict[str, Any],
    claims: dict[str, Any],
    outcome: str,
) -> None:
    world = ProviderWorld(quick_accounts, provider_settings(provider.config_url, **settings))
    provider.claims = claims
    async with world.browser() as browser:
        answer = await world.sign_in_at(provider, browser)
    if not outcome:
        assert answer.status_code == 302
        return
    code = "sign_in_not_allowed" if outcome == "sign_in_not_allowed" else "auth_failed"
    assert error_of(answer) == code
    assert await world.last_refusal() == outcome


@pytest.mark.parametrize(("resync", "roles"), [(True, ["ADMIN", "VIEWER"]), (False, ["ADMIN"] * 2)])
async def test_a_role_follows_the_provider_unless_it_is_told_not_to(
    quick_accounts: Accounts, provider: HostileProvider, resync: bool, roles: list[str]
) -> None:
    settings = provider_settings(
        provider.config_url,
        role_attribute_path="role",
        role_mapping=(("boss", "ADMIN"),),
        role_resync=resync,
    )
    world = ProviderWorld(quick_accounts, settings)
    seen = []
    for word in ("boss", "clerk"):
        provider.claims = {"role": word}
        async with world.browser() as browser:
            await world.sign_in_at(provider, browser)
            seen.append((await browser.get("/v1/user")).json()["data"]["role"])
    assert seen == roles


async def test_a_local_account_is_never_taken_over(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    await quick_world.accounts.add_user("ada", password=Secret("correct horse battery"))
    provider.claims = {"email": "ada@example.com"}
    async with quick_world.browser() as browser:
        assert error_of(await quick_world.sign_in_at(provider, browser)) == "email_in_use"


async def test_a_deactivated_account_stays_out(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    async with quick_world.browser() as browser:
        await quick_world.sign_in_at(provider, browser)
        await quick_world.accounts.database.write(
            lambda c: c.execute(update(users).values(active=False))
        )
        assert error_of(await quick_world.sign_in_at(provider, browser)) == "sign_in_not_allowed"


@pytest.mark.asvs("10.1.1")
async def test_no_token_of_the_provider_reaches_the_browser(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    """ID token and access token stay on the server: in no cookie, address, header or body."""
    async with quick_world.browser() as browser:
        begun = await browser.get("/oauth2/corp/login")
        answer = await quick_world.sign_in_at(provider, browser)
        assert answer.status_code == 302
        me = await browser.get("/v1/user")
        listed = await browser.get("/v1/user/sessions")
        told = " ".join(
            text
            for one in (begun, answer, me, listed)
            for text in (one.text, *(f"{k}: {v}" for k, v in one.headers.multi_items()))
        )
        told += " ".join(f"{name}={value}" for name, value in browser.cookies.items())
    assert provider.issued
    for token in provider.issued:
        assert token not in told
        assert token.rpartition(".")[2] not in told
    assert "eyJ" not in told
