"""Wires local accounts, sessions, roles and API keys; a part of the composition root.

Spec: lines 1-23, 134-155.
"""

from dataclasses import dataclass

from bennu.audit.log import AuditLog
from bennu.auth.answer_boundary import LOCAL_BOUNDARY_SECONDS, AnswerBoundary
from bennu.auth.api_keys.flow import ApiKeys
from bennu.auth.api_keys.last_use import LastUses
from bennu.auth.api_keys.making import KeyMaker
from bennu.auth.api_keys.rotation import KeyRotation
from bennu.auth.api_keys.routes import api_key_routes
from bennu.auth.local.flow import LocalSignIn
from bennu.auth.local.mails import AccountMails
from bennu.auth.local.passwords import Passwords
from bennu.auth.local.reset import PasswordReset
from bennu.auth.local.reset_links import ResetLinks
from bennu.auth.local.routes import local_routes
from bennu.auth.lockout import Lockout
from bennu.auth.sessions.activity import SessionActivity
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.flow import Sessions
from bennu.auth.sessions.overview import SessionOverview
from bennu.auth.sessions.routes import session_overview_routes
from bennu.auth.sign_in_guard import SignInGuard
from bennu.encryption.cipher import Cipher
from bennu.httpio.route import Route
from bennu.kernel.ids import Entropy
from bennu.mail import Outbox
from bennu.roles.flow import Roles
from bennu.roles.routes import role_routes
from bennu.settings import Settings, public_url_of
from bennu.storage.database import Database
from bennu.users.flow import Users
from bennu.users.new_password import NewPasswords
from bennu.users.routes import EraseUser, user_routes


@dataclass(frozen=True, slots=True)
class AccountBasis:
    """What the flows over accounts are built on; one of each in a process."""

    settings: Settings
    database: Database
    entropy: Entropy
    cipher: Cipher
    audit: AuditLog
    passwords: Passwords
    lockout: Lockout
    sessions: Sessions
    key_uses: LastUses
    activity: SessionActivity
    outbox: Outbox
    erase_user: EraseUser | None = None


@dataclass(frozen=True, slots=True)
class AccountParts:
    """What the application serves of accounts: the flows, for pages, and the routes."""

    cookies: SessionCookies
    local: LocalSignIn
    keys: ApiKeys
    rotation: KeyRotation
    users: Users
    mails: AccountMails
    reset: PasswordReset
    overview: SessionOverview
    roles: Roles
    has_local: bool
    erase_user: EraseUser | None = None

    @property
    def routes(self) -> tuple[Route, ...]:
        """The interface of accounts; signing in by password answers 403 where it is closed."""
        return (
            *local_routes(self.local, self.reset, self.cookies, is_enabled=self.has_local),
            *session_overview_routes(self.overview, self.cookies),
            *api_key_routes(self.keys, self.rotation),
            *user_routes(
                self.users, self.cookies.delete_on, self.mails.send_welcome, self.erase_user
            ),
            *role_routes(self.roles),
        )


def wire_accounts(of: AccountBasis) -> AccountParts:
    """Build the flows over accounts."""
    database, clock, auth, audit = of.database, of.database.clock, of.settings.auth, of.audit
    boundary = AnswerBoundary(LOCAL_BOUNDARY_SECONDS, clock)
    guard = SignInGuard(of.lockout, boundary, "password")
    own_guard = SignInGuard(of.lockout, boundary, "password_change")
    users = Users(database, clock, of.cipher, audit, of.passwords, own_guard)
    maker = KeyMaker(of.entropy, of.cipher)
    mails = AccountMails(of.outbox, clock, public_url_of(of.settings))
    new_passwords = NewPasswords(clock, of.cipher, of.passwords)
    links = ResetLinks(clock, of.entropy, of.cipher, auth)
    return AccountParts(
        cookies=SessionCookies(auth),
        local=LocalSignIn(database, of.cipher, audit, of.passwords, of.sessions, guard),
        keys=ApiKeys(database, clock, maker, audit, auth, of.key_uses),
        rotation=KeyRotation(database, clock, maker, audit, auth),
        users=users,
        mails=mails,
        reset=PasswordReset(database, audit, new_passwords, of.lockout, links, mails),
        overview=SessionOverview(database, clock, audit, users, of.activity),
        roles=Roles(database, clock, audit),
        has_local=not auth.basic_auth_disabled,
        erase_user=of.erase_user,
    )
