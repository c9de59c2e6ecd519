"""From what a request presents to who is calling; HTTP and gRPC both come here.

A verified credential is cached only for the security epoch in which it was checked, so that a
revocation or a change of role holds for the very next request, here and in other processes.

Spec: lines 142-155. Source: RFC 6750; OWASP ASVS 5.0 V7.4. Decision 6.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from bennu.access import (
    ADMIN,
    BUILT_IN_ROLES,
    PROJECT_PERMISSIONS,
    Permission,
    Principal,
    PrincipalKind,
)
from bennu.auth.credential import Credential, CredentialKind, parse_credential
from bennu.auth.sessions.flow import SESSION
from bennu.auth.sessions.store import BearerRow, find_bearer, find_service_account
from bennu.auth.settings import AuthSettings
from bennu.auth.verified import Verified, VerifiedCredentials
from bennu.encryption.cipher import Cipher
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import MalformedError, UnauthenticatedError
from bennu.kernel.ids import equal_in_constant_time, global_id, row_id_of
from bennu.roles.store import permissions_of_role
from bennu.storage.database import Database
from bennu.tls.certificate import CertificateFacts
from bennu.tls.identity import CertificateAccounts
from bennu.users.model import USER
from bennu.users.store import find_system_user

INVALID: Final = "Invalid token"
EXPIRED: Final = "Expired token"
SYSTEM_KEY: Final = "SystemApiKey"
_BEARER: Final = "bearer "
_ACCEPTED: Final = frozenset(
    {CredentialKind.ACCESS, CredentialKind.USER_KEY, CredentialKind.SYSTEM_KEY}
)


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request brought.

    Args:
        authorization: every Authorization header.
        cookie: the access cookie, or "".
        certificate: what the client proved to hold when it connected, if it was asked for one.
    """

    authorization: tuple[str, ...]
    cookie: str = ""
    certificate: CertificateFacts | None = None


class Authenticator:
    """Verifies credentials."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        cipher: Cipher,
        settings: AuthSettings,
        certificates: CertificateAccounts | None = None,
    ) -> None:
        self._database, self._clock, self._cipher = database, clock, cipher
        self._certificates = certificates or CertificateAccounts({})
        self._enforce_reset = settings.enforce_password_reset
        secret = settings.admin_secret
        self._admin_digest = None if secret is None else _digest(secret.reveal())
        self._verified = VerifiedCredentials(clock)

    async def authenticate(self, presented: Presented) -> Principal | None:
        """Say who is calling; None when nothing was presented.

        A certificate counts only where nothing else was presented, and only when it stands for a
        service account; another one has opened the door, and a credential is still asked for.

        Raises:
            MalformedError: two Authorization headers.
            UnauthenticatedError: what was presented is not valid, or not any more. A bad header
                is never helped by a good cookie, nor either of them by a good certificate.
        """
        if len(presented.authorization) > 1:
            raise MalformedError("Only one Authorization header is allowed", detail="two headers")
        if presented.authorization:
            header = presented.authorization[0]
            if header[: len(_BEARER)].lower() != _BEARER:
                raise UnauthenticatedError(INVALID, detail="not a bearer credential")
            return await self._verify(header[len(_BEARER) :].strip())
        if presented.cookie:
            return await self._verify(presented.cookie)
        if presented.certificate is not None:
            return await self._verify_certificate(presented.certificate)
        return None

    async def _verify_certificate(self, certificate: CertificateFacts) -> Principal | None:
        account = self._certificates.account_of(certificate)
        if account is None:
            return None
        # The handshake has checked it; a connection may outlive its certificate.
        if self._clock.now_utc() >= certificate.not_after_utc:
            raise UnauthenticatedError(EXPIRED, detail="expired client certificate")
        key = _digest(f"certificate {certificate.fingerprint}")
        epoch = await self._database.security_epoch()
        known = self._verified.find(key, epoch)
        # What seems to have expired is looked up anew here too: another key may have its name.
        if known is None:
            known = await self._database.read(
                lambda c: self._look_up_account(c, certificate, account, epoch), tiny=True
            )
            self._verified.keep(key, known)
        self._refuse_expired(known.expires_at)
        return known.principal

    def _look_up_account(
        self, connection: Connection, certificate: CertificateFacts, account: str, epoch: int
    ) -> Verified:
        """Find the one system key that a service account is.

        Raises:
            UnauthenticatedError: there is none, or several of that name are good.
        """
        now = to_microseconds(self._clock.now_utc())
        row = find_service_account(connection, account, row_id_of(account, SYSTEM_KEY), now)
        if row is None:
            detail = f"client certificate of service account {account!r}: no such system key"
            raise UnauthenticatedError(INVALID, detail=detail)
        principal = replace(
            _system_key_principal(connection, row),
            kind=PrincipalKind.CERTIFICATE,
            name=f"{row.key_name} ({certificate.subject or certificate.names[0]})",
            credential_id=certificate.fingerprint,
        )
        return Verified(principal, epoch, row.key_expires_at)

    async def _verify(self, text: str) -> Principal:
        key = _digest(text)
        if key not in self._verified:
            self._readable(key, text)  # what is no credential at all costs no query
        epoch = await self._database.security_epoch()
        known = self._verified.find(key, epoch)
        # What seems to have expired is looked up anew: a session in use lives on meanwhile.
        if known is not None:
            return known.principal
        verified = await self._verify_anew(self._readable(key, text), epoch)
        self._verified.keep(key, verified)
        return verified.principal

    def _refuse_expired(self, expires_at: int | None) -> None:
        if self._verified.is_over(expires_at):
            raise UnauthenticatedError(EXPIRED, detail="expired credential")

    def _readable(self, key: bytes, text: str) -> Credential | None:
        """Return the credential, None for the admin secret; garbage costs no query.

        Raises:
            UnauthenticatedError: it is neither.
        """
        if self._admin_digest is not None and equal_in_constant_time(key, self._admin_digest):
            return None
        credential = parse_credential(text)
        if credential is None or credential.kind not in _ACCEPTED:
            raise UnauthenticatedError(INVALID, detail="not a credential of this server")
        return credential

    async def _verify_anew(self, credential: Credential | None, epoch: int) -> Verified:
        if credential is None:
            return Verified(await self._database.read(_admin_secret_principal), epoch, None)
        return await self._database.read(lambda c: self._look_up(c, credential, epoch), tiny=True)

    def _look_up(self, connection: Connection, credential: Credential, epoch: int) -> Verified:
        row = find_bearer(connection, credential.lookup)
        if row is None or row.kind != credential.kind:
            raise UnauthenticatedError(INVALID, detail="unknown credential")
        kept = self._cipher.open(row.digest)
        if not equal_in_constant_time(kept, credential.digest.encode()):
            raise UnauthenticatedError(INVALID, detail="wrong secret of a known credential")
        ends = [t for t in (row.expires_at, row.session_expires_at, row.key_expires_at) if t]
        expires_at = min(ends) if ends else None
        self._refuse_expired(expires_at)
        if credential.kind is CredentialKind.SYSTEM_KEY:
            return Verified(_system_key_principal(connection, row), epoch, expires_at)
        if row.user_id is None or not row.user_active:
            raise UnauthenticatedError(INVALID, detail="the user is deactivated")
        return Verified(self._user_principal(connection, row), epoch, expires_at)

    def _user_principal(self, connection: Connection, row: BearerRow) -> Principal:
        role = row.user_role or ""
        permissions = permissions_of_role(connection, role) or frozenset()
        is_key = row.api_key_id is not None
        return Principal(
            kind=PrincipalKind.USER_KEY if is_key else PrincipalKind.USER,
            public_id=global_id(USER, row.user_id or 0),
            name=row.username or "",
            role=role,
            permissions=_narrowed(row, permissions),
            user_id=row.user_id,
            credential_id=_credential_id(row),
            session_id=row.session_id,
            project_ids=_restriction(row),
            must_change_password=bool(
                self._enforce_reset and not is_key and row.password_needs_reset
            ),
        )


def _digest(text: str) -> bytes:
    """Hash what was presented: no credential stays in the cache, and lengths are alike."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _narrowed(row: BearerRow, permissions: frozenset[Permission]) -> frozenset[Permission]:
    """Return what is left of a role's permissions for a key that was made with fewer."""
    if row.key_permissions is not None:
        permissions &= _named(row.key_permissions)
    return permissions if row.key_projects is None else permissions & PROJECT_PERMISSIONS


def _named(text: str) -> frozenset[Permission]:
    known = {str(permission) for permission in Permission}
    return frozenset(Permission(name) for name in json.loads(text) if name in known)


def _restriction(row: BearerRow) -> frozenset[int] | None:
    return None if row.key_projects is None else frozenset(json.loads(row.key_projects))


def _credential_id(row: BearerRow) -> str:
    if row.api_key_id is None:
        return global_id(SESSION, row.session_id or 0)
    return global_id("UserApiKey" if row.user_id is not None else SYSTEM_KEY, row.api_key_id)


def _system_key_principal(connection: Connection, row: BearerRow) -> Principal:
    role = row.key_role or ""
    permissions = permissions_of_role(connection, role) or frozenset()
    return Principal(
        kind=PrincipalKind.SYSTEM_KEY,
        public_id=global_id(SYSTEM_KEY, row.api_key_id or 0),
        name=row.key_name or "",
        role=role,
        permissions=_narrowed(row, permissions),
        credential_id=_credential_id(row),
        project_ids=_restriction(row),
    )


def _admin_secret_principal(connection: Connection) -> Principal:
    system = find_system_user(connection)
    return Principal(
        kind=PrincipalKind.ADMIN_SECRET,
        public_id="" if system is None else global_id(USER, system.row_id),
        name="admin secret",
        role=ADMIN,
        permissions=BUILT_IN_ROLES[ADMIN],
    )
