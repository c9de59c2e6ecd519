"""A forgotten password: a link by mail, good once, for minutes, and only the newest one.

Whoever asks gets the same answer at once for any address; all that depends on the address happens
later, in the background. The link is made from the settings only: no header of a request has any
part in it.

Spec: lines 4, 214. Source: OWASP Forgot Password Cheat Sheet; ASVS 5.0 V6.4.3, V6.5.1.
"""

from typing import Final

from sqlalchemy import Connection

from bennu.access import Caller
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.auth.local.mails import AccountMails, reset_mail
from bennu.auth.local.reset_links import ResetLinks
from bennu.auth.lockout import Lockout
from bennu.kernel.errors import InvalidError, UnavailableError
from bennu.kernel.ids import global_id
from bennu.kernel.secret import Secret
from bennu.mail import Mail
from bennu.storage.database import Database
from bennu.storage.epoch import hold_security_epoch, move_security_epoch
from bennu.users.model import USER, AuthMethod, User
from bennu.users.new_password import NewPasswords
from bennu.users.store import find_user_by_email

NO_MAIL_SERVER: Final = "SMTP server not configured"


class PasswordReset:
    """The flows of a reset by mail.

    Args:
        database: started.
        audit: every change ends in a record.
        passwords: rules, hashes and keeps new passwords.
        lockout: forgives failures once the password was reset.
        links: makes and proves what stands in the mail.
        mails: sends in the background.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        passwords: NewPasswords,
        lockout: Lockout,
        links: ResetLinks,
        mails: AccountMails,
    ) -> None:
        self._database, self._audit, self._passwords = database, audit, passwords
        self._lockout, self._links, self._mails = lockout, links, mails

    async def request_reset(self, caller: Caller, email: str) -> None:
        """Have a link sent if this is the address of a local account; never say whether it is.

        Raises:
            InvalidError: no address was given.
            UnavailableError: no mail server is configured.
        """
        address = email.strip().lower()
        if not address:
            raise InvalidError("Email required")
        if not await self._mails.has_server():
            raise UnavailableError(NO_MAIL_SERVER, detail="no mail server")
        self._mails.send_later(lambda public_url: self._draft(caller, address, public_url))

    async def _draft(self, caller: Caller, address: str, public_url: str) -> Mail | None:
        """Make the link, in the background."""
        user = await self._database.read(lambda c: find_user_by_email(c, address))
        reason = self._reason_for_no_mail(user)
        if user is None or reason:
            target = Target("user", "" if user is None else global_id(USER, user.row_id))
            failed = AuditEvent(EventName.PASSWORD_RESET_REQUESTED, Outcome.FAILED, reason, target)
            await self._audit.note(failed, caller)
            return None
        token = await self._database.write(lambda c: self._make_link(c, user, caller))
        return reset_mail(user, public_url, token, self._links.lifetime, caller.address)

    def _reason_for_no_mail(self, user: User | None) -> str:
        if user is None:
            return "unknown_user"
        if user.auth_method != AuthMethod.LOCAL or user.is_system or user.email is None:
            return "no_password_here"
        if not user.active:
            return "deactivated"
        return "" if self._mails.may_be_mailed(user) else "too_many_mails"

    def _make_link(self, connection: Connection, user: User, caller: Caller) -> Secret:
        hold_security_epoch(connection)
        token = self._links.make(connection, user)
        target = Target("user", global_id(USER, user.row_id), user.username)
        event = AuditEvent(EventName.PASSWORD_RESET_REQUESTED, target=target)
        self._audit.record(connection, event, caller)
        return token

    async def reset_password(self, caller: Caller, token: str, password: Secret) -> None:
        """Set a new password by a mailed link, and end all sessions of the account.

        A password that breaks a rule does not use the link up.

        Raises:
            InvalidError: no password was given.
            UnauthenticatedError: the link is wrong, was used, is too old or not the newest.
            SchemaError: the password breaks a rule; says which.
        """
        if not password:
            raise InvalidError("Password required")
        credential = self._links.read(token)
        user = await self._database.read(lambda c: self._links.owner(c, credential), tiny=True)
        hashed = await self._passwords.hash_for(user, password)

        def work(connection: Connection) -> None:
            move_security_epoch(connection)
            current = self._links.owner(connection, credential)
            # Ends the sessions, and takes this link with all others of the account.
            self._passwords.keep(connection, current.row_id, hashed)
            self._lockout.forgive(connection, current.email or "", caller, current.row_id)
            target = Target("user", global_id(USER, current.row_id), current.username)
            event = AuditEvent(EventName.PASSWORD_RESET, target=target)
            self._audit.record(connection, event, caller)

        await self._database.write(work)
