"""What happens to users: made, changed, deleted; each ends in an audit record.

Spec: lines 12-13 (first admin), 265 (deletion), 270 (roles).
"""

from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from bennu.access import ADMIN, SYSTEM, Caller, Permission
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.encryption.cipher import Cipher
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import (
    ConflictError,
    DeniedError,
    FieldProblem,
    InvalidError,
    NotFoundError,
    SchemaError,
)
from bennu.kernel.ids import global_id, row_id_of
from bennu.kernel.secret import Secret
from bennu.roles.store import permissions_of_role, role_name_of
from bennu.storage.database import Database
from bennu.storage.epoch import hold_security_epoch, move_security_epoch
from bennu.users.links import forget_who_deactivated
from bennu.users.model import (
    USER,
    AuthMethod,
    NewUser,
    PasswordKeeper,
    User,
    UserChange,
    clean_email,
    clean_username,
)
from bennu.users.new_password import NewPasswords
from bennu.users.own_password import OwnPassword, PasswordGuard
from bennu.users.store import (
    count_active_admins,
    delete_user_row,
    end_sessions_of,
    find_account,
    find_system_user,
    find_user,
    insert_user,
    newest_users,
    set_role,
    taken_field,
    update_user,
)

LAST_ADMIN: Final = "The last admin cannot be removed, demoted or deactivated"


@dataclass(slots=True)
class _Changes:
    """Columns to write, and what the audit record says of them."""

    values: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)

    def note(self, name: str, old: object, new: object) -> None:
        """Note a change of a field that may stand in the record."""
        self.before[name], self.after[name] = old, new


class Users:
    """The flows over accounts."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        cipher: Cipher,
        audit: AuditLog,
        passwords: PasswordKeeper,
        guard: PasswordGuard,
    ) -> None:
        self._database, self._clock, self._cipher = database, clock, cipher
        self._audit, self._passwords = audit, passwords
        self._new = NewPasswords(clock, cipher, passwords)
        self._own = OwnPassword(database, audit, self._new, guard)

    # --- reading ---------------------------------------------------------------------------

    async def get_user(self, identifier: str) -> User:
        """Return the user of a public id.

        Raises:
            InvalidError: it is no public id of a user.
            NotFoundError: there is none.
        """
        row_id = row_id_of(identifier, USER)
        if row_id is None:
            raise InvalidError("Invalid user id")
        found = await self._database.read(lambda c: find_user(c, row_id), tiny=True)
        if found is None:
            raise NotFoundError("User not found")
        return found

    async def find_account(self, text: str) -> User:
        """Return the user of an e-mail address, a user name or a public id.

        Raises:
            NotFoundError: there is none.
        """
        row_id = row_id_of(text, USER)
        return _found(await self._database.read(lambda c: find_account(c, text.strip(), row_id)))

    async def own_account(self, caller: Caller) -> User | None:
        """Return the account that a caller acts for, the system user for keys without a person."""
        user_id = caller.principal.user_id
        if user_id is None:
            return await self._database.read(find_system_user, tiny=True)
        return await self._database.read(lambda c: find_user(c, user_id), tiny=True)

    async def list_users(self, limit: int, at_most_id: int | None) -> list[User]:
        """Return users, newest first; one more than ``limit`` when there are more."""
        return await self._database.read(lambda c: newest_users(c, limit + 1, at_most_id))

    # --- changing --------------------------------------------------------------------------

    async def create_user(self, caller: Caller, new: NewUser) -> User:
        """Make an account; its first password must be changed at the first sign-in.

        A local account without a password gets one by a reset only.

        Raises:
            SchemaError: a field is wrong; names it.
            ConflictError: the name or the address is taken.
            DeniedError: the role may do more than the caller.
        """
        email = clean_email(new.email, "body", "user", "email")
        username = clean_username(new.username, "body", "user", "username")
        hashed = None
        if new.auth_method == AuthMethod.LOCAL and new.password is not None:
            self._passwords.check_new(
                new.password, email, username, loc=("body", "user", "password")
            )
            hashed = await self._passwords.hash(new.password)

        def work(connection: Connection) -> User:
            hold_security_epoch(connection)
            role = self._role_for(connection, caller, new.role, ("body", "user", "role"))
            taken = taken_field(connection, email, username)
            if taken is not None:
                raise ConflictError(f"{taken.capitalize()} already exists")
            now = to_microseconds(self._clock.now_utc())
            values = {
                "email": email,
                "username": username,
                "auth_method": new.auth_method,
                "password_hash": None if hashed is None else self._cipher.seal(hashed),
                "password_needs_reset": new.auth_method == AuthMethod.LOCAL,
                "active": True,
                "is_system": False,
                "client_id": new.client_id,
                "subject": new.subject,
                "created_at": now,
                "updated_at": now,
            }
            row_id = insert_user(connection, values, role)
            after = {"role": role, "auth_method": new.auth_method}
            event = AuditEvent(
                EventName.USER_CREATED, target=_target(row_id, username), after=after
            )
            made = _found(find_user(connection, row_id))
            self._audit.record(connection, event, caller)
            return made

        return await self._database.write(work)

    async def change_user(self, caller: Caller, identifier: str, change: UserChange) -> User:
        """Change somebody's role, name, password or activity; ends their sessions where it must.

        Raises:
            NotFoundError: there is no such user.
            DeniedError: the system user, one's own role or password, somebody who may do more
                than the caller, or a role above one's own.
            ConflictError: the name is taken, or it is the last admin.
        """
        user = await self.get_user(identifier)
        _refuse_system(user)
        hashed = None
        if change.password is not None:
            if user.row_id == caller.principal.user_id:
                raise DeniedError("One's own password is changed with PATCH /v1/user")
            hashed = await self._new.hash_for(user, change.password)

        def work(connection: Connection) -> User:
            move_security_epoch(connection)
            current = _found(find_user(connection, user.row_id))
            refuse_account_above(connection, caller, current)
            changes = self._planned(connection, caller, current, change)
            if hashed is not None:
                self._new.keep(connection, current.row_id, hashed, needs_reset=True)
                changes.note("password_needs_reset", current.password_needs_reset, new=True)
            return self._apply(connection, caller, current, changes)

        return await self._database.write(work)

    def _planned(
        self, connection: Connection, caller: Caller, current: User, change: UserChange
    ) -> _Changes:
        changes = _Changes()
        if change.role is not None and change.role.lower() != current.role.lower():
            if current.row_id == caller.principal.user_id:
                raise DeniedError("Nobody changes their own role")
            changes.note("role", current.role, self._role_for(connection, caller, change.role))
        if change.active is not None and change.active != current.active:
            if current.row_id == caller.principal.user_id:
                raise DeniedError("Nobody deactivates themselves")
            changes.note("active", current.active, change.active)
            changes.values["active"] = change.active
        if change.active is not None:
            # From now on an admin has decided; the directory does not take that back.
            forget_who_deactivated(connection, current.row_id)
        self._plan_username(connection, current, change.username, changes)
        stays_admin = changes.after.get("role", ADMIN) == ADMIN and changes.after.get(
            "active", True
        )
        if current.role == ADMIN and not stays_admin:
            _keep_one_admin(connection, current)
        return changes

    def _plan_username(
        self, connection: Connection, current: User, username: str | None, changes: _Changes
    ) -> None:
        if username is None or username == current.username:
            return
        name = clean_username(username)
        if taken_field(connection, None, name, current.row_id) is not None:
            raise ConflictError("Username already exists")
        changes.values["username"] = name
        changes.note("username_changed", old=False, new=True)

    def _apply(
        self, connection: Connection, caller: Caller, current: User, changes: _Changes
    ) -> User:
        if not changes.after:
            return current
        values = {**changes.values, "updated_at": to_microseconds(self._clock.now_utc())}
        update_user(connection, current.row_id, values)
        if "role" in changes.after:
            set_role(connection, current.row_id, changes.after["role"])
        if changes.after.keys() & {"role", "active", "password_needs_reset"}:
            end_sessions_of(connection, current.row_id)
        name = EventName.ROLE_ASSIGNED if "role" in changes.after else EventName.USER_CHANGED
        event = AuditEvent(
            name,
            target=_target(current.row_id, current.username),
            before=changes.before,
            after=changes.after,
        )
        changed = _found(find_user(connection, current.row_id))
        self._audit.record(connection, event, caller)
        return changed

    async def change_own_account(
        self, caller: Caller, current_password: Secret | None, change: UserChange
    ) -> User:
        """Change one's own name or password; a new password ends all sessions of the account.

        Raises:
            MalformedError: the current password is missing or wrong.
            TooManyError: it was guessed too often.
            SchemaError: the new one breaks a rule.
        """
        user_id = caller.principal.user_id
        if user_id is None or not caller.principal.is_session:
            raise DeniedError("Only a signed-in person changes their own account")
        user = _found(await self._database.read(lambda c: find_user(c, user_id), tiny=True))
        hashed = None
        if change.password is not None:
            await self._own.prove(caller, user, current_password)
            hashed = await self._new.hash_for(user, change.password)

        def work(connection: Connection) -> User:
            move_security_epoch(connection)
            current = _found(find_user(connection, user.row_id))
            changes = _Changes()
            self._plan_username(connection, current, change.username, changes)
            if hashed is None:
                return self._apply(connection, caller, current, changes)
            if current.password_hash != user.password_hash:
                raise ConflictError("The password was changed meanwhile; try again")
            self._new.keep(connection, current.row_id, hashed, changes.values)
            changed = _found(find_user(connection, current.row_id))
            event = AuditEvent(
                EventName.PASSWORD_CHANGED,
                target=_target(current.row_id, current.username),
                before=changes.before or None,
                after=changes.after or None,
            )
            self._audit.record(connection, event, caller)
            return changed

        return await self._database.write(work)

    async def delete_user(self, caller: Caller, identifier: str) -> None:
        """Delete an account with its sessions and keys; traces and annotations stay.

        Raises:
            NotFoundError: there is no such user.
            DeniedError: it is the system user, the caller, or somebody who may do more.
            ConflictError: it is the last admin.
        """
        user = await self.get_user(identifier)

        def work(connection: Connection) -> None:
            move_security_epoch(connection)
            current = _found(find_user(connection, user.row_id))
            refuse_deletion(connection, caller, current)
            delete_user_row(connection, current.row_id)
            event = AuditEvent(
                EventName.USER_DELETED,
                target=_target(current.row_id, current.username),
                before={"role": current.role},
            )
            self._audit.record(connection, event, caller)

        await self._database.write(work)

    def _role_for(
        self,
        connection: Connection,
        caller: Caller,
        role: str,
        loc: tuple[str, ...] = ("body", "role"),
    ) -> str:
        """Return the role's own spelling if it exists and is not above the caller."""
        name = role_name_of(connection, role)
        permissions = None if name is None else permissions_of_role(connection, name)
        if name is None or permissions is None or name == SYSTEM:
            raise SchemaError(FieldProblem(loc, "Input should be ADMIN, MEMBER, VIEWER or a role"))
        if not permissions <= caller.principal.permissions:
            raise DeniedError("Nobody gives a role above their own", detail=Permission.USERS_MANAGE)
        return name


def _target(row_id: int, username: str) -> Target:
    return Target("user", global_id(USER, row_id), username)


def _found(user: User | None) -> User:
    if user is None:
        raise NotFoundError("User not found")
    return user


def _refuse_system(user: User) -> None:
    if user.is_system:
        raise DeniedError("The system user cannot be changed or deleted")


def refuse_account_above(connection: Connection, caller: Caller, user: User) -> None:
    """Nobody gets hold of an account that may do more than they may, by a new password say."""
    theirs = permissions_of_role(connection, user.role) or frozenset()
    if not theirs <= caller.principal.permissions:
        raise DeniedError("Nobody changes an account above their own", detail="target above caller")


def refuse_deletion(connection: Connection, caller: Caller, user: User) -> None:
    """Refuse to delete an account that must stay.

    Raises:
        DeniedError: it is the system user, the caller, or somebody who may do more.
        ConflictError: it is the last admin.
    """
    _refuse_system(user)
    refuse_account_above(connection, caller, user)
    if user.row_id == caller.principal.user_id:
        raise DeniedError("Nobody deletes themselves")
    refuse_without_admin(connection, user.row_id)


def refuse_without_admin(connection: Connection, row_id: int) -> None:
    """Refuse when nobody else could administer the server.

    Raises:
        ConflictError: it is the last admin.
    """
    user = find_user(connection, row_id)
    if user is not None and user.role == ADMIN:
        _keep_one_admin(connection, user)


def _keep_one_admin(connection: Connection, user: User) -> None:
    if count_active_admins(connection, except_id=user.row_id) == 0:
        raise ConflictError(LAST_ADMIN)
