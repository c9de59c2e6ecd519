"""Signing in through an identity provider: sent there, back with a code, in or refused.

Spec: lines 91-133, 257-258. Contract: sections 2 and 7. Source: OpenID Connect Core 1.0 section
3.1, RFC 9700 (OAuth 2.0 security).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from bennu.access import Caller
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.auth.oauth2.claims import (
    ClaimsRefusedError,
    identity_of,
    merged_claims,
    read_claims,
)
from bennu.auth.oauth2.client_proof import ClientProofError
from bennu.auth.oauth2.configured import ConfiguredProviders
from bennu.auth.oauth2.handshake import (
    Handshake,
    HandshakeRefusedError,
    Handshakes,
    authorization_address,
    cookie_name,
)
from bennu.auth.oauth2.id_token import Expected, TokenRefusedError, verified_claims
from bennu.auth.oauth2.metadata import MetadataError
from bennu.auth.oauth2.provider import IdentityProviders, TokenEndpointError, Tokens
from bennu.auth.oauth2.settings import ProviderSettings
from bennu.auth.provision import Identity, RefusalReason, Refused, admit_identity
from bennu.auth.return_address import safe_return_path
from bennu.auth.sessions.flow import SESSION, ProviderSession, Sessions, TokenPair, signed_in
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import AppError, UnauthenticatedError
from bennu.kernel.ids import global_id
from bennu.kernel.secret import Secret
from bennu.network.destinations import DestinationRefusedError
from bennu.network.egress import EgressError
from bennu.storage.database import Database

logger: Final = logging.getLogger("bennu.auth.oauth2")

METHOD: Final = "oauth2"
_LONGEST_ANSWER: Final = 4096
#: What the page says for each reason; any other reason is ``auth_failed``.
_PAGE_CODES: Final[Mapping[str, str]] = {
    "unknown_provider": "unknown_idp",
    "unsafe_return_url": "unsafe_return_url",
    "missing_handshake": "invalid_state",
    "other_provider": "invalid_state",
    "foreign_state": "invalid_state",
    "expired_state": "invalid_state",
    "replayed_state": "invalid_state",
    "provider_error": "oauth_error",
    "token_endpoint": "oauth_error",
    "no_id_token": "no_oidc_support",
    "missing_email": "missing_email_scope",
    RefusalReason.EMAIL_IN_USE: "email_in_use",
    RefusalReason.SIGN_IN_NOT_ALLOWED: "sign_in_not_allowed",
    RefusalReason.OTHER_IDENTITY: "sign_in_not_allowed",
    RefusalReason.DEACTIVATED: "sign_in_not_allowed",
}


class SignInRefusedError(UnauthenticatedError):
    """Nobody was signed in.

    Args:
        reason: a fixed word for the audit trail and the log.
        detail: more for the log; no secret.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__("Sign-in failed", detail=f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        #: For the page; one of the error codes of the contract.
        self.page_code = _PAGE_CODES.get(reason, "auth_failed")


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where to send the browser, and the cookie that it must bring back."""

    address: str
    cookie_name: str
    cookie_value: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider sent back through the browser; "" for what is missing."""

    state: str
    code: str
    issuer: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The credentials of the new session, and the path to go to."""

    pair: TokenPair
    return_to: str


class ProviderSignIn:
    """The two halves of a sign-in."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        sessions: Sessions,
        handshakes: Handshakes,
        providers: ConfiguredProviders,
        talker: IdentityProviders,
    ) -> None:
        self._database, self._audit, self._sessions = database, audit, sessions
        self._handshakes, self._providers, self._talker = handshakes, providers, talker

    # --- there -----------------------------------------------------------------------------

    async def begin_sign_in(
        self, caller: Caller, provider: str, return_url: str, callback: str
    ) -> Beginning:
        """Send somebody to a provider.

        Args:
            caller: who asks.
            provider: its name.
            return_url: where they want to be afterwards; "" for home.
            callback: our own address for the answer, as registered at the provider.

        Raises:
            SignInRefusedError: no such provider, it does not answer, or the place is not ours.
        """
        try:
            return await self._begin(provider, return_url, callback)
        except _REFUSALS as error:
            raise await self._refused(caller, provider, _refusal_of(error)) from None

    async def _begin(self, provider: str, return_url: str, callback: str) -> Beginning:
        settings = await self._find(provider)
        return_to = safe_return_path(return_url)
        if return_to is None:
            raise SignInRefusedError("unsafe_return_url")
        metadata = await self._talker.metadata(settings)
        handshake = self._handshakes.begin(settings, metadata, callback, return_to)
        return Beginning(
            authorization_address(handshake, settings, metadata),
            cookie_name(handshake.state),
            self._handshakes.seal(handshake),
        )

    # --- and back --------------------------------------------------------------------------

    async def finish_sign_in(
        self, caller: Caller, provider: str, answer: Answer, cookie: str
    ) -> SignedIn:
        """Take a provider's answer and open a session.

        Args:
            caller: who brings it.
            provider: the name in the address that it came to.
            answer: its parameters.
            cookie: the handshake of the browser, "" when it brought none for this state.

        Raises:
            SignInRefusedError: anything is not as it must be.
        """
        try:
            settings = await self._find(provider)
            handshake = await self._handshakes.take_back(cookie, provider, answer.state)
            await self._check_answer(settings, handshake, answer)
            identity, at_provider = await self._prove(settings, handshake, answer.code)
            pair = await self._admit(caller, settings, identity, at_provider)
        except _REFUSALS as error:
            raise await self._refused(caller, provider, _refusal_of(error)) from None
        return SignedIn(pair, handshake.return_to)

    async def _find(self, provider: str) -> ProviderSettings:
        settings = await self._providers.find(provider)
        if settings is None:
            raise SignInRefusedError("unknown_provider")
        return settings

    async def _check_answer(
        self, settings: ProviderSettings, handshake: Handshake, answer: Answer
    ) -> None:
        """Refuse an answer of another provider (mix-up, RFC 9207) and one without a code."""
        metadata = await self._talker.metadata(settings)
        is_same = handshake.issuer == metadata.issuer and handshake.client_id == settings.client_id
        names_other = answer.issuer not in {"", handshake.issuer}
        if not is_same or names_other or (metadata.announces_issuer and not answer.issuer):
            raise SignInRefusedError("wrong_issuer")
        if answer.error:
            raise SignInRefusedError("provider_error", answer.error)
        if not 0 < len(answer.code) <= _LONGEST_ANSWER:
            raise SignInRefusedError("no_code")

    async def _prove(
        self, settings: ProviderSettings, handshake: Handshake, code: str
    ) -> tuple[Identity, ProviderSession]:
        metadata = await self._talker.metadata(settings)
        tokens = await self._talker.exchange_code(settings, handshake, code)
        expected = Expected(
            issuer=handshake.issuer,
            client_id=settings.client_id,
            algorithms=metadata.algorithms,
            client_secret=settings.client_secret,
            now_seconds=self._database.clock.now_utc().timestamp(),
            nonce=handshake.nonce,
            access_token=tokens.access_token.reveal(),
        )
        claims = await self._talker.with_keys(
            settings, lambda keys: verified_claims(tokens.id_token, keys, expected)
        )
        claims = await self._completed(settings, tokens, claims)
        session_id = claims.get("sid")
        at_provider = ProviderSession(
            settings.name,
            session_id if isinstance(session_id, str) and "\0" not in session_id else None,
            Secret(tokens.id_token),
        )
        return identity_of(claims, settings), at_provider

    async def _completed(
        self, settings: ProviderSettings, tokens: Tokens, claims: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Ask the provider again when a configured claim is missing."""
        if not read_claims(claims, settings).misses_something(settings):
            return claims
        userinfo = await self._talker.userinfo(settings, tokens)
        return merged_claims(claims, userinfo) if userinfo else claims

    async def _admit(
        self,
        caller: Caller,
        settings: ProviderSettings,
        identity: Identity,
        at_provider: ProviderSession,
    ) -> TokenPair:
        """Find or make the account and open its session, in one transaction."""

        def work(connection: Connection) -> TokenPair | Refused:
            now = self._now()
            admitted = admit_identity(
                connection, identity, allow_sign_up=settings.allow_sign_up, now=now
            )
            if isinstance(admitted, Refused):
                return admitted
            user = admitted.user
            session_id, pair = self._sessions.open_session(
                connection, user.row_id, METHOD, caller, at_provider
            )
            actor = signed_in(user, session_id, caller)
            success = AuditEvent(
                EventName.SIGN_IN_SUCCEEDED,
                target=Target("session", global_id(SESSION, session_id)),
                after={"method": METHOD, "provider": settings.name, "role": user.role},
            )
            for event in (*admitted.events, success):
                self._audit.record(connection, event, actor)
            return pair

        result = await self._database.write(work)
        if isinstance(result, Refused):
            raise SignInRefusedError(result.reason)
        return result

    # --- refused ---------------------------------------------------------------------------

    async def _refused(
        self, caller: Caller, provider: str, error: SignInRefusedError
    ) -> SignInRefusedError:
        """Leave a record and a line in the log; return what to raise."""
        settings = await self._providers.find(provider)
        shown = settings.name if settings is not None else "(unknown)"
        event = AuditEvent(
            EventName.SIGN_IN_FAILED,
            Outcome.FAILED,
            error.reason,
            Target("user"),
            after={"method": METHOD, "provider": shown},
        )
        await self._audit.note(event, caller)
        fields = {"provider": shown, "reason": error.detail, "request_id": caller.request_id}
        logger.warning("oauth2.sign_in.failed", extra=fields)
        return error

    def _now(self) -> int:
        return to_microseconds(self._database.clock.now_utc())


#: Everything for which nobody is signed in and a page says so; what else is wrong is our own.
_REFUSALS: Final = (
    SignInRefusedError,
    HandshakeRefusedError,
    TokenRefusedError,
    ClaimsRefusedError,
    TokenEndpointError,
    MetadataError,
    ClientProofError,
    EgressError,
    DestinationRefusedError,
)


def _refusal_of(error: Exception) -> SignInRefusedError:
    if isinstance(error, SignInRefusedError):
        return error
    if isinstance(error, HandshakeRefusedError | TokenRefusedError | ClaimsRefusedError):
        return SignInRefusedError(error.reason)
    if isinstance(error, TokenEndpointError):
        return SignInRefusedError(error.reason, error.detail)
    if isinstance(error, EgressError) or not isinstance(error, AppError):
        return SignInRefusedError("provider_unavailable", getattr(error, "detail", ""))
    return SignInRefusedError(error.code, error.detail)
