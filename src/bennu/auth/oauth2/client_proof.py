"""How Bennu shows a provider's token endpoint who it is.

Spec: lines 124-128. Source: RFC 6749 section 2.3.1, RFC 7523 section 2.2; OpenID Connect Core
section 9.
"""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote_plus

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key

from bennu.auth.oauth2.jose import Registry
from bennu.auth.oauth2.metadata import Metadata
from bennu.auth.oauth2.settings import ProviderSettings
from bennu.kernel.errors import UnavailableError
from bennu.kernel.ids import Entropy
from bennu.tls.certificate import UNREADABLE

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS: Final = 60
_LARGEST_FILE_BYTES: Final = 65_536
#: In order of preference, for each kind of key.
_ALGORITHMS: Final = {RSAKey: ("RS256", "PS256"), ECKey: ("ES256",), OKPKey: ("Ed25519", "EdDSA")}


class ClientProofError(UnavailableError):
    """A file that Bennu needs to show who it is cannot be used; the detail names the setting."""

    code = "client_proof"

    def __init__(self, detail: str) -> None:
        super().__init__("The identity provider cannot be used", detail=detail)


@dataclass(frozen=True, slots=True)
class ClientProof:
    """What goes with a request to the token endpoint."""

    form: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)


async def client_proof(
    settings: ProviderSettings, metadata: Metadata, entropy: Entropy, now_seconds: int
) -> ClientProof:
    """Prove who we are, in the way that the settings name.

    Raises:
        ClientProofError: a file cannot be read or holds something else.
    """
    own = {"client_id": settings.client_id}
    secret = settings.client_secret.reveal() if settings.client_secret else ""
    match settings.token_endpoint_auth_method:
        case "client_secret_basic":
            pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"
            encoded = base64.b64encode(pair.encode()).decode()
            return ClientProof({}, {"authorization": f"Basic {encoded}"})
        case "client_secret_post":
            return ClientProof({**own, "client_secret": secret})
        case "client_assertion_jwt":
            assertion = await _read(settings.client_assertion_file, "CLIENT_ASSERTION_FILE")
        case "private_key_jwt":
            pem = await _read(settings.private_key_file, "PRIVATE_KEY_FILE")
            claims = _assertion_claims(settings, metadata, entropy, now_seconds)
            assertion = await asyncio.to_thread(_signed, pem, claims, metadata)
        case _:
            return ClientProof(own)
    more = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    return ClientProof({**own, **more})


def _assertion_claims(
    settings: ProviderSettings, metadata: Metadata, entropy: Entropy, now_seconds: int
) -> dict[str, str | int]:
    return {
        "iss": settings.client_id,
        "sub": settings.client_id,
        "aud": metadata.token_endpoint,
        "jti": entropy.bytes(16).hex(),
        "iat": now_seconds,
        "exp": now_seconds + _ASSERTION_SECONDS,
    }


def _signed(pem: str, claims: dict[str, str | int], metadata: Metadata) -> str:
    key = read_private_key(pem)
    possible = _ALGORITHMS[type(key)]
    offered = [name for name in possible if name in metadata.auth_algorithms]
    algorithm = (offered or possible)[0]
    header = {"alg": algorithm}
    registry = Registry(algorithms=[algorithm])
    return jwt.encode(header, claims, key, algorithms=[algorithm], registry=registry)


def read_private_key(pem: str) -> RSAKey | ECKey | OKPKey:
    """Read a private key in PEM form: RSA, P-256 or Ed25519.

    Raises:
        ClientProofError: it is none of these.
    """
    for kind in ("RSA", "EC", "OKP"):
        try:
            key: Key = import_key(pem, kind)
        except (*UNREADABLE, JoseError, TypeError):
            continue
        is_usable = key.is_private and getattr(key, "curve_name", "") in {"", "P-256", "Ed25519"}
        if is_usable and isinstance(key, RSAKey | ECKey | OKPKey):
            return key
    raise ClientProofError("PRIVATE_KEY_FILE holds no RSA, P-256 or Ed25519 key in PEM form")


async def _read(path: Path | None, setting: str) -> str:
    try:
        text = await asyncio.to_thread(_read_small, path or Path())
    except (OSError, UnicodeDecodeError) as error:
        raise ClientProofError(f"{setting} cannot be read: {type(error).__name__}") from None
    if not text:
        raise ClientProofError(f"{setting} is empty or larger than {_LARGEST_FILE_BYTES} bytes")
    return text


def _read_small(path: Path) -> str:
    with path.open("rb") as file:
        raw = file.read(_LARGEST_FILE_BYTES + 1)
    return raw.decode("utf-8").strip() if len(raw) <= _LARGEST_FILE_BYTES else ""
