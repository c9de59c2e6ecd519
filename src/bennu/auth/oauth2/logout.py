"""Signing out at the provider too, and being signed out by it.

Spec: line 257. Source: OpenID Connect RP-Initiated Logout 1.0, Back-Channel Logout 1.0.
"""

import logging
from typing import Final

from sqlalchemy import Connection

from bennu.access import Caller
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.auth.oauth2.configured import ConfiguredProviders
from bennu.auth.oauth2.handshake import with_query
from bennu.auth.oauth2.id_token import (
    LEEWAY_SECONDS,
    LOGOUT_LIFETIME_SECONDS,
    Expected,
    LogoutOrder,
    TokenRefusedError,
    verified_logout,
)
from bennu.auth.oauth2.provider import IdentityProviders
from bennu.auth.oauth2.settings import ProviderSettings
from bennu.auth.oauth2.store import sessions_at_provider
from bennu.auth.sessions.flow import SESSION, ProviderSession
from bennu.auth.sessions.store import delete_session
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import MalformedError, NotFoundError, UnavailableError
from bennu.kernel.ids import global_id
from bennu.storage.database import Database
from bennu.storage.epoch import move_security_epoch
from bennu.storage.used_once import OneUse, use_once
from bennu.users.model import USER

logger: Final = logging.getLogger("bennu.auth.oauth2")

REASON: Final = "backchannel_logout"
_PURPOSE: Final = "oauth2-logout"
_MICROSECONDS: Final = 1_000_000
#: Longer tokens would make the address too long for servers in between.
_LONGEST_HINT: Final = 4096


class ProviderSignOut:
    """Ends sessions together with those at the provider."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        providers: ConfiguredProviders,
        talker: IdentityProviders,
    ) -> None:
        self._database, self._audit = database, audit
        self._providers, self._talker = providers, talker

    async def sign_out_address(self, ended: ProviderSession | None, back_to: str) -> str | None:
        """Return where a browser signs out at the provider, None where that is not offered.

        Args:
            ended: what the provider knows the ended session by.
            back_to: our own address, registered there, to which it leads back.
        """
        settings = None if ended is None else await self._providers.find(ended.provider)
        if ended is None or settings is None:
            return None
        try:
            metadata = await self._talker.metadata(settings)
        except UnavailableError as error:
            fields = {"provider": settings.name, "reason": error.detail}
            logger.warning("oauth2.sign_out.failed", extra=fields)
            return None
        if not metadata.end_session_endpoint:
            return None
        asked = {"client_id": settings.client_id, "post_logout_redirect_uri": back_to}
        token = ended.id_token.reveal()
        if len(token) <= _LONGEST_HINT:
            asked["id_token_hint"] = token
        return with_query(metadata.end_session_endpoint, asked)

    async def end_by_provider(self, caller: Caller, provider: str, token: str) -> int:
        """End the sessions that a provider's logout token names; return how many there were.

        Raises:
            NotFoundError: there is no such provider.
            MalformedError: the token is not acceptable; nothing was ended.
            UnavailableError: the provider's keys cannot be fetched.
        """
        settings = await self._providers.find(provider)
        if settings is None:
            raise NotFoundError("No such identity provider")
        metadata = await self._talker.metadata(settings)
        now_seconds = self._database.clock.now_utc().timestamp()
        expected = Expected(
            issuer=metadata.issuer,
            client_id=settings.client_id,
            algorithms=metadata.algorithms,
            client_secret=settings.client_secret,
            now_seconds=now_seconds,
        )
        try:
            order = await self._talker.with_keys(
                settings, lambda keys: verified_logout(token, keys, expected)
            )
            return await self._database.write(
                lambda c: self._end(c, caller, settings, metadata.issuer, order)
            )
        except TokenRefusedError as error:
            await self._note_refusal(caller, settings, error.reason)
            raise MalformedError(
                "The logout token is not acceptable", detail=error.reason
            ) from None

    def _end(
        self,
        connection: Connection,
        caller: Caller,
        settings: ProviderSettings,
        issuer: str,
        order: LogoutOrder,
    ) -> int:
        move_security_epoch(connection)
        now = to_microseconds(self._database.clock.now_utc())
        kept = (LOGOUT_LIFETIME_SECONDS + 2 * LEEWAY_SECONDS) * _MICROSECONDS
        token_id = f"{settings.name}\0{issuer}\0{order.token_id}"
        if not use_once(connection, OneUse(_PURPOSE, token_id), expires_at=now + kept, now=now):
            raise TokenRefusedError("replayed_logout_token")
        found = sessions_at_provider(
            connection, settings.name, issuer, order.session_id, order.subject
        )
        for session_id, user_id in found:
            delete_session(connection, session_id)
            event = AuditEvent(
                EventName.SESSION_ENDED,
                reason=REASON,
                target=Target("session", global_id(SESSION, session_id)),
                after={"provider": settings.name, "user": global_id(USER, user_id)},
            )
            self._audit.record(connection, event, caller)
        return len(found)

    async def _note_refusal(self, caller: Caller, settings: ProviderSettings, reason: str) -> None:
        target = Target("route", f"POST /oauth2/{settings.name}/backchannel-logout")
        await self._audit.note(AuditEvent(EventName.DENIED, Outcome.DENIED, reason, target), caller)
        fields = {"provider": settings.name, "reason": reason, "request_id": caller.request_id}
        logger.warning("oauth2.backchannel_logout.refused", extra=fields)
