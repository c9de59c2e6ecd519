"""``bennu key``: list, make, rotate, revoke and identify API keys, with the server up or down.

Spec: lines 134-155, 248, 259.
"""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from bennu.access import CONSOLE, Caller, Permission
from bennu.audit.log import AuditLog
from bennu.auth.api_keys.authority import KIND_NAMES, key_id_of
from bennu.auth.api_keys.flow import ApiKeys, NewApiKey
from bennu.auth.api_keys.last_use import LastUses
from bennu.auth.api_keys.making import KeyMaker, MadeApiKey
from bennu.auth.api_keys.rotation import KeyRotation
from bennu.auth.api_keys.routes import MOST_OVERLAP_MINUTES, owned_key_json
from bennu.auth.api_keys.store import SYSTEM_KEYS, USER_KEYS, ApiKey
from bennu.cli.context import env_file_option, json_option, load_settings, print_json
from bennu.cli.database import opened_database, run_or_refuse
from bennu.cli.vault import open_vault
from bennu.encryption.vault import check_secret
from bennu.kernel.clock import SystemClock
from bennu.kernel.errors import InvalidError
from bennu.kernel.ids import SystemEntropy, parse_global_id
from bennu.kernel.secret import Secret
from bennu.settings import Settings

T = TypeVar("T")

_CALLER: Final = Caller(CONSOLE)
_KINDS: Final = {name: kind for kind, name in KIND_NAMES.items()}
_LONGEST_DAYS: Final = 36_500


@dataclass(frozen=True, slots=True)
class _Flows:
    """What the commands call."""

    keys: ApiKeys
    rotation: KeyRotation


@click.group("key")
def key_command() -> None:
    """List, make, rotate, revoke and identify API keys; works beside a running server too."""


@key_command.command("list")
@env_file_option
@click.option("--user", "email", metavar="EMAIL", help="Only the keys of this user.")
@click.option("--system", "is_system", is_flag=True, help="Only the keys of service accounts.")
@json_option
def list_command(
    env_file: Path | None, email: str | None, *, is_system: bool, as_json: bool
) -> None:
    """List keys, newest first; never the keys themselves."""
    if email and is_system:
        raise click.UsageError("--user and --system exclude each other")
    found = _run(
        env_file, lambda flows: _listed(flows, email, is_system=is_system), as_json=as_json
    )
    if as_json:
        print_json([_shown(key) for key in found])
    for key in () if as_json else found:
        click.echo(_line(key))


@key_command.command("create")
@env_file_option
@click.argument("name")
@click.option("--user", "email", metavar="EMAIL", help="A key that acts as this user.")
@click.option("--role", help="Role of a service account's key, SYSTEM by default.")
@click.option(
    "--permission",
    "permissions",
    type=click.Choice([permission.value for permission in Permission]),
    multiple=True,
    metavar="PERMISSION",
    help="Only this permission; may be repeated. By default all of the user's or role's.",
)
@click.option("--ingest-only", is_flag=True, help="Only traces:ingest: for exporters.")
@click.option(
    "--project",
    "projects",
    multiple=True,
    metavar="NAME",
    help="Only this project; may be repeated.",
)
@click.option(
    "--expires-in-days",
    type=click.IntRange(1, _LONGEST_DAYS),
    metavar="DAYS",
    help="When the key ends; by default never, or after PHOENIX_API_KEY_MAX_LIFETIME_DAYS.",
)
@click.option("--description", help="What the key is for.")
@json_option
def create_command(
    env_file: Path | None,
    *,
    as_json: bool,
    **asked: Any,  # noqa: ANN401 - what click parsed
) -> None:
    """Make the key of a service account, or with --user a user's; printed this once.

    Standard output holds the key and nothing else, or with --json everything about it.
    """
    if asked["ingest_only"] and asked["permissions"]:
        raise click.UsageError("--ingest-only and --permission exclude each other")
    if asked["email"] and asked["role"]:
        raise click.UsageError("--user and --role exclude each other: a user's key has their role")
    made = _run(env_file, lambda flows: _created(flows, asked), as_json=as_json)
    _print_made(made, as_json=as_json)


@key_command.command("rotate")
@env_file_option
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap-minutes",
    type=click.IntRange(0, MOST_OVERLAP_MINUTES),
    required=True,
    metavar="MINUTES",
    help="How long the old key goes on working.",
)
@json_option
def rotate_command(
    env_file: Path | None, key_id: str, overlap_minutes: int, *, as_json: bool
) -> None:
    """Replace a key by a new one like it; printed this once."""
    overlap = timedelta(minutes=overlap_minutes)
    made = _run(
        env_file,
        lambda flows: flows.rotation.rotate_key(_CALLER, key_id, _kind_of(key_id), overlap),
        as_json=as_json,
    )
    _print_made(made, as_json=as_json)


@key_command.command("revoke")
@env_file_option
@click.argument("key_id", metavar="ID")
@json_option
def revoke_command(env_file: Path | None, key_id: str, *, as_json: bool) -> None:
    """Revoke a key by its id; the very next request with it is refused."""
    _run(
        env_file,
        lambda flows: flows.keys.revoke_key(_CALLER, key_id, _kind_of(key_id)),
        as_json=as_json,
    )
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        click.echo(f"{key_id} is revoked.")


@key_command.command("identify")
@env_file_option
@click.argument("key", required=False)
@click.option("--revoke", "revokes", is_flag=True, help="Revoke it too.")
@json_option
def identify_command(
    env_file: Path | None, key: str | None, *, revokes: bool, as_json: bool
) -> None:
    """Say whose key it is that was found somewhere; status 1 when it is none of this server.

    Without KEY it is read from standard input, so that it stands in no list of processes.
    """
    text = Secret(key if key is not None else _typed_key())
    found = _run(env_file, lambda flows: _identified(flows, text, revokes=revokes), as_json=as_json)
    if as_json:
        print_json({**_shown(found), "revoked": revokes})
        return
    click.echo(_line(found))
    if revokes:
        click.echo(f"{key_id_of(found)} is revoked.")
    else:
        click.echo(f"To revoke it: bennu key revoke {key_id_of(found)}")


# --- the work ------------------------------------------------------------------------------


def _run(env_file: Path | None, work: Callable[[_Flows], Awaitable[T]], *, as_json: bool) -> T:
    settings = load_settings(env_file, as_json=as_json)
    return run_or_refuse(lambda: _with_flows(settings, work))


async def _with_flows(settings: Settings, work: Callable[[_Flows], Awaitable[T]]) -> T:
    clock, entropy = SystemClock(), SystemEntropy()
    async with opened_database(settings, clock) as database:
        vault = open_vault(settings)
        await database.read(lambda connection: check_secret(connection, vault.cipher))
        audit = AuditLog(database, clock, entropy, vault)
        await audit.start()
        maker = KeyMaker(entropy, vault.cipher)
        uses = LastUses(database, clock)
        return await work(
            _Flows(
                ApiKeys(database, clock, maker, audit, settings.auth, uses),
                KeyRotation(database, clock, maker, audit, settings.auth),
            )
        )


async def _listed(flows: _Flows, email: str | None, *, is_system: bool) -> list[ApiKey]:
    found = [] if is_system else await flows.keys.list_keys(USER_KEYS)
    if email is not None:
        return [key for key in found if key.email == email.strip().lower()]
    found += await flows.keys.list_keys(SYSTEM_KEYS)
    return sorted(found, key=lambda key: key.row_id, reverse=True)


async def _created(flows: _Flows, asked: dict[str, Any]) -> MadeApiKey:
    days = asked["expires_in_days"]
    permissions = (Permission.TRACES_INGEST,) if asked["ingest_only"] else asked["permissions"]
    new = NewApiKey(
        name=asked["name"],
        description=asked["description"],
        expires_at=None if days is None else SystemClock().now_utc() + timedelta(days=days),
        permissions=permissions or None,
        projects=asked["projects"] or None,
        role=asked["role"],
    )
    if asked["email"]:
        return await flows.keys.create_key_for_user(_CALLER, asked["email"], new)
    return await flows.keys.create_system_key(_CALLER, new)


async def _identified(flows: _Flows, text: Secret, *, revokes: bool) -> ApiKey:
    found = await flows.keys.identify_key(_CALLER, text)
    if revokes:
        await flows.keys.revoke_key(_CALLER, key_id_of(found), found.kind)
    return found


def _kind_of(key_id: str) -> str:
    parsed = parse_global_id(key_id)
    kind = None if parsed is None else _KINDS.get(parsed[0])
    if kind is None:
        raise InvalidError(f"{key_id} is no id of an API key; `bennu key list` shows them")
    return kind


# --- for people ----------------------------------------------------------------------------


def _typed_key() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("API key", hide_input=True, err=True))
    return sys.stdin.read()


def _shown(key: ApiKey) -> dict[str, Any]:
    return {"kind": key.kind, **owned_key_json(key)}


def _print_made(made: MadeApiKey, *, as_json: bool) -> None:
    if as_json:
        print_json({**_shown(made.key), "key": made.text.reveal()})
        return
    click.echo(_line(made.key), err=True)
    click.echo("The key is shown this once:", err=True)
    click.echo(made.text.reveal())


def _line(key: ApiKey) -> str:
    shown = _shown(key)
    owner = key.email or key.username or f"service account, {key.role}"
    parts = [shown["id"], key.name, owner, f"made {shown['created_at']}"]
    if "permissions" in shown:
        parts.append(" ".join(shown["permissions"]))
    if "projects" in shown:
        count = len(shown["projects"])
        parts.append(f"{count} project{'' if count == 1 else 's'}")
    if "expires_at" in shown:
        parts.append(f"ends {shown['expires_at']}")
    if "last_used_at" in shown:
        parts.append(f"used {shown['last_used_at']} from {shown['last_used_address']}")
    return "  ".join(parts)
