"""One sign-in under way: state, nonce and code verifier, sealed in a cookie of this browser.

Nothing of it is kept here: the browser that began brings it back, and it is good for one answer of
the one provider that it was made for.

Spec: lines 122-123. Source: RFC 6749 section 10.12, RFC 7636, RFC 9700 section 2.1; OpenID Connect
Core section 3.1.2.1.
"""

import base64
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

import msgspec

from bennu.auth.oauth2.metadata import Metadata
from bennu.auth.oauth2.settings import ProviderSettings
from bennu.encryption.cipher import Cipher, SealError
from bennu.kernel.clock import to_microseconds
from bennu.kernel.ids import Entropy, equal_in_constant_time
from bennu.storage.database import Database
from bennu.storage.used_once import OneUse, use_once

LIFETIME: Final = timedelta(minutes=15)
COOKIE_PREFIX: Final = "phoenix-oauth2-state-"
#: As many sign-ins as one browser may have under way, in tabs of their own.
MOST_UNDER_WAY: Final = 4
_STATE_BYTES: Final = 32
_VERIFIER_BYTES: Final = 48
_COOKIE_DIGITS: Final = 12
_LONGEST_COOKIE: Final = 8192
_PURPOSE: Final = "oauth2-state"


class HandshakeRefusedError(Exception):
    """An answer belongs to no sign-in of this browser; ``reason`` is a fixed word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Handshake(msgspec.Struct, frozen=True, tag="oauth2-handshake", forbid_unknown_fields=True):
    """What only the browser that began may bring back; times in microseconds since 1970.

    ``verifier`` is "" when the provider was not asked to bind the code.
    """

    provider: str
    issuer: str
    client_id: str
    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    return_to: str
    expires_at: int


class Handshakes:
    """Makes handshakes and takes them back, each once."""

    def __init__(self, database: Database, entropy: Entropy, cipher: Cipher) -> None:
        self._database, self._entropy, self._cipher = database, entropy, cipher

    def begin(
        self, settings: ProviderSettings, metadata: Metadata, redirect_uri: str, return_to: str
    ) -> Handshake:
        """Begin a sign-in: 256 bits of state and of nonce, 384 of the verifier.

        Args:
            settings: of the provider.
            metadata: of the provider.
            redirect_uri: our callback.
            return_to: the path to go to afterwards.
        """
        return Handshake(
            provider=settings.name,
            issuer=metadata.issuer,
            client_id=settings.client_id,
            state=self._text(_STATE_BYTES),
            nonce=self._text(_STATE_BYTES),
            verifier=self._text(_VERIFIER_BYTES) if settings.use_pkce else "",
            redirect_uri=redirect_uri,
            return_to=return_to,
            expires_at=self._now() + LIFETIME // timedelta(microseconds=1),
        )

    def seal(self, handshake: Handshake) -> str:
        """Return the value of the cookie; nobody can read or make one without the server's key."""
        return self._cipher.seal(msgspec.json.encode(handshake)).replace("=", ".")

    async def take_back(self, cookie: str, provider: str, state: str) -> Handshake:
        """Return the handshake that an answer belongs to, and use it up.

        Args:
            cookie: as the browser brought it, "" for none.
            provider: the name in the address that the answer came to.
            state: of the answer.

        Raises:
            HandshakeRefusedError: it is none of ours, of another sign-in, too old, or used up.
        """
        handshake = self._open(cookie)
        now = self._now()
        if handshake is None:
            raise HandshakeRefusedError("missing_handshake")
        if handshake.provider != provider:
            raise HandshakeRefusedError("other_provider")
        given = state.encode("utf-8", "replace")
        if not equal_in_constant_time(handshake.state.encode(), given):
            raise HandshakeRefusedError("foreign_state")
        expires_at = handshake.expires_at
        if now >= expires_at:
            raise HandshakeRefusedError("expired_state")
        one = OneUse(_PURPOSE, handshake.state)
        if not await self._database.write(
            lambda c: use_once(c, one, expires_at=expires_at, now=now)
        ):
            raise HandshakeRefusedError("replayed_state")
        return handshake

    def _open(self, cookie: str) -> Handshake | None:
        if not 0 < len(cookie) <= _LONGEST_COOKIE:
            return None
        try:
            opened = self._cipher.open(cookie.replace(".", "="))
            return msgspec.json.decode(opened, type=Handshake)
        except (SealError, msgspec.MsgspecError, UnicodeError):
            return None

    def _text(self, count: int) -> str:
        return base64.urlsafe_b64encode(self._entropy.bytes(count)).rstrip(b"=").decode()

    def _now(self) -> int:
        return to_microseconds(self._database.clock.now_utc())


def authorization_address(
    handshake: Handshake, settings: ProviderSettings, metadata: Metadata
) -> str:
    """Return the address at the provider that the browser is sent to."""
    asked = {
        "response_type": "code",
        "client_id": handshake.client_id,
        "redirect_uri": handshake.redirect_uri,
        "scope": " ".join(settings.scopes),
        "state": handshake.state,
        "nonce": handshake.nonce,
    }
    if handshake.verifier:
        asked |= {"code_challenge": code_challenge(handshake.verifier)}
        asked |= {"code_challenge_method": "S256"}
    return with_query(metadata.authorization_endpoint, asked)


def with_query(address: str, parameters: Mapping[str, str]) -> str:
    """Add parameters to an address that may have a query already."""
    joint = "&" if "?" in address else "?"
    return f"{address}{joint}{urlencode(parameters)}"


def code_challenge(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def cookie_name(state: str) -> str:
    """Return the name of the cookie for one state, so that tabs do not take each other's."""
    digest = hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()
    return COOKIE_PREFIX + digest[:_COOKIE_DIGITS]
