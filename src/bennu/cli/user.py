"""``bennu user``: accounts and their sessions, with the server up or down.

Spec: lines 12-13 (a password that nobody knows any more), 265, 270.
"""

import secrets
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from bennu.access import CONSOLE, Caller
from bennu.audit.log import AuditLog
from bennu.auth.answer_boundary import LOCAL_BOUNDARY_SECONDS, AnswerBoundary
from bennu.auth.local.passwords import Passwords, common_passwords
from bennu.auth.lockout import Lockout
from bennu.auth.sessions.activity import SessionActivity
from bennu.auth.sessions.overview import SessionOverview
from bennu.auth.sessions.routes import session_json
from bennu.auth.settings import AuthSettings
from bennu.auth.sign_in_guard import SignInGuard
from bennu.cli.context import env_file_option, json_option, load_settings, print_json
from bennu.cli.database import opened_database, run_or_refuse
from bennu.cli.vault import open_vault
from bennu.encryption.vault import check_secret
from bennu.kernel.clock import SystemClock
from bennu.kernel.errors import ConflictError, SchemaError
from bennu.kernel.ids import SystemEntropy, global_id
from bennu.kernel.secret import Secret
from bennu.settings import Settings
from bennu.users.flow import Users
from bennu.users.model import USER, AuthMethod, NewUser, User, UserChange
from bennu.users.routes import user_json

T = TypeVar("T")

_CALLER: Final = Caller(CONSOLE)
_GENERATED_BYTES: Final = 18
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class _Flows:
    """What the commands call."""

    users: Users
    overview: SessionOverview
    passwords: Passwords
    settings: AuthSettings


@click.group("user")
def user_command() -> None:
    """Manage accounts; works beside a running server too.

    USER is an e-mail address, a user name or an id.
    """


@user_command.command("list")
@env_file_option
@json_option
def list_command(env_file: Path | None, *, as_json: bool) -> None:
    """List accounts, newest first."""
    found = _run(env_file, _listed, as_json=as_json)
    if as_json:
        print_json([user_json(user) for user in found])
    for user in () if as_json else found:
        click.echo(_line(user))


@user_command.command("create")
@env_file_option
@click.argument("email")
@click.option("--role", default="MEMBER", show_default=True, help="Any role of this server.")
@click.option("--username", help="By default what stands before the @.")
@click.option(
    "--auth-method",
    type=click.Choice([method.value for method in AuthMethod], case_sensitive=False),
    default=AuthMethod.LOCAL.value,
    show_default=True,
    help="How the person signs in.",
)
@click.option(
    "--password-stdin",
    "reads_password",
    is_flag=True,
    help="Read the first password from standard input instead of making one.",
)
@json_option
def create_command(
    env_file: Path | None,
    *,
    as_json: bool,
    **asked: Any,  # noqa: ANN401 - what click parsed
) -> None:
    """Make an account; a first password is printed this once and must be changed at sign-in."""
    given = _typed_password() if asked["reads_password"] else None
    user, made = _run(env_file, lambda flows: _created(flows, asked, given), as_json=as_json)
    _print_changed(user, made, as_json=as_json)


@user_command.command("reset-password")
@env_file_option
@click.argument("user")
@click.option(
    "--password-stdin",
    "reads_password",
    is_flag=True,
    help="Read the new password from standard input instead of making one.",
)
@json_option
def reset_password_command(
    env_file: Path | None, user: str, *, reads_password: bool, as_json: bool
) -> None:
    """Give an account a new password, good only for choosing another; ends its sessions."""
    given = _typed_password() if reads_password else None
    changed, made = _run(env_file, lambda flows: _reset(flows, user, given), as_json=as_json)
    _print_changed(changed, made, as_json=as_json)


@user_command.command("set-role")
@env_file_option
@click.argument("user")
@click.argument("role")
@json_option
def set_role_command(env_file: Path | None, user: str, role: str, *, as_json: bool) -> None:
    """Give an account another role; ends its sessions."""
    _change(env_file, user, UserChange(role=role), as_json=as_json)


@user_command.command("disable")
@env_file_option
@click.argument("user")
@json_option
def disable_command(env_file: Path | None, user: str, *, as_json: bool) -> None:
    """Deactivate an account: its sessions end, its API keys rest."""
    _change(env_file, user, UserChange(active=False), as_json=as_json)


@user_command.command("enable")
@env_file_option
@click.argument("user")
@json_option
def enable_command(env_file: Path | None, user: str, *, as_json: bool) -> None:
    """Activate an account again."""
    _change(env_file, user, UserChange(active=True), as_json=as_json)


@user_command.command("delete")
@env_file_option
@click.argument("user")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@json_option
def delete_command(env_file: Path | None, user: str, *, is_sure: bool, as_json: bool) -> None:
    """Delete an account with its sessions and API keys; traces and annotations stay."""
    if not is_sure and sys.stdin.isatty():
        click.confirm(f"Delete {user}?", abort=True, err=True)
    gone = _run(env_file, lambda flows: _deleted(flows, user), as_json=as_json)
    if as_json:
        print_json({"id": global_id(USER, gone.row_id), "deleted": True})
    else:
        click.echo(f"{gone.email or gone.username} is deleted.")


@user_command.command("sessions")
@env_file_option
@click.argument("user")
@click.option("--end", "ends", is_flag=True, help="End them all.")
@json_option
def sessions_command(env_file: Path | None, user: str, *, ends: bool, as_json: bool) -> None:
    """List the open sessions of an account: when, from where, with which client."""
    found = _run(env_file, lambda flows: _sessions(flows, user, ends=ends), as_json=as_json)
    if as_json:
        print_json({"sessions": found, "ended": ends})
        return
    for session in found:
        words = ("id", "created_at", "last_used_at", "address", "user_agent")
        click.echo("  ".join(str(session[word]) for word in words))
    if ends:
        click.echo(f"{len(found)} sessions are ended.")


# --- the work ------------------------------------------------------------------------------


def _run(env_file: Path | None, work: Callable[[_Flows], Awaitable[T]], *, as_json: bool) -> T:
    settings = load_settings(env_file, as_json=as_json)
    return run_or_refuse(lambda: _with_flows(settings, work))


async def _with_flows(settings: Settings, work: Callable[[_Flows], Awaitable[T]]) -> T:
    clock = SystemClock()
    async with opened_database(settings, clock) as database:
        vault = open_vault(settings)
        await database.read(lambda connection: check_secret(connection, vault.cipher))
        audit = AuditLog(database, clock, SystemEntropy(), vault)
        await audit.start()
        passwords = Passwords(settings.auth, common_passwords())
        lockout = Lockout(database, clock, vault, audit, settings.auth)
        boundary = AnswerBoundary(LOCAL_BOUNDARY_SECONDS, clock)
        guard = SignInGuard(lockout, boundary, "password_change")
        users = Users(database, clock, vault.cipher, audit, passwords, guard)
        activity = SessionActivity(database, clock, settings.auth)
        overview = SessionOverview(database, clock, audit, users, activity)
        try:
            return await work(_Flows(users, overview, passwords, settings.auth))
        finally:
            passwords.stop()


async def _listed(flows: _Flows) -> list[User]:
    found: list[User] = []
    page = await flows.users.list_users(_PAGE, None)
    while len(page) > _PAGE:
        found += page[:_PAGE]
        page = await flows.users.list_users(_PAGE, page[_PAGE].row_id)
    return found + page


async def _created(
    flows: _Flows, asked: dict[str, Any], given: Secret | None
) -> tuple[User, Secret | None]:
    is_local = asked["auth_method"].upper() == AuthMethod.LOCAL
    if is_local:
        _refuse_without_passwords(flows)
    made = _generated(flows) if is_local and given is None else None
    new = NewUser(
        email=asked["email"],
        username=asked["username"] or asked["email"].partition("@")[0],
        role=asked["role"],
        auth_method=asked["auth_method"].upper(),
        password=given or made,
    )
    return await flows.users.create_user(_CALLER, new), made


async def _reset(flows: _Flows, name: str, given: Secret | None) -> tuple[User, Secret | None]:
    _refuse_without_passwords(flows)
    user = await flows.users.find_account(name)
    made = _generated(flows) if given is None else None
    change = UserChange(password=given or made)
    return await flows.users.change_user(_CALLER, global_id(USER, user.row_id), change), made


async def _changed(flows: _Flows, name: str, change: UserChange) -> User:
    user = await flows.users.find_account(name)
    return await flows.users.change_user(_CALLER, global_id(USER, user.row_id), change)


async def _deleted(flows: _Flows, name: str) -> User:
    user = await flows.users.find_account(name)
    await flows.users.delete_user(_CALLER, global_id(USER, user.row_id))
    return user


async def _sessions(flows: _Flows, name: str, *, ends: bool) -> list[dict[str, Any]]:
    identifier = global_id(USER, (await flows.users.find_account(name)).row_id)
    found = await flows.overview.list_sessions_of(identifier)
    if ends:
        await flows.overview.end_sessions_of(_CALLER, identifier)
    return [session_json(session, None) for session in found]


def _refuse_without_passwords(flows: _Flows) -> None:
    if flows.settings.basic_auth_disabled:
        raise ConflictError("PHOENIX_DISABLE_BASIC_AUTH is true: nobody signs in with a password")


def _generated(flows: _Flows) -> Secret:
    """Make a password that keeps every rule of this server, the strong policy included."""
    # Three bytes are four characters; more bytes than needed would break the longest allowed.
    needed_bytes = -(-flows.settings.password_min_length * 3 // 4)
    while True:
        password = Secret(secrets.token_urlsafe(max(_GENERATED_BYTES, needed_bytes)))
        try:
            flows.passwords.check_new(password)
        except SchemaError:
            continue
        return password


# --- for people ----------------------------------------------------------------------------


def _change(env_file: Path | None, user: str, change: UserChange, *, as_json: bool) -> None:
    changed = _run(env_file, lambda flows: _changed(flows, user, change), as_json=as_json)
    _print_changed(changed, None, as_json=as_json)


def _typed_password() -> Secret:
    if sys.stdin.isatty():
        return Secret(str(click.prompt("Password", hide_input=True, err=True)))
    return Secret(sys.stdin.read().removesuffix("\n"))


def _print_changed(user: User, made: Secret | None, *, as_json: bool) -> None:
    if as_json:
        password = {} if made is None else {"password": made.reveal()}
        print_json({**user_json(user), **password})
        return
    click.echo(_line(user), err=made is not None)
    if made is not None:
        click.echo("The password is shown this once; it is good for choosing another:", err=True)
        click.echo(made.reveal())


def _line(user: User) -> str:
    shown = user_json(user)
    parts = [shown["id"], user.email or "-", user.username, user.role, user.auth_method]
    if not user.active:
        parts.append("deactivated")
    if shown.get("password_needs_reset"):
        parts.append("must change the password")
    return "  ".join(parts)
