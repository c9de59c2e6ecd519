"""How the token endpoint learns who we are. Spec: lines 124-128. Source: RFC 6749, RFC 7523."""

import base64
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from joserfc import jws

from bennu.auth.oauth2.client_proof import (
    ASSERTION_TYPE,
    ClientProof,
    ClientProofError,
    client_proof,
    read_private_key,
)
from bennu.auth.oauth2.metadata import Metadata
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from fakes.provider_world import provider_settings
from peers.pki import openssl

ISSUER = "https://idp.example"
METADATA = Metadata(ISSUER, f"{ISSUER}/auth", f"{ISSUER}/token", f"{ISSUER}/jwks")
NOW = 1_800_000_000


async def proof(metadata: Metadata = METADATA, **more: Any) -> ClientProof:
    settings = provider_settings(f"{ISSUER}/.well-known/openid-configuration", **more)
    return await client_proof(settings, metadata, SystemEntropy(), NOW)


async def test_basic_escapes_what_would_be_read_as_something_else() -> None:
    found = await proof(client_id="a b:c", client_secret=Secret("p:ä+/="))
    assert found.form == {}
    pair = base64.b64decode(found.headers["authorization"].removeprefix("Basic ")).decode()
    assert pair == "a+b%3Ac:p%3A%C3%A4%2B%2F%3D"


async def test_post_puts_both_into_the_form() -> None:
    found = await proof(token_endpoint_auth_method="client_secret_post")
    assert set(found.form) == {"client_id", "client_secret"}
    assert found.headers == {}


async def test_a_public_client_gives_its_name_only() -> None:
    found = await proof(token_endpoint_auth_method="none", client_secret=None)
    assert found.form == {"client_id": "bennu-client"}


async def test_an_assertion_is_read_for_every_use(tmp_path: Path) -> None:
    file = tmp_path / "token"
    for text in ("first", "second"):
        file.write_text(f"{text}\n")
        found = await proof(
            token_endpoint_auth_method="client_assertion_jwt", client_assertion_file=file
        )
        assert found.form["client_assertion"] == text
        assert found.form["client_assertion_type"] == ASSERTION_TYPE


@pytest.mark.parametrize("content", [None, b"", b"x" * 70_000, b"\xff\xfe"])
async def test_an_assertion_that_cannot_be_read_names_its_setting(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ClientProofError) as refusal:
        await proof(token_endpoint_auth_method="client_assertion_jwt", client_assertion_file=file)
    assert "CLIENT_ASSERTION_FILE" in refusal.value.detail


def key_file(folder: Path, kind: str) -> Path:
    options = {
        "rsa": ("RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
        "ec": ("EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
        "ed": ("ED25519",),
        "p384": ("EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
        "secp112": ("EC", "-pkeyopt", "ec_paramgen_curve:secp112r1"),
    }
    openssl(folder, "genpkey", "-algorithm", *options[kind], "-out", f"{kind}.pem")
    return folder / f"{kind}.pem"


@pytest.mark.asvs("9.2.4")
@pytest.mark.parametrize(
    ("kind", "offered", "algorithm"),
    [
        ("rsa", (), "RS256"),
        ("rsa", ("PS256", "ES256"), "PS256"),
        ("ec", ("RS256",), "ES256"),
        ("ed", (), "Ed25519"),
        ("ed", ("EdDSA",), "EdDSA"),
    ],
)
async def test_a_private_key_signs_what_the_provider_checks(
    tmp_path: Path, kind: str, offered: tuple[str, ...], algorithm: str
) -> None:
    file = key_file(tmp_path, kind)
    metadata = replace(METADATA, auth_algorithms=offered)
    found = await proof(
        metadata, token_endpoint_auth_method="private_key_jwt", private_key_file=file
    )
    assertion = found.form["client_assertion"]
    header = json.loads(base64.urlsafe_b64decode(assertion.split(".")[0] + "=="))
    assert header["alg"] == algorithm
    checked = "Ed25519" if algorithm == "EdDSA" else algorithm
    if checked == algorithm:
        signature = jws.deserialize_compact(
            assertion, read_private_key(file.read_text()), algorithms=[checked]
        )
        claims = json.loads(signature.payload)
        assert claims["iss"] == claims["sub"] == "bennu-client"
        assert claims["aud"] == f"{ISSUER}/token"
        assert claims["exp"] == NOW + 60
        assert len(claims["jti"]) == 32


async def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    public = key_file(tmp_path, "rsa")
    openssl(tmp_path, "pkey", "-in", public.name, "-pubout", "-out", "public.pem")
    other = tmp_path / "other.pem"
    other.write_text("no key")
    unusable = [key_file(tmp_path, kind) for kind in ("p384", "secp112")]
    for file in (*unusable, tmp_path / "public.pem", other):
        with pytest.raises(ClientProofError) as refusal:
            await proof(token_endpoint_auth_method="private_key_jwt", private_key_file=file)
        assert "PRIVATE_KEY_FILE" in refusal.value.detail


async def test_a_key_is_read_and_used_beside_the_event_loop(tmp_path: Path) -> None:
    """RSA takes milliseconds, and everybody else would wait for them."""
    file = key_file(tmp_path, "rsa")
    on_the_loop: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            on_the_loop.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        await proof(token_endpoint_auth_method="private_key_jwt", private_key_file=file)
    finally:
        sys.setprofile(None)
    assert "client_proof" in on_the_loop
    assert "read_private_key" not in on_the_loop
