"""Accounts, sessions and keys over one database and one clock, wired as the application does."""

import httpx
from sqlalchemy import Connection, select

from bennu.access import ADMIN, BUILT_IN_ROLES, Caller, Principal, PrincipalKind
from bennu.audit.log import AuditLog
from bennu.auth.answer_boundary import LOCAL_BOUNDARY_SECONDS, AnswerBoundary
from bennu.auth.api_keys.flow import ApiKeys
from bennu.auth.api_keys.last_use import LastUses
from bennu.auth.api_keys.making import KeyMaker
from bennu.auth.api_keys.rotation import KeyRotation
from bennu.auth.api_keys.routes import api_key_routes
from bennu.auth.authenticate import Authenticator, Presented
from bennu.auth.gates import HttpGate
from bennu.auth.local.flow import LocalSignIn
from bennu.auth.local.mails import AccountMails
from bennu.auth.local.passwords import Passwords
from bennu.auth.local.reset import PasswordReset
from bennu.auth.local.reset_links import ResetLinks
from bennu.auth.local.routes import local_routes
from bennu.auth.lockout import Lockout
from bennu.auth.sessions.activity import SessionActivity
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.flow import Sessions, TokenPair
from bennu.auth.sessions.overview import SessionOverview
from bennu.auth.sessions.routes import session_overview_routes, session_routes
from bennu.auth.settings import AuthSettings
from bennu.auth.sign_in_guard import SignInGuard
from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.vault import Vault
from bennu.httpio.dispatch import application_of
from bennu.httpio.frame import RequestFrame
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import UnauthenticatedError
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.mail import Mail, MailSettings, Outbox
from bennu.roles.flow import Roles
from bennu.roles.routes import role_routes
from bennu.storage.database import Database
from bennu.storage.schema import audit_events
from bennu.users.flow import Users
from bennu.users.model import User
from bennu.users.new_password import NewPasswords
from bennu.users.routes import user_routes
from bennu.users.store import find_user, insert_user
from fakes.clock import FrozenClock

KEYRING = Keyring.from_secrets(Secret("0123456789abcdef0123456789abcdef"))
CIPHER = Cipher(KEYRING)
ADMIN_SECRET = Secret("fedcba9876543210fedcba9876543210")
STRANGER = Caller(Principal(PrincipalKind.ANONYMOUS), "192.0.2.1", "tests", "request-1")
#: Somebody who may do everything and is none of the accounts.
OPERATOR = Caller(
    Principal(
        PrincipalKind.ADMIN_SECRET, "operator", role=ADMIN, permissions=BUILT_IN_ROLES[ADMIN]
    ),
    "192.0.2.2",
)
PASSWORD = Secret("correct horse battery")
SETTINGS = AuthSettings(enabled=True, admin_secret=ADMIN_SECRET)


class Accounts:
    """Everything of ``auth`` and ``users`` that a test may need."""

    def __init__(
        self, database: Database, clock: FrozenClock, settings: AuthSettings = SETTINGS
    ) -> None:
        entropy = SystemEntropy()
        self.database, self.clock, self.settings = database, clock, settings
        self.vault = Vault(CIPHER, clock, entropy)
        self.audit = AuditLog(database, clock, entropy, self.vault)
        self.passwords = Passwords(settings, frozenset({"password"}))
        self.sessions = Sessions(database, clock, entropy, CIPHER, self.audit, settings)
        self.authenticator = Authenticator(database, clock, CIPHER, settings)
        self.roles = Roles(database, clock, self.audit)
        maker = KeyMaker(entropy, CIPHER)
        self.uses = LastUses(database, clock)
        self.keys = ApiKeys(database, clock, maker, self.audit, settings, self.uses)
        self.rotation = KeyRotation(database, clock, maker, self.audit, settings)
        self.lockout = Lockout(database, clock, self.vault, self.audit, settings)
        boundary = AnswerBoundary(LOCAL_BOUNDARY_SECONDS, clock, self.pass_time)
        self.guard = SignInGuard(self.lockout, boundary, "password")
        own_guard = SignInGuard(self.lockout, boundary, "password_change")
        self.users = Users(database, clock, CIPHER, self.audit, self.passwords, own_guard)
        self.activity = SessionActivity(database, clock, settings)
        self.overview = SessionOverview(database, clock, self.audit, self.users, self.activity)
        self.cookies = SessionCookies(settings)
        self.local = LocalSignIn(
            database, CIPHER, self.audit, self.passwords, self.sessions, self.guard
        )
        self.mails: list[Mail] = []
        self.mail_server: MailSettings | None = MailSettings("mail.example.com")
        self.outbox = Outbox(self.find_mail_server, self.take_mail, ())
        self.account_mails = AccountMails(self.outbox, clock, "https://bennu.example.com/root")
        self.reset = PasswordReset(
            database,
            self.audit,
            NewPasswords(clock, CIPHER, self.passwords),
            self.lockout,
            ResetLinks(clock, entropy, CIPHER, settings),
            self.account_mails,
        )
        self.routes = (
            *local_routes(self.local, self.reset, self.cookies, is_enabled=True),
            *session_routes(self.sessions, self.cookies),
            *session_overview_routes(self.overview, self.cookies),
            *api_key_routes(self.keys, self.rotation),
            *user_routes(self.users, self.cookies.delete_on, self.account_mails.send_welcome),
            *role_routes(self.roles),
        )

    async def pass_time(self, seconds: float) -> None:
        """Sleep without waiting: the clock of the test moves."""
        self.clock.advance(seconds)

    async def find_mail_server(self) -> MailSettings | None:
        return self.mail_server

    async def take_mail(self, _: MailSettings, mail: Mail) -> None:
        self.mails.append(mail)

    async def sent_mails(self) -> list[Mail]:
        """Let the background send what waits; return and forget what was sent."""
        self.outbox.start()
        await self.outbox.stop()
        sent, self.mails = self.mails, []
        return sent

    async def add_user(
        self,
        username: str = "ada",
        role: str = "MEMBER",
        *,
        password: Secret | str | None = None,
        auth_method: str = "LOCAL",
        active: bool = True,
        must_change: bool = False,
    ) -> User:
        """Add an account; ``password`` may be a hash in plain text."""
        if isinstance(password, Secret):
            password = await self.passwords.hash(password)
        now = to_microseconds(self.clock.now_utc())
        values = {
            "email": f"{username}@example.com",
            "username": username,
            "auth_method": auth_method,
            "password_hash": None if password is None else CIPHER.seal(password),
            "password_needs_reset": must_change,
            "active": active,
            "is_system": role == "SYSTEM",
            "created_at": now,
            "updated_at": now,
        }

        def work(connection: Connection) -> User:
            found = find_user(connection, insert_user(connection, values, role))
            assert found is not None
            return found

        return await self.database.write(work)

    async def read_user(self, user: User) -> User | None:
        return await self.database.read(lambda c: find_user(c, user.row_id))

    async def open(self, user: User) -> TokenPair:
        """Open a session without asking for a password."""

        def work(connection: Connection) -> TokenPair:
            return self.sessions.open_session(connection, user.row_id, "password", STRANGER)[1]

        return await self.database.write(work)

    async def sign_in(self, user: User) -> Caller:
        """Return the caller of a new session of the user."""
        return await self.caller((await self.open(user)).access)

    def fresh_authenticator(self) -> Authenticator:
        """Return one that remembers nothing, such as that of another process."""
        return Authenticator(self.database, self.clock, CIPHER, self.settings)

    async def caller(self, token: Secret, authenticator: Authenticator | None = None) -> Caller:
        """Return who presents a credential; raises what the authenticator raises."""
        presented = Presented((f"Bearer {token.reveal()}",))
        principal = await (authenticator or self.authenticator).authenticate(presented)
        assert principal is not None
        return Caller(principal, "192.0.2.3")

    async def works(self, token: Secret) -> bool:
        try:
            return await self.caller(token) is not None
        except UnauthenticatedError:
            return False

    async def events(self) -> list[str]:
        """Return the names of all audit records, oldest first."""
        statement = select(audit_events.c.event).order_by(audit_events.c.sequence)
        return await self.database.read(lambda c: [row[0] for row in c.execute(statement)])

    def client(self, token: Secret | None = None, **headers: str) -> httpx.AsyncClient:
        """Return a client of the routes of accounts, behind the gate."""
        if token is not None:
            headers["authorization"] = f"Bearer {token.reveal()}"
        gate = HttpGate(
            application_of(self.routes),
            self.authenticator,
            self.cookies.access_name,
            self.uses.note_use,
        )
        app = RequestFrame(gate, self.clock, SystemEntropy())
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://bennu.test", headers=headers
        )


async def started_accounts(
    database: Database, clock: FrozenClock, settings: AuthSettings = SETTINGS
) -> Accounts:
    """Return accounts whose audit trail was started."""
    made = Accounts(database, clock, settings)
    await made.audit.start()
    return made
