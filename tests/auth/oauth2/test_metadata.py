"""The discovery document, read strictly. Source: OpenID Connect Discovery 1.0 section 4.3."""

import json
from typing import Any

import pytest

from bennu.auth.oauth2.metadata import ASYMMETRIC, MetadataError, read_metadata

BASE = "https://idp.example.com"
CONFIG = f"{BASE}/.well-known/openid-configuration"
TENANT = "0a1b2c3d-0000-1111-2222-0123456789ab"
ENTRA = "https://login.microsoftonline.com"


def document(**changes: Any) -> bytes:
    values = {
        "issuer": BASE,
        "authorization_endpoint": f"{BASE}/auth",
        "token_endpoint": f"{BASE}/token",
        "jwks_uri": f"{BASE}/jwks",
        **changes,
    }
    return json.dumps({k: v for k, v in values.items() if v is not None}).encode()


def test_a_plain_document() -> None:
    metadata = read_metadata(document(), CONFIG)
    assert metadata.issuer == BASE
    assert metadata.algorithms == ASYMMETRIC
    assert metadata.userinfo_endpoint == metadata.end_session_endpoint == ""
    assert not metadata.announces_issuer


@pytest.mark.parametrize(
    ("issuer", "config_url"),
    [
        (BASE, CONFIG),
        (f"{BASE}/", CONFIG),
        (f"{BASE}/realms/a", f"{BASE}/realms/a/.well-known/openid-configuration"),
        (f"{BASE}/b", f"{BASE}/.well-known/openid-configuration/b"),
        (BASE, f"{CONFIG}?appid=1"),
        (f"{ENTRA}/{TENANT}/v2.0", f"{ENTRA}/{TENANT}/v2.0/.well-known/openid-configuration"),
        (
            f"{ENTRA}/{TENANT}/v2.0",
            f"{ENTRA}/contoso.example/v2.0/.well-known/openid-configuration",
        ),
    ],
)
def test_the_issuer_is_the_one_of_the_address(issuer: str, config_url: str) -> None:
    assert read_metadata(document(issuer=issuer), config_url).issuer == issuer


@pytest.mark.asvs("10.5.3")
@pytest.mark.parametrize(
    ("issuer", "config_url"),
    [
        ("https://other.example", CONFIG),
        (f"{BASE}.evil.example", CONFIG),
        (f"{BASE}/other", CONFIG),
        ("http://idp.example.com", CONFIG),
        ("https://[", CONFIG),
        ("https://[x]/", CONFIG),
        ("https://a]b/", f"{ENTRA}/x/v2.0/.well-known/openid-configuration"),
        (f"{BASE}/realms/b", f"{BASE}/realms/a/.well-known/openid-configuration"),
        (f"{BASE}/{TENANT}/v2.0", f"{BASE}/x/v2.0/.well-known/openid-configuration"),
        (f"{ENTRA}/x/v2.0", f"{ENTRA}/contoso/v2.0/.well-known/openid-configuration"),
        (f"{BASE}/{TENANT}/v2.0", f"{ENTRA}/x/v2.0/.well-known/openid-configuration"),
    ],
)
def test_another_issuer_is_refused(issuer: str, config_url: str) -> None:
    with pytest.raises(MetadataError) as refusal:
        read_metadata(document(issuer=issuer), config_url)
    assert "another issuer" in refusal.value.detail


def test_a_document_of_every_tenant_says_what_to_change() -> None:
    common = f"{ENTRA}/common/v2.0/.well-known/openid-configuration"
    with pytest.raises(MetadataError) as refusal:
        read_metadata(document(issuer=ENTRA + "/{tenantid}/v2.0"), common)
    assert "OIDC_CONFIG_URL" in refusal.value.detail


@pytest.mark.parametrize(
    "changes",
    [
        *({name: None} for name in ("issuer", "authorization_endpoint", "token_endpoint")),
        *({name: 7} for name in ("issuer", "jwks_uri", "userinfo_endpoint")),
        {"jwks_uri": "http://idp.example.com/jwks"},
        {"token_endpoint": "https://a@idp.example.com/"},
        {"token_endpoint": "ftp://idp.example.com/"},
        {"end_session_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://idp.example.com/#x"},
        {"authorization_endpoint": "https://idp.example.com/\r\nx"},
        {"id_token_signing_alg_values_supported": ["none", "HS512"]},
    ],
)
def test_what_cannot_be_used_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MetadataError):
        read_metadata(document(**changes), CONFIG)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'"x"', b"[" * 100_000])
def test_what_is_no_document_is_refused(body: bytes) -> None:
    with pytest.raises(MetadataError):
        read_metadata(body, CONFIG)


@pytest.mark.asvs("9.1.2")
@pytest.mark.parametrize(
    ("listed", "accepted"),
    [
        (["RS256"], ("RS256",)),
        (["RS256", "HS256", "none"], ("RS256", "HS256")),
        (["EdDSA"], ("EdDSA", "Ed25519")),
        (["Ed25519", "ES256"], ("ES256", "EdDSA", "Ed25519")),
        ("RS256", ASYMMETRIC),
    ],
)
def test_only_what_is_listed_is_accepted(listed: object, accepted: tuple[str, ...]) -> None:
    metadata = read_metadata(document(id_token_signing_alg_values_supported=listed), CONFIG)
    assert metadata.algorithms == accepted
