"""The specification's identity providers, against a certified one. Spec: lines 91-133.

The four samples are taken as printed; only address, id and secret are adapted.
"""

import subprocess
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey

from bennu.app import Application
from bennu.kernel.env_file import EnvFile, env_of
from bennu.settings import Settings
from peers.oidc import OidcClient, OidcPeer, provider_variables, sign_in_at_peer
from started import ADMIN_SECRET, StartedServer

SAMPLES = Path(__file__).parent / "samples"
ALGORITHMS = ("RS256", "PS256", "ES256", "Ed25519", "HS256")
METHODS = ("client_secret_basic", "client_secret_post", "none", "private_key_jwt")
COMBINATIONS = tuple(
    (method, pkce, algorithm)
    for method, pkce, algorithm in product(METHODS, (True, False), ALGORITHMS)
    # A public client has no secret for HS256, and no sign-in without PKCE.
    if method != "none" or (pkce and algorithm != "HS256")
)


def name_of(method: str, pkce: bool, algorithm: str) -> str:
    return f"{method}_{'pkce' if pkce else 'plain'}_{algorithm}".lower()


def sample(name: str, **adapted: str) -> dict[str, str]:
    """Return a printed sample with the values of some lines replaced."""
    (file,) = SAMPLES.glob(f"*-{name}.env")
    lines = []
    for line in file.read_text().splitlines():
        key = line.partition("=")[0].strip()
        suffix = key.removeprefix(f"PHOENIX_OAUTH2_{name.upper()}_")
        lines.append(f"{key} = {adapted[suffix]}" if suffix in adapted else line)
    env = env_of({}, EnvFile("\n".join(lines) + "\n", "sample", {}))
    assert env.problems == []
    return {key: value.text for key, value in env.values.items()}


class World:
    """One server with every provider that the tests need, and the people at the provider."""

    def __init__(self, server: StartedServer, peer: OidcPeer) -> None:
        self.server, self.peer = server, peer

    def sign_in(self, name: str, subject: str, return_url: str = "") -> httpx.Client:
        """Return the browser of somebody who went through the provider, in or not."""
        browser = self.server.client()
        query = {"returnUrl": return_url} if return_url else {}
        begun = browser.get(f"/oauth2/{name}/login", params=query)
        assert begun.status_code == 302, begun.headers
        with httpx.Client() as at_provider:
            there = sign_in_at_peer(
                at_provider, begun.headers["location"], subject, self.server.base_url
            )
        self.last = browser.get(there)
        return browser

    def user(self, name: str, subject: str) -> dict[str, Any]:
        """Return the account of somebody who must get in."""
        browser = self.sign_in(name, subject)
        assert self.last.status_code == 302, self.last.headers
        found: dict[str, Any] = browser.get("/v1/user").json()["data"]
        return found

    def error(self, name: str, subject: str) -> str:
        """Return the code with which somebody is refused."""
        browser = self.sign_in(name, subject)
        assert self.last.status_code == 307, self.last.headers
        assert browser.get("/v1/user").status_code == 401
        return str(parse_qs(urlsplit(self.last.headers["location"]).query)["error"][0])

    def admin(self) -> httpx.Client:
        return self.server.client(ADMIN_SECRET)


def make_world(server: StartedServer, peer: OidcPeer, keys: Path) -> World:
    def register(name: str, issuer: str = "", **metadata: Any) -> OidcClient:
        callback = f"{server.base_url}/oauth2/{name}/tokens"
        out = {
            "post_logout_redirect_uris": [f"{server.base_url}/login"],
            "backchannel_logout_uri": f"{server.base_url}/oauth2/{name}/backchannel-logout",
            "backchannel_logout_session_required": True,
        }
        return peer.register(callback, issuer, **out, **metadata)

    url, userinfo_url = peer.config_url(peer.issuer), peer.config_url(peer.userinfo_issuer)
    for provider in ("google", "microsoft", "cognito", "keycloak"):
        client = register(provider)
        server.env |= sample(
            provider, CLIENT_ID=client.id, CLIENT_SECRET=client.secret, OIDC_CONFIG_URL=url
        )
    private, jwk = make_private_key(keys)
    for method, pkce, algorithm in COMBINATIONS:
        name = name_of(method, pkce, algorithm)
        metadata: dict[str, Any] = {
            "token_endpoint_auth_method": method,
            "id_token_signed_response_alg": algorithm,
            "client_name": "pkce" if pkce else "plain",
        }
        more = {"TOKEN_ENDPOINT_AUTH_METHOD": method, "USE_PKCE": str(pkce).lower()}
        if method == "private_key_jwt":
            metadata["jwks"] = {"keys": [jwk]}
            more["PRIVATE_KEY_FILE"] = str(private)
        server.env |= provider_variables(name, url, register(name, **metadata), **more)
    others = {
        "roles": {"ROLE_ATTRIBUTE_PATH": "role", "ROLE_MAPPING": "boss:ADMIN,clerk:MEMBER"},
        "kept": {"ROLE_ATTRIBUTE_PATH": "role", "ROLE_RESYNC": "false"},
        "strict": {"ROLE_ATTRIBUTE_PATH": "role", "ROLE_ATTRIBUTE_STRICT": "true"},
        "closed": {"ALLOW_SIGN_UP": "false"},
    }
    for name, more in others.items():
        server.env |= provider_variables(name, url, register(name), **more)
    client = register("userinfo", peer.userinfo_issuer)
    more = {"GROUPS_ATTRIBUTE_PATH": "groups", "ALLOWED_GROUPS": "Eng"}
    server.env |= provider_variables("userinfo", userinfo_url, client, **more)
    return World(server, peer)


def make_private_key(folder: Path) -> tuple[Path, dict[str, Any]]:
    file = folder / "client.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "RSA", "-out", str(file)],
        check=True,
        capture_output=True,
    )
    return file, {**RSAKey.import_key(file.read_text()).as_dict(private=False), "use": "sig"}


@pytest.fixture(scope="module")
def world(oidc_peer: OidcPeer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("oauth2")
    server = StartedServer(folder)
    made = make_world(server, oidc_peer, folder)
    with server:
        yield made


def person(peer: OidcPeer, subject: str, **claims: Any) -> str:
    standard = {"email": f"{subject}@corp.example", "email_verified": True, "name": subject.title()}
    peer.add_account(subject, **{k: v for k, v in {**standard, **claims}.items() if v is not None})
    return subject


@pytest.mark.parametrize(("method", "pkce", "algorithm"), COMBINATIONS)
def test_every_way_to_authenticate_with_every_signature(
    world: World, method: str, pkce: bool, algorithm: str
) -> None:
    """Lines 122-128."""
    name = name_of(method, pkce, algorithm)
    subject = person(world.peer, f"p-{name}")
    assert world.user(name, subject)["auth_method"] == "OAUTH2"


def test_the_sample_of_google(world: World) -> None:
    """Lines 93-99."""
    person(world.peer, "gina", picture="https://pictures.example/gina.png")
    user = world.user("google", "gina")
    assert (user["email"], user["username"], user["role"]) == (
        *("gina@corp.example", "Gina", "VIEWER"),
    )


def test_the_sample_of_microsoft_reads_preferred_username(world: World) -> None:
    """Lines 100-106: Entra gives no e-mail."""
    person(
        world.peer, "mia", email=None, email_verified=None, preferred_username="Mia@Contoso.example"
    )
    assert world.user("microsoft", "mia")["email"] == "mia@contoso.example"


def test_the_sample_of_cognito_lets_its_groups_in_and_nobody_else(world: World) -> None:
    """Lines 107-113: a claim name with a colon, as printed."""
    person(world.peer, "carl", **{"cognito:groups": ["Users", "PowerUsers"]})
    person(world.peer, "cleo", **{"cognito:groups": ["Users"]})
    person(world.peer, "cora")
    assert world.user("cognito", "carl")["email"] == "carl@corp.example"
    assert world.error("cognito", "cleo") == "auth_failed"
    assert world.error("cognito", "cora") == "auth_failed"


@pytest.mark.parametrize(
    ("access", "role"),
    [
        ({"phoenix": {"roles": ["admin"], "role": "admin"}}, "ADMIN"),
        ({"phoenix": {"roles": ["user"], "role": "user"}}, "MEMBER"),
        ({"phoenix": {"roles": []}}, "VIEWER"),
        ({}, "VIEWER"),
    ],
)
def test_the_sample_of_keycloak_restricts_nobody_and_maps_roles(
    world: World, access: dict[str, Any], role: str
) -> None:
    """Lines 114-121: a groups path without ALLOWED_GROUPS."""
    subject = person(world.peer, f"kim-{role}-{len(str(access))}".lower(), resource_access=access)
    assert world.user("keycloak", subject)["role"] == role


def test_claims_that_only_userinfo_has_are_asked_for(world: World) -> None:
    person(world.peer, "uma", groups=["Eng"])
    person(world.peer, "udo", groups=["Sales"])
    assert world.user("userinfo", "uma")["username"] == "Uma"
    assert world.error("userinfo", "udo") == "auth_failed"


def test_roles_follow_the_provider_unless_told_not_to(world: World) -> None:
    person(world.peer, "rob", role="boss")
    person(world.peer, "ron", role="ADMIN")
    assert world.user("roles", "rob")["role"] == "ADMIN"
    assert world.user("kept", "ron")["role"] == "ADMIN"
    person(world.peer, "rob", role="clerk")
    person(world.peer, "ron", role="VIEWER")
    assert world.user("roles", "rob")["role"] == "MEMBER"
    assert world.user("kept", "ron")["role"] == "ADMIN"


def test_strict_settings_refuse_who_has_no_role(world: World) -> None:
    person(world.peer, "sam", role="MEMBER")
    person(world.peer, "sue", role="unheard-of")
    assert world.user("strict", "sam")["role"] == "MEMBER"
    assert world.error("strict", "sue") == "auth_failed"


def test_with_sign_up_off_only_accounts_made_before_get_in(world: World) -> None:
    person(world.peer, "ann")
    person(world.peer, "nobody")
    user = {
        "email": "ann@corp.example",
        "username": "ann-made-before",
        "role": "MEMBER",
        "auth_method": "OAUTH2",
    }
    made = world.admin().post("/v1/users", json={"user": user})
    assert made.status_code == 201, made.text
    found = world.user("closed", "ann")
    assert (found["username"], found["role"]) == ("ann-made-before", "MEMBER")
    assert world.error("closed", "nobody") == "sign_in_not_allowed"


def test_signing_out_here_signs_out_there(world: World) -> None:
    subject = person(world.peer, "olga")
    browser = world.server.client()
    with httpx.Client() as at_provider:
        begun = browser.get("/oauth2/google/login")
        there = sign_in_at_peer(
            at_provider, begun.headers["location"], subject, world.server.base_url
        )
        assert browser.get(there).status_code == 302
        out = browser.get("/auth/logout", headers={"sec-fetch-site": "same-origin"})
        assert out.headers["location"].startswith(f"{world.peer.issuer}/session/end?")
        back = sign_in_at_peer(at_provider, out.headers["location"], subject, world.server.base_url)
        assert urlsplit(back).path == "/login"
        # The provider asks again who it is.
        again = at_provider.get(browser.get("/oauth2/google/login").headers["location"])
        form = at_provider.get(f"{world.peer.issuer}{again.headers['location']}")
        assert 'value="login"' in form.text
    assert browser.get("/v1/user").status_code == 401


def test_signing_out_there_ends_the_session_here(world: World) -> None:
    """Back-channel logout: the browser never comes back to us."""
    subject = person(world.peer, "otto")
    browser = world.server.client()
    with httpx.Client() as at_provider:
        begun = browser.get("/oauth2/google/login")
        there = sign_in_at_peer(
            at_provider, begun.headers["location"], subject, world.server.base_url
        )
        browser.get(there)
        assert browser.get("/v1/user").status_code == 200
        sign_in_at_peer(
            at_provider,
            f"{world.peer.issuer}/session/end",
            subject,
            f"{world.peer.issuer}/session/end/success",
        )
    deadline = time.monotonic() + 10
    while browser.get("/v1/user").status_code == 200:
        assert time.monotonic() < deadline, world.peer.asked()
        time.sleep(0.05)
    events = world.admin().get("/v1/audit_events", params={"event": "auth.session.ended"})
    assert events.json()["data"][0]["reason"] == "backchannel_logout"


def test_keys_were_fetched_once_for_all_of_this(world: World) -> None:
    fetched = world.server.log().count("oauth2.keys.fetched")
    assert fetched <= 2  # one for each issuer


def test_without_authentication_nobody_signs_in_anywhere() -> None:
    provider = provider_variables("x", "https://idp.example/x", OidcClient("c", "s"))
    memory = {"PHOENIX_SQL_DATABASE_URL": "sqlite:///:memory:"}
    application = Application(Settings.from_env(env_of({**provider, **memory})))
    assert not [route.path for route in application.routes if route.path.startswith("/oauth2")]
