"""Checking what a provider signed: ID tokens and logout tokens, against its keys.

Never ``none``, never a key of another kind than the algorithm needs, never a key that the token
brings along itself, never a shared key that a document publishes.

Spec: lines 91-133. Source: OpenID Connect Core 1.0 sections 3.1.3.6, 3.1.3.7 and 10.1, Back-Channel
Logout 1.0 section 2.6; RFC 8725 (JWT best current practices).
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, OctKey, import_key
from joserfc.jws import extract_compact

from bennu.auth.oauth2.jose import Registry
from bennu.auth.oauth2.metadata import SYMMETRIC
from bennu.kernel.ids import equal_in_constant_time
from bennu.kernel.secret import Secret

LEEWAY_SECONDS: Final = 60
#: A logout token is made for this moment.
LOGOUT_LIFETIME_SECONDS: Final = 300
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
_MOST_KEYS: Final = 100
_LONGEST_TOKEN: Final = 65_536
_LONGEST_SUBJECT: Final = 255
_LONGEST_ID: Final = 1024
#: The kind of key that each algorithm needs, and the curve where there is one.
_KIND_OF: Final[Mapping[str, tuple[str, str]]] = {
    "RS256": ("RSA", ""),
    "PS256": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
    SYMMETRIC: ("oct", ""),
}
_SAME_ALGORITHM: Final = ({"EdDSA", "Ed25519"},)
_HASH_OF: Final = {"EdDSA": "sha512", "Ed25519": "sha512"}
#: 2048 bits in base64; shorter RSA keys are not accepted.
_SHORTEST_MODULUS: Final = 341
_SHORTEST_SHARED_KEY_BYTES: Final = 32
#: Some 30,000 years; also keeps infinity out.
_LATEST_TIME: Final = 1e12
#: What the library raises for tokens that anybody may send; JSON can be too deep for it.
_UNREADABLE: Final = (JoseError, ValueError, TypeError, RecursionError)
_LOGOUT_TYPE: Final = re.compile(r"(application/)?logout\+jwt", re.IGNORECASE)


class TokenRefusedError(Exception):
    """A token is not acceptable; ``reason`` is a fixed word for the audit trail."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownKeyError(TokenRefusedError):
    """No key of that name is known; fetching the keys again may help."""

    def __init__(self) -> None:
        super().__init__("unknown_key")


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """One key of a provider; ``parameters`` are those of its JWK."""

    key: Key
    parameters: Mapping[str, Any]

    def fits(self, algorithm: str, kid: str | None) -> bool:
        """Whether a token with this header may be checked with this key."""
        kind, curve = _KIND_OF[algorithm]
        own, names = self.parameters, {algorithm}
        names |= next((group for group in _SAME_ALGORITHM if algorithm in group), set())
        return (
            own.get("kty") == kind
            and (not curve or own.get("crv") == curve)
            and own.get("use") in {None, "sig"}
            and own.get("alg") in {None, *names}
            and (kid is None or own.get("kid") == kid)
        )


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must be for.

    Args:
        issuer: exactly.
        client_id: ours.
        algorithms: accepted; see ``Metadata.algorithms``.
        client_secret: the key of HS256; None for public clients.
        now_seconds: since 1970.
        nonce: of the sign-in; "" for logout tokens.
        access_token: that came with it, for ``at_hash``; "" for none.
    """

    issuer: str
    client_id: str
    algorithms: tuple[str, ...]
    client_secret: Secret | None
    now_seconds: float
    nonce: str = ""
    access_token: str = ""


def keys_of(document: Mapping[str, Any]) -> tuple[ProviderKey, ...]:
    """Return the usable keys of a JWKS document; what cannot be read is left out."""
    listed = document.get("keys")
    found = listed[:_MOST_KEYS] if isinstance(listed, list) else []
    keys = (_key_of(parameters) for parameters in found if isinstance(parameters, dict))
    return tuple(key for key in keys if key is not None)


def _key_of(parameters: dict[str, Any]) -> ProviderKey | None:
    public = {name: value for name, value in parameters.items() if name != "d"}
    if public.get("kty") == "RSA" and len(str(public.get("n", ""))) < _SHORTEST_MODULUS:
        return None
    if public.get("kty") == "oct":
        # Whoever reads the document could sign with it; the key of HS256 is the client secret.
        return None
    try:
        return ProviderKey(import_key(public), public)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def verified_claims(
    token: str, keys: Sequence[ProviderKey], expected: Expected
) -> Mapping[str, Any]:
    """Return the claims of an ID token.

    Raises:
        UnknownKeyError: its key is not among these.
        TokenRefusedError: anything else is wrong with it.
    """
    header, claims = _open(token, keys, expected)
    _check_common(claims, expected)
    _check_times(claims, expected.now_seconds, needs_expiry=True)
    _subject(claims)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not equal_in_constant_time(
        nonce.encode("utf-8", "replace"), expected.nonce.encode()
    ):
        raise TokenRefusedError("wrong_nonce")
    _check_access_token(claims.get("at_hash"), expected.access_token, str(header["alg"]))
    return claims


@dataclass(frozen=True, slots=True)
class LogoutOrder:
    """Which sessions a provider ends; at least one of the two is given.

    Args:
        token_id: used once.
        subject: the person.
        session_id: the provider's id of one session.
    """

    token_id: str
    subject: str | None
    session_id: str | None


def verified_logout(token: str, keys: Sequence[ProviderKey], expected: Expected) -> LogoutOrder:
    """Return what a logout token orders.

    Raises:
        UnknownKeyError: its key is not among these.
        TokenRefusedError: anything else is wrong with it.
    """
    header, claims = _open(token, keys, expected)
    if not _LOGOUT_TYPE.fullmatch(str(header.get("typ", ""))):
        raise TokenRefusedError("wrong_type")
    _check_common(claims, expected)
    _check_times(claims, expected.now_seconds, needs_expiry=False)
    if float(claims["iat"]) < expected.now_seconds - LOGOUT_LIFETIME_SECONDS - LEEWAY_SECONDS:
        raise TokenRefusedError("expired")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise TokenRefusedError("no_logout_event")
    if "nonce" in claims:
        raise TokenRefusedError("nonce_in_logout_token")
    names = ("jti", "sub", "sid")
    given = {name: _bounded(claims[name]) for name in names if claims.get(name) is not None}
    if "jti" not in given or len(given) == 1:
        raise TokenRefusedError("incomplete_logout_token")
    return LogoutOrder(given["jti"], given.get("sub"), given.get("sid"))


def _open(
    token: str, keys: Sequence[ProviderKey], expected: Expected
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Check the signature; return header and claims."""
    if len(token) > _LONGEST_TOKEN:
        raise TokenRefusedError("too_large")
    registry = Registry(algorithms=expected.algorithms, strict_check_header=False)
    try:
        header = extract_compact(token.encode("utf-8", "replace"), None, registry).headers()
    except _UNREADABLE:
        raise TokenRefusedError("unreadable") from None
    if not isinstance(header, dict) or "crit" in header:
        raise TokenRefusedError("unreadable")
    algorithm = header.get("alg")
    if algorithm not in expected.algorithms or algorithm not in _KIND_OF:
        raise TokenRefusedError("wrong_algorithm")
    kid = header.get("kid")
    fitting = [key.key for key in keys if key.fits(str(algorithm), kid)]
    if algorithm == SYMMETRIC and expected.client_secret:
        fitting.append(_shared_key(expected.client_secret))
    if not fitting:
        raise UnknownKeyError
    return header, _first_verified(token, fitting, str(algorithm), registry)


def _shared_key(client_secret: Secret) -> Key:
    """Return the client secret as a key; RFC 7518 section 3.2 wants 256 bits.

    A shorter one could be guessed by whoever holds a token, as everybody who signs in does.
    """
    key = client_secret.reveal().encode()
    if len(key) < _SHORTEST_SHARED_KEY_BYTES:
        raise TokenRefusedError("short_client_secret")
    return OctKey.import_key(key)


def _first_verified(
    token: str, keys: Iterable[Key], algorithm: str, registry: Registry
) -> Mapping[str, Any]:
    for key in keys:
        try:
            claims = jwt.decode(token, key, algorithms=[algorithm], registry=registry).claims
        except _UNREADABLE:
            continue
        if isinstance(claims, dict):
            return claims
    raise TokenRefusedError("bad_signature")


def _check_common(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise TokenRefusedError("wrong_issuer")
    audience = claims.get("aud")
    listed = [audience] if isinstance(audience, str) else audience
    if not isinstance(listed, list) or expected.client_id not in listed:
        raise TokenRefusedError("wrong_audience")
    party = claims.get("azp")
    if party is None and len(listed) > 1:
        raise TokenRefusedError("wrong_party")
    if party is not None and party != expected.client_id:
        raise TokenRefusedError("wrong_party")


def _check_times(claims: Mapping[str, Any], now: float, *, needs_expiry: bool) -> None:
    expires, issued, begins = (_time(claims.get(name)) for name in ("exp", "iat", "nbf"))
    if issued is None or (expires is None and (needs_expiry or "exp" in claims)):
        raise TokenRefusedError("no_times")
    if expires is not None and expires <= now - LEEWAY_SECONDS:
        raise TokenRefusedError("expired")
    if max(issued, begins or 0) > now + LEEWAY_SECONDS:
        raise TokenRefusedError("issued_in_future")


def _time(value: object) -> float | None:
    """Return seconds since 1970, None when it is no such time."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < _LATEST_TIME else None  # type: ignore[arg-type]


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or "\0" in subject:
        raise TokenRefusedError("no_subject")
    return subject


def _bounded(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_ID or "\0" in value:
        raise TokenRefusedError("incomplete_logout_token")
    return value


def _check_access_token(given: object, access_token: str, algorithm: str) -> None:
    """The ID token vouches for the access token by the left half of its hash, if it does at all."""
    if given is None or not access_token:
        return
    digest = hashlib.new(_HASH_OF.get(algorithm, "sha256"), access_token.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    if not isinstance(given, str) or not equal_in_constant_time(given.encode(), half):
        raise TokenRefusedError("wrong_access_token")
