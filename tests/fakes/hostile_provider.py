"""An identity provider on loopback that a test can make lie: a real HTTP server.

Untouched it behaves; each attribute that a test changes makes it misbehave in one way.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.registry import HeaderParameter

from fakes.clock import FrozenClock
from fakes.http_peer import HttpPeer, Reply, Seen

CLIENT_ID = "bennu-client"
CLIENT_SECRET = "a client secret of at least 32 bytes"
SUBJECT = "subject-1"
_ALL = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256"]


def make_key(algorithm: str, kid: str) -> Key:
    if algorithm in {"RS256", "PS256"}:
        return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"}, private=True)
    if algorithm == "ES256":
        return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"}, private=True)
    return OKPKey.generate_key("Ed25519", {"kid": kid, "use": "sig"}, private=True)


#: Made once: an RSA key takes a while.
RSA_KEY = make_key("RS256", "first")


class _AnySize(jws.JWSRegistry):
    """Signs what is too large, and under the old name of Ed25519 without a warning."""

    max_payload_length = 10_000_000

    def get_alg(self, name: str) -> Any:
        return super().get_alg(name) if name != "EdDSA" else self.algorithms["Ed25519"]


@dataclass(frozen=True)
class SharedKey:
    """Any bytes as the secret of HS256, also those that a good library would not take."""

    secret: bytes
    kid: str | None = None

    def as_dict(self, *, private: bool) -> dict[str, Any]:
        del private
        return {"kty": "oct", "k": base64.urlsafe_b64encode(self.secret).rstrip(b"=").decode()}


def public_pem_as_secret(key: Key) -> SharedKey:
    """The oldest trick: the public key as the secret of HS256."""
    assert isinstance(key, RSAKey)
    return SharedKey(key.as_pem(private=False))


def signed(claims: Mapping[str, Any], key: Key | SharedKey, header: Mapping[str, Any]) -> str:
    """Sign with any algorithm, or with none."""
    algorithm, payload = str(header["alg"]), json.dumps(claims).encode()
    if isinstance(key, SharedKey) or algorithm.lower() == "none":
        parts = (json.dumps(header).encode(), payload)
        text = ".".join(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in parts)
        if not isinstance(key, SharedKey):
            return f"{text}."
        digest = hmac.digest(key.secret, text.encode(), f"sha{algorithm[2:]}")
        return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
    known = {"x": HeaderParameter("of the tests", "int")}
    registry = _AnySize(known, [algorithm], strict_check_header=False)
    return jws.serialize_compact(dict(header), payload, key, registry=registry)


@dataclass
class _Code:
    nonce: str
    client_id: str
    redirect_uri: str
    challenge: str


@dataclass
class HostileProvider:
    """A provider; a context manager that serves it."""

    clock: FrozenClock
    key: Key | SharedKey = field(default_factory=lambda: RSA_KEY)
    algorithm: str = "RS256"
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] | None = None
    jwks: list[dict[str, Any]] | None = None
    token_answer: Callable[[dict[str, str]], Reply] | None = None
    replies: dict[str, Reply] = field(default_factory=dict)
    names_issuer: bool = True

    def __post_init__(self) -> None:
        self._codes: dict[str, _Code] = {}
        #: The newest tokens that were handed out.
        self.issued: deque[str] = deque(maxlen=4)
        self.peer = HttpPeer(self._answer)
        self.issuer = self.peer.url

    def __enter__(self) -> Self:
        self.peer.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self.peer.__exit__(*details)

    @property
    def config_url(self) -> str:
        return f"{self.issuer}/.well-known/openid-configuration"

    def count(self, path: str) -> int:
        return self.peer.paths().count(path)

    def forget_codes(self) -> None:
        self._codes.clear()

    # --- the browser's side ----------------------------------------------------------------

    def authorize(self, address: str) -> dict[str, str]:
        """Sign in somebody at the address; return the parameters of the answer."""
        asked = dict(parse_qsl(urlsplit(address).query))
        code = secrets.token_urlsafe(16)
        self._codes[code] = _Code(
            asked["nonce"],
            asked["client_id"],
            asked["redirect_uri"],
            asked.get("code_challenge", ""),
        )
        answer = {"code": code, "state": asked["state"]}
        return {**answer, "iss": self.issuer} if self.names_issuer else answer

    # --- tokens ----------------------------------------------------------------------------

    def standard_claims(self, nonce: str, client_id: str = CLIENT_ID) -> dict[str, Any]:
        now = int(self.clock.now_utc().timestamp())
        return {
            "iss": self.issuer,
            "aud": client_id,
            "sub": SUBJECT,
            "exp": now + 300,
            "iat": now,
            "nonce": nonce,
            "email": "ada@corp.example",
            "email_verified": True,
            "name": "Ada",
            "sid": "session-1",
        }

    def id_token(self, nonce: str, client_id: str = CLIENT_ID) -> str:
        claims = {**self.standard_claims(nonce, client_id), **self.claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "kid": self.key.kid, "typ": "JWT", **self.header}
        header = {name: value for name, value in header.items() if value is not None}
        return signed(claims, self.key, header)

    def logout_token(self, **changes: Any) -> str:
        header = {"alg": self.algorithm, "kid": self.key.kid, "typ": "logout+jwt", **self.header}
        now = int(self.clock.now_utc().timestamp())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_hex(8),
            "sid": "session-1",
            "sub": SUBJECT,
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            **changes,
        }
        return signed({k: v for k, v in claims.items() if v is not None}, self.key, header)

    # --- the server ------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/me",
            "end_session_endpoint": f"{self.issuer}/end",
            "id_token_signing_alg_values_supported": _ALL,
            "scopes_supported": ["openid", "email", "profile"],
            "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }

    def _answer(self, seen: Seen) -> Reply:
        path = urlsplit(seen.path).path
        if path in self.replies:
            return self.replies[path]
        own: dict[str, Callable[[], Reply]] = {
            "/.well-known/openid-configuration": self._document,
            "/jwks": self._keys,
            "/me": lambda: json_reply(self.userinfo or {}, 200 if self.userinfo else 404),
            "/auth": lambda: self._form(seen),
            "/token": lambda: self._token(seen),
        }
        return own.get(path, lambda: Reply(404))()

    def _document(self) -> Reply:
        return json_reply({k: v for k, v in self.document().items() if v is not None})

    def _keys(self) -> Reply:
        own = [self.key.as_dict(private=False)]
        return json_reply({"keys": own if self.jwks is None else self.jwks})

    def _form(self, seen: Seen) -> Reply:
        asked = dict(parse_qsl(urlsplit(seen.path).query))
        location = f"{asked['redirect_uri']}?{urlencode({'error': 'login_required'})}"
        return Reply(302, headers={"location": location})

    def _token(self, seen: Seen) -> Reply:
        form = {k: v[0] for k, v in parse_qs(seen.body.decode()).items()}
        if self.token_answer is not None:
            return self.token_answer(form)
        if not self._is_our_client(form, seen):
            return json_reply({"error": "invalid_client"}, 401)
        found = self._codes.pop(form.get("code", ""), None)
        verifier = form.get("code_verifier", "")
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        challenge = digest.rstrip(b"=").decode() if verifier else ""
        if found is None or (found.redirect_uri, found.challenge) != (
            form.get("redirect_uri"),
            challenge,
        ):
            return json_reply({"error": "invalid_grant"}, 400)
        id_token = self.id_token(found.nonce, found.client_id)
        self.issued += ("an-access-token", id_token)
        answer = {"access_token": "an-access-token", "token_type": "Bearer"}
        return json_reply({**answer, "id_token": id_token})

    def _is_our_client(self, form: dict[str, str], seen: Seen) -> bool:
        header = seen.headers.get("authorization", "").removeprefix("Basic ")
        pair = [part.replace("+", " ") for part in base64.b64decode(header).decode().split(":")]
        given = pair if header else [form.get("client_id", ""), form.get("client_secret", "")]
        return given == [CLIENT_ID, CLIENT_SECRET]


def json_reply(value: Mapping[str, Any], status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"content-type": "application/json"})
