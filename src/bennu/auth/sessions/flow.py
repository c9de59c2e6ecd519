"""Sessions: opened by every way of signing in, refreshed by rotation, ended at once.

A refresh credential works once. Within 20 seconds a second use gets the same successor (two tabs
that wake up together); later it is a copy in the wrong hands and ends the whole family.

Spec: line 257. Source: RFC 9700 section 4.14.2 (refresh token rotation). Decision 6.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from bennu.access import Caller, Principal, PrincipalKind
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.auth.credential import (
    Credential,
    CredentialKind,
    make_credential,
    parse_credential,
)
from bennu.auth.sessions.store import (
    BearerRow,
    consume_credential,
    delete_session,
    drop_access_credentials,
    find_bearer,
    forget_successors,
    insert_credential,
    insert_session,
    provider_of_session,
    session_started_at,
    sweep_credentials,
    touch_session,
)
from bennu.auth.settings import AuthSettings
from bennu.encryption.cipher import Cipher
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import UnauthenticatedError
from bennu.kernel.ids import Entropy, equal_in_constant_time, global_id
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.epoch import hold_security_epoch, move_security_epoch
from bennu.users.model import USER, User
from bennu.users.store import update_user

GRACE: Final = timedelta(seconds=20)
SESSION: Final = "Session"
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a session's cookies hold."""

    access: Secret
    refresh: Secret


@dataclass(frozen=True, slots=True)
class ProviderSession:
    """What an identity provider knows a session by.

    Args:
        provider: its name in small letters.
        session_id: the provider's own id of its session (``sid``); None when it gives none.
        id_token: what proves at the provider whose session is to end.
    """

    provider: str
    session_id: str | None
    id_token: Secret


def signed_in(user: User, session_id: int, caller: Caller) -> Caller:
    """Return who asked to sign in as who they are now, for the records of their sign-in.

    Why safe: without permissions, so that it is good for records only.
    """
    actor = Principal(
        PrincipalKind.USER,
        global_id(USER, user.row_id),
        user.username,
        user.role,
        user_id=user.row_id,
        credential_id=global_id(SESSION, session_id),
        session_id=session_id,
    )
    return replace(caller, principal=actor)


class Sessions:
    """The flows over sessions."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        cipher: Cipher,
        audit: AuditLog,
        settings: AuthSettings,
    ) -> None:
        self._database, self._clock, self._entropy = database, clock, entropy
        self._cipher, self._audit, self._settings = cipher, audit, settings

    def open_session(
        self,
        connection: Connection,
        user_id: int,
        method: str,
        caller: Caller,
        at_provider: ProviderSession | None = None,
    ) -> tuple[int, TokenPair]:
        """Open a session in the transaction of a sign-in; return its row and its credentials.

        Who signs in from within a session leaves it: it ends here.
        """
        now = self._now()
        values: dict[str, Any] = {
            "user_id": user_id,
            "authenticated_at": now,
            "address": caller.address,
            "user_agent": caller.user_agent.replace("\0", ""),
            "created_at": now,
            "last_used_at": now,
            "expires_at": self._expiry(now, now),
        }
        if at_provider is not None:
            values["provider"] = at_provider.provider
            values["provider_session_id"] = at_provider.session_id
            values["id_token"] = self._cipher.seal(at_provider.id_token.reveal())
        session_id = insert_session(connection, values, [method])
        update_user(connection, user_id, {"last_sign_in_at": now})
        pair = self._make_pair(connection, user_id, session_id, now)
        self._end_left(connection, caller)
        return session_id, pair

    def _end_left(self, connection: Connection, caller: Caller) -> None:
        """End the session that a sign-in came from. Source: OWASP ASVS 5.0 V7.2.4."""
        left = caller.principal.session_id
        if left is None or not delete_session(connection, left):
            return
        move_security_epoch(connection)
        target = Target("session", global_id(SESSION, left))
        event = AuditEvent(EventName.SESSION_ENDED, reason="signed_in_again", target=target)
        self._audit.record(connection, event, caller)

    def _expiry(self, now: int, authenticated_at: int) -> int:
        """Return when a session used now ends: idle limit or absolute limit, the sooner."""
        idle = self._settings.session_idle_limit
        absolute = authenticated_at + self._settings.session_absolute_lifetime // _MICROSECOND
        return min(now + idle // _MICROSECOND, absolute)

    def _make_pair(
        self, connection: Connection, user_id: int, session_id: int, now: int
    ) -> TokenPair:
        access = make_credential(CredentialKind.ACCESS, self._entropy)
        refresh = make_credential(CredentialKind.REFRESH, self._entropy)
        lifetimes = (
            (access, self._settings.access_lifetime),
            (refresh, self._settings.refresh_lifetime),
        )
        for credential, lifetime in lifetimes:
            values = {
                "user_id": user_id,
                "session_id": session_id,
                "created_at": now,
                "expires_at": now + lifetime // _MICROSECOND,
            }
            insert_credential(connection, credential, self._cipher.seal(credential.digest), values)
        return TokenPair(access.text, refresh.text)

    async def refresh_session(self, presented: str, caller: Caller) -> TokenPair:
        """Exchange a refresh credential for a new pair.

        Raises:
            UnauthenticatedError: it is missing, wrong, expired, or was used before.
        """
        if not presented:
            raise UnauthenticatedError("Missing refresh token", detail="no refresh token")
        credential = parse_credential(presented)
        if credential is None or credential.kind is not CredentialKind.REFRESH:
            raise UnauthenticatedError("Invalid refresh token", detail="not a refresh token")
        result = await self._database.write(lambda c: self._refresh(c, credential, caller))
        if isinstance(result, UnauthenticatedError):
            raise result
        return result

    def _refresh(
        self, connection: Connection, credential: Credential, caller: Caller
    ) -> TokenPair | UnauthenticatedError:
        """Refresh in one transaction; a refusal is returned, so that what it ended is kept."""
        # Two tabs that wake up together must get one successor, also in two processes.
        hold_security_epoch(connection)
        row = find_bearer(connection, credential.lookup)
        invalid = UnauthenticatedError("Invalid refresh token", detail="unknown refresh token")
        if row is None or row.session_id is None or row.user_id is None:
            return invalid
        if not self._is_proved(credential, row) or not row.user_active:
            return invalid
        now = self._now()
        limit = min(row.expires_at or now, row.session_expires_at or now)
        if now >= limit:
            return UnauthenticatedError("Expired refresh token", detail="expired refresh token")
        if row.consumed_at is not None:
            return self._used_again(connection, row, now, caller) or invalid
        drop_access_credentials(connection, row.session_id)
        pair = self._make_pair(connection, row.user_id, row.session_id, now)
        consume_credential(connection, row.credential_id, now, self._seal_pair(pair))
        forget_successors(connection, row.session_id, now - GRACE // _MICROSECOND)
        started_at = session_started_at(connection, row.session_id)
        touch_session(connection, row.session_id, now, self._expiry(now, started_at))
        move_security_epoch(connection)
        return pair

    def _is_proved(self, credential: Credential, row: BearerRow) -> bool:
        kept = self._cipher.open(row.digest)
        return equal_in_constant_time(kept, credential.digest.encode())

    def _seal_pair(self, pair: TokenPair) -> str:
        text = msgspec.json.encode([pair.access.reveal(), pair.refresh.reveal()])
        return self._cipher.seal(text)

    def _used_again(
        self, connection: Connection, row: BearerRow, now: int, caller: Caller
    ) -> TokenPair | None:
        """Give the same successor within the grace, else end the session and record it."""
        consumed_at = row.consumed_at or 0
        if row.successor is not None and now - consumed_at <= GRACE // _MICROSECOND:
            texts = msgspec.json.decode(self._cipher.open(row.successor), type=tuple[str, str])
            return TokenPair(Secret(texts[0]), Secret(texts[1]))
        session_id = row.session_id or 0
        delete_session(connection, session_id)
        move_security_epoch(connection)
        event = AuditEvent(
            EventName.SESSION_REFRESHED_TWICE,
            Outcome.DENIED,
            "refresh_token_reused",
            Target("session", global_id(SESSION, session_id)),
        )
        self._audit.record(connection, event, caller)
        return None

    async def end_own_session(self, caller: Caller, refresh: str) -> ProviderSession | None:
        """Sign out: end the session of the access credential, or that of the refresh cookie.

        Returns:
            What the provider knows the session by, if it was opened through one.
        """
        credential = parse_credential(refresh) if refresh else None

        def work(connection: Connection) -> ProviderSession | None:
            hold_security_epoch(connection)
            session_id = caller.principal.session_id
            if session_id is None and credential is not None:
                row = find_bearer(connection, credential.lookup)
                if row is not None and self._is_proved(credential, row):
                    session_id = row.session_id
            if session_id is None:
                return None
            at_provider = self._at_provider(connection, session_id)
            if not delete_session(connection, session_id):
                return None
            move_security_epoch(connection)
            target = Target("session", global_id(SESSION, session_id))
            self._audit.record(connection, AuditEvent(EventName.SIGN_OUT, target=target), caller)
            return at_provider

        if caller.principal.session_id is None and credential is None:
            return None
        return await self._database.write(work)

    def _at_provider(self, connection: Connection, session_id: int) -> ProviderSession | None:
        found = provider_of_session(connection, session_id)
        if found is None:
            return None
        provider, provider_session_id, sealed = found
        token = Secret(self._cipher.open(sealed).decode())
        return ProviderSession(provider, provider_session_id, token)

    async def sweep_expired_sessions(self) -> int:
        """Delete what is past its time; return how much. Nobody could use it any more."""
        now = self._now()
        return await self._database.write(lambda c: sweep_credentials(c, now))

    def _now(self) -> int:
        return to_microseconds(self._clock.now_utc())
