"""Speaks with identity providers: discovery, keys, token endpoint, userinfo.

Metadata and keys are kept for their lifetime; an unknown key name makes the keys be fetched anew,
once in a while, so that neither a rotation nor a flood of made-up names does harm. A failure is
kept for a few seconds, so that of many who come at once only the first waits for a silent provider.

Spec: lines 91-133. Source: OpenID Connect Discovery 1.0, Core 1.0 sections 3.1.3, 5.3, 10.1.1.
"""

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from bennu.auth.oauth2.client_proof import client_proof
from bennu.auth.oauth2.handshake import Handshake
from bennu.auth.oauth2.id_token import ProviderKey, UnknownKeyError, keys_of
from bennu.auth.oauth2.metadata import Metadata, MetadataError, json_object, read_metadata
from bennu.auth.oauth2.settings import ProviderSettings
from bennu.kernel.clock import Clock
from bennu.kernel.errors import UnavailableError
from bennu.kernel.ids import Entropy
from bennu.kernel.secret import Secret
from bennu.network.egress import Egress, Inbound, Outbound

logger: Final = logging.getLogger("bennu.auth.oauth2")

T = TypeVar("T")

DEFAULT_LIFETIME_SECONDS: Final = 3600
SHORTEST_LIFETIME_SECONDS: Final = 300
LONGEST_LIFETIME_SECONDS: Final = 86_400
#: How often an unknown key name may have the keys fetched again.
REFETCH_SECONDS: Final = 60
#: How long a provider that could not be used is not asked again.
FAILURE_SECONDS: Final = 5
_MOST_PROVIDERS: Final = 100
_DOCUMENT_BYTES: Final = 524_288
_OK: Final = 200
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=([0-9]{1,8})(?![0-9])")
_ERROR_WORD: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class TokenEndpointError(UnavailableError):
    """The token endpoint gave no tokens.

    Args:
        detail: for the log.
        error: its own word, "" when it said none.
        reason: a fixed word for the audit trail.
    """

    code = "token_endpoint"

    def __init__(self, detail: str, error: str = "", reason: str = "token_endpoint") -> None:
        super().__init__("The identity provider refused", detail=detail)
        self.error, self.reason = error, reason


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the token endpoint gave; "" for an access token that did not come."""

    id_token: str
    access_token: Secret


@dataclass(slots=True)
class _Failure:
    """Why something could not be fetched a moment ago."""

    error: UnavailableError | None = None
    until: float = 0


@dataclass(slots=True)
class _Known:
    """What is kept of one provider; times on the monotonic clock."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    metadata: Metadata | None = None
    metadata_until: float = 0
    keys: tuple[ProviderKey, ...] = ()
    keys_until: float = 0
    refetched_at: float | None = None
    metadata_failure: _Failure = field(default_factory=_Failure)
    keys_failure: _Failure = field(default_factory=_Failure)


class IdentityProviders:
    """The talker for all providers.

    Args:
        egress: the way out.
        clock: passed in.
        entropy: for signed assertions.
        answer_seconds: how long a provider may take for one answer.
    """

    def __init__(
        self, egress: Egress, clock: Clock, entropy: Entropy, answer_seconds: float = 10.0
    ) -> None:
        self._egress, self._clock, self._entropy = egress, clock, entropy
        self._answer_seconds = answer_seconds
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def _of(self, settings: ProviderSettings) -> _Known:
        """Return what is kept under an address; a provider that moves begins anew."""
        known = self._known.setdefault(settings.oidc_config_url, _Known())
        self._known.move_to_end(settings.oidc_config_url)
        if len(self._known) > _MOST_PROVIDERS:
            self._known.popitem(last=False)
        return known

    def providers_known(self) -> int:
        """Return of how many providers something is kept, at most 100."""
        return len(self._known)

    async def metadata(self, settings: ProviderSettings) -> Metadata:
        """Return the discovery document, fetched when it is not known or too old.

        Raises:
            UnavailableError: it cannot be fetched, or is not to be trusted.
        """
        known = self._of(settings)
        async with known.lock:
            now = self._clock.monotonic_seconds()
            if known.metadata is None or now >= known.metadata_until:
                with self._remembered(known.metadata_failure):
                    answer = await self._document(settings.oidc_config_url)
                    metadata = read_metadata(answer.body, settings.oidc_config_url)
                if known.metadata is not None and known.metadata.jwks_uri != metadata.jwks_uri:
                    known.keys_until, known.keys_failure = 0, _Failure()
                known.metadata = metadata
                known.metadata_until = now + _lifetime_seconds(answer)
            return known.metadata

    async def keys(self, settings: ProviderSettings) -> tuple[ProviderKey, ...]:
        """Return the keys, fetched when they are not known or too old.

        Raises:
            UnavailableError: they cannot be fetched.
        """
        metadata = await self.metadata(settings)
        known = self._of(settings)
        async with known.lock:
            if self._clock.monotonic_seconds() >= known.keys_until:
                await self._fetch_keys(known, metadata)
            return known.keys

    async def with_keys(
        self, settings: ProviderSettings, check: Callable[[tuple[ProviderKey, ...]], T]
    ) -> T:
        """Run a check with the keys; once more with new ones when it meets an unknown key.

        Raises:
            TokenRefusedError: what the check raises.
            UnavailableError: the keys cannot be fetched.
        """
        keys = await self.keys(settings)
        try:
            return check(keys)
        except UnknownKeyError:
            newer = await self._newer_keys(settings, keys)
            if newer is None:
                raise
            return check(newer)

    async def _newer_keys(
        self, settings: ProviderSettings, keys: tuple[ProviderKey, ...]
    ) -> tuple[ProviderKey, ...] | None:
        metadata = await self.metadata(settings)
        known = self._of(settings)
        async with known.lock:
            if known.keys is not keys:
                return known.keys  # somebody else fetched them meanwhile
            now = self._clock.monotonic_seconds()
            if known.refetched_at is not None and now - known.refetched_at < REFETCH_SECONDS:
                return None
            known.refetched_at = now
            await self._fetch_keys(known, metadata)
            return known.keys

    async def _fetch_keys(self, known: _Known, metadata: Metadata) -> None:
        with self._remembered(known.keys_failure):
            answer = await self._document(metadata.jwks_uri)
            keys = keys_of(json_object(answer.body))
            if not keys:
                raise MetadataError("the provider publishes no key that can be used")
        known.keys = keys
        known.keys_until = self._clock.monotonic_seconds() + _lifetime_seconds(answer)
        logger.info("oauth2.keys.fetched", extra={"issuer": metadata.issuer, "keys": len(keys)})

    @contextmanager
    def _remembered(self, failure: _Failure) -> Iterator[None]:
        """Fail at once with what failed a moment ago; else try, and keep how it failed."""
        if failure.error is not None and self._clock.monotonic_seconds() < failure.until:
            raise failure.error.with_traceback(None)
        failure.error = None
        try:
            yield
        except UnavailableError as error:
            failure.error = error
            failure.until = self._clock.monotonic_seconds() + FAILURE_SECONDS
            raise

    async def _document(self, url: str) -> Inbound:
        answer = await self._ask(Outbound(url, headers={"accept": "application/json"}))
        if answer.status != _OK:
            raise MetadataError(f"the provider answers {url[:200]} with status {answer.status}")
        return answer

    async def _ask(self, outbound: Outbound) -> Inbound:
        bounded = replace(outbound, total_seconds=self._answer_seconds, most_bytes=_DOCUMENT_BYTES)
        return await self._egress.send(bounded)

    # --- for one sign-in -------------------------------------------------------------------

    async def exchange_code(
        self, settings: ProviderSettings, handshake: Handshake, code: str
    ) -> Tokens:
        """Exchange a code for tokens.

        Raises:
            TokenEndpointError: the provider refused, or answered with something else.
            UnavailableError: it did not answer, or a file of ours cannot be read.
        """
        metadata = await self.metadata(settings)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": handshake.redirect_uri,
        }
        if handshake.verifier:
            form["code_verifier"] = handshake.verifier
        answer = await self.ask_token_endpoint(settings, metadata, form)
        document = json_object(answer.body)
        id_token, access_token = document.get("id_token"), document.get("access_token")
        if not isinstance(id_token, str) or not id_token:
            raise TokenEndpointError("the provider gave no ID token", reason="no_id_token")
        return Tokens(id_token, Secret(access_token if isinstance(access_token, str) else ""))

    async def ask_token_endpoint(
        self, settings: ProviderSettings, metadata: Metadata, form: Mapping[str, str]
    ) -> Inbound:
        """Send a form to the token endpoint with the proof of who we are.

        Raises:
            TokenEndpointError: any status but 200.
        """
        now = int(self._clock.now_utc().timestamp())
        proof = await client_proof(settings, metadata, self._entropy, now)
        answer = await self._ask(
            Outbound(
                metadata.token_endpoint,
                "POST",
                form={**form, **proof.form},
                headers={"accept": "application/json", **proof.headers},
            )
        )
        if answer.status != _OK:
            error = _error_word(answer)
            said = f" and {error}" if error else ""
            raise TokenEndpointError(
                f"the token endpoint answered with status {answer.status}{said}", error
            )
        return answer

    async def userinfo(self, settings: ProviderSettings, tokens: Tokens) -> Mapping[str, Any]:
        """Return what the provider says besides; {} where it says nothing that can be used."""
        metadata = await self.metadata(settings)
        if not metadata.userinfo_endpoint or not tokens.access_token:
            return {}
        bearer = f"Bearer {tokens.access_token.reveal()}"
        if not bearer.isascii() or not bearer.isprintable():
            return {}
        headers = {"accept": "application/json", "authorization": bearer}
        try:
            answer = await self._ask(Outbound(metadata.userinfo_endpoint, headers=headers))
            return json_object(answer.body) if answer.status == _OK else {}
        except UnavailableError as error:
            fields = {"provider": settings.name, "reason": error.detail}
            logger.warning("oauth2.userinfo.failed", extra=fields)
            return {}


def _lifetime_seconds(answer: Inbound) -> float:
    match = _MAX_AGE.search(answer.headers.get("cache-control", "").lower())
    said = int(match[1]) if match else DEFAULT_LIFETIME_SECONDS
    return min(max(said, SHORTEST_LIFETIME_SECONDS), LONGEST_LIFETIME_SECONDS)


def _error_word(answer: Inbound) -> str:
    """Return the provider's word for what is wrong, when it is one."""
    try:
        word = json_object(answer.body).get("error")
    except MetadataError:
        return ""
    return word if isinstance(word, str) and _ERROR_WORD.fullmatch(word) else ""
