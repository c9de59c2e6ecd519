"""A certified OpenID provider on loopback: oidc-provider of npm, run by tests/node/oidc.mjs."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import httpx
import pytest

NODE_FOLDER = Path(__file__).resolve().parent.parent / "node"
MOST_STEPS = 12


@dataclass(frozen=True)
class OidcClient:
    """What a provider gave a client at registration."""

    id: str
    secret: str


@dataclass(frozen=True)
class OidcPeer:
    """The provider: ``issuer`` puts claims into ID tokens, ``userinfo_issuer`` does not."""

    issuer: str
    userinfo_issuer: str

    @staticmethod
    def config_url(issuer: str) -> str:
        return f"{issuer}/.well-known/openid-configuration"

    def register(self, redirect_uri: str, issuer: str = "", **metadata: Any) -> OidcClient:
        """Make a client by dynamic registration (RFC 7591)."""
        body = {"redirect_uris": [redirect_uri], **metadata}
        answer = httpx.post(f"{issuer or self.issuer}/reg", json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return OidcClient(made["client_id"], made.get("client_secret", ""))

    def add_account(self, subject: str, **claims: Any) -> None:
        """Make a person, or change what is said of them."""
        url = f"{self.issuer}/test/accounts/{quote(subject, safe='')}"
        assert httpx.put(url, json=claims).status_code == 204

    def asked(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.issuer}/test/asked").json()
        return found


def sign_in_at_peer(browser: httpx.Client, address: str, subject: str, back_to: str) -> str:
    """Fill in the provider's forms; return the address at ``back_to`` that it leads to."""
    answer = browser.get(address)
    for _ in range(MOST_STEPS):
        here = str(answer.request.url)
        if answer.status_code in {302, 303}:
            there = urljoin(here, answer.headers["location"])
            if there.startswith(back_to):
                return there
            answer = browser.get(there)
            continue
        action, fields = form_of(answer.text)
        if "prompt" in fields and fields["prompt"] == "login":
            fields |= {"login": subject, "password": "x"}
        if "xsrf" in fields:  # "Do you want to sign-out?", with two buttons
            fields |= {"logout": "yes"}
        answer = browser.post(urljoin(here, action), data=fields)
    raise AssertionError(f"no way back to {back_to}: {answer.status_code} {answer.text[:400]}")


def form_of(page: str) -> tuple[str, dict[str, str]]:
    """Return the address and the filled-in fields of the one form of a page."""
    action = re.search(r'<form[^>]*action="([^"]+)"', page)
    assert action, page[:600]
    fields = re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page)
    return unescape(action[1]), {name: unescape(value) for name, value in fields}


def provider_variables(
    name: str, config_url: str, client: OidcClient, **more: str
) -> Mapping[str, str]:
    """Return the variables of a provider as an operator would set them."""
    values = {
        "CLIENT_ID": client.id,
        "CLIENT_SECRET": client.secret,
        "OIDC_CONFIG_URL": config_url,
        **more,
    }
    return {f"PHOENIX_OAUTH2_{name.upper()}_{key}": text for key, text in values.items() if text}


@pytest.fixture(scope="session")
def oidc_peer() -> Iterator[OidcPeer]:
    """Start the provider once per run; both its issuers live in one process."""
    node = shutil.which("node")
    if node is None or not (NODE_FOLDER / "node_modules" / "oidc-provider").exists():
        pytest.skip("node and tests/node/node_modules are needed: make setup-test")
    process = subprocess.Popen(
        [node, "oidc.mjs"],
        cwd=NODE_FOLDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        issuers = json.loads(process.stdout.readline())["issuers"]
        yield OidcPeer(*issuers)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.terminate()
        process.wait(20)
