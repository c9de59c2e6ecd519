"""``bennu secret``: what is sealed under which key, how old the secrets are, and the rotation.

Spec: lines 158-163, 178, 245-250.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from bennu.access import CONSOLE, Caller
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.cli.context import env_file_option, json_option, load_settings, print_json
from bennu.cli.database import REFUSED, opened_database, run_or_refuse
from bennu.cli.vault import open_vault
from bennu.encryption.cipher import Cipher
from bennu.encryption.rotate import Progress, Rotation, RotationReport, count_sealed_values
from bennu.encryption.secret import KDF_ITERATIONS, KDF_NAME, KDF_SALT
from bennu.encryption.vault import check_secret, seal_checks, verify_secret
from bennu.kernel.clock import SystemClock, from_microseconds
from bennu.kernel.ids import SystemEntropy
from bennu.secrets_in_use import (
    environment_secrets,
    exposed_file_warnings,
    key_file_of,
)
from bennu.settings import Settings
from bennu.storage.database import Connection, Database

_UNNAMED: Final = "(none)"


@dataclass(frozen=True, slots=True)
class SecretStatus:
    """What ``bennu secret status`` shows.

    Args:
        key_ids: keys at hand, the one that seals first.
        values: sealed values by key id.
        announced: keys under which a server may have sealed something.
        first_seen: by variable; None where no server has started with this value yet.
        now: the time of the look.
        rotate_after_days: the age at which a secret is due.
    """

    key_ids: tuple[str, ...]
    values: Mapping[str, int]
    announced: frozenset[str]
    first_seen: Mapping[str, datetime | None]
    now: datetime
    rotate_after_days: int

    @property
    def missing(self) -> tuple[str, ...]:
        """Keys that are in use and that no given secret makes."""
        return tuple(sorted((self.values.keys() | self.announced) - set(self.key_ids)))

    def document(self) -> dict[str, Any]:
        """Return the status as one JSON document."""
        shown = (*self.key_ids, *self.missing)
        return {
            "kdf": {
                "name": KDF_NAME,
                "iterations": KDF_ITERATIONS,
                "salt": KDF_SALT.decode("ascii"),
            },
            "keys": [
                {
                    "key_id": key_id,
                    "current": key_id == self.key_ids[0],
                    "values": self.values.get(key_id, 0),
                }
                for key_id in shown
            ],
            "secrets": [
                {
                    "name": name,
                    "first_seen_utc": None if seen is None else seen.isoformat(),
                    "age_days": self.age_days(name),
                    "rotate_after_days": self.rotate_after_days,
                }
                for name, seen in self.first_seen.items()
            ],
        }

    def age_days(self, name: str) -> int | None:
        """Return how many whole days ago the value was first seen."""
        seen = self.first_seen[name]
        return None if seen is None else max(0, (self.now - seen) // timedelta(days=1))


@click.group("secret")
def secret_command() -> None:
    """Show the state of the secrets and rotate them."""


@secret_command.command("status")
@env_file_option
@json_option
def status_command(env_file: Path | None, *, as_json: bool) -> None:
    """Count what is sealed under which key, and show how old the secrets are.

    Status 1 when a secret is missing that something is sealed under.
    """
    settings = load_settings(env_file, as_json=as_json)
    status = run_or_refuse(lambda: _look(settings))
    if as_json:
        print_json(status.document())
    else:
        _print_status(status, settings)
    for warning in exposed_file_warnings(settings, env_file):
        click.echo(f"warning: {warning}", err=True)
    if status.missing:
        sys.exit(REFUSED)


@secret_command.command("rotate")
@env_file_option
@click.option("--dry-run", is_flag=True, help="Count what would be re-sealed; change nothing.")
@json_option
def rotate_command(env_file: Path | None, *, dry_run: bool, as_json: bool) -> None:
    """Re-seal everything under PHOENIX_SECRET while the server goes on serving.

    Before: put the new secret into PHOENIX_SECRET and the old one into PHOENIX_SECRET_PREVIOUS,
    and restart the servers with both. A run that was interrupted is taken up by the next one.
    """
    settings = load_settings(env_file, as_json=as_json)
    report = run_or_refuse(lambda: _rotate(settings, dry_run=dry_run))
    if as_json:
        print_json(_report_document(report))
    else:
        _print_report(report, settings)
    if report.unopened:
        sys.exit(REFUSED)


# --- the work ------------------------------------------------------------------------------


async def _look(settings: Settings) -> SecretStatus:
    clock = SystemClock()
    async with opened_database(settings, clock) as database:
        vault = open_vault(settings)
        key_ids = vault.cipher.keyring.key_ids
        values = await database.read(count_sealed_values)
        announced = frozenset(await database.read(seal_checks))
        secrets = environment_secrets(settings)
        # What a missing key seals cannot be asked for ages; the status says that it is missing.
        seen: Mapping[str, int | None] = dict.fromkeys(secrets)
        if announced <= set(key_ids):
            seen = await database.read(lambda connection: vault.first_seen(connection, secrets))
        return SecretStatus(
            key_ids=key_ids,
            values=values,
            announced=announced,
            first_seen={
                name: None if at is None else from_microseconds(at) for name, at in seen.items()
            },
            now=clock.now_utc(),
            rotate_after_days=settings.encryption.rotation_days,
        )


async def _rotate(settings: Settings, *, dry_run: bool) -> RotationReport:
    clock = SystemClock()
    async with opened_database(settings, clock) as database:
        vault = open_vault(settings)
        if dry_run:
            await database.read(lambda connection: check_secret(connection, vault.cipher))
            return await Rotation(database, vault.cipher).preview()
        await _announce_key(database, vault.cipher)
        audit = AuditLog(database, clock, SystemEntropy(), vault)
        await audit.start()

        def record(connection: Connection, report: RotationReport) -> None:
            audit.record(connection, _rotated(report), Caller(CONSOLE))

        with _progress_bar() as progress:
            return await Rotation(database, vault.cipher, progress).run(record)


async def _announce_key(database: Database, cipher: Cipher) -> None:
    """Prove the secrets; say so when servers may still run without the newest one."""
    checks = await database.read(seal_checks)
    if checks and cipher.current_key_id not in checks:
        click.echo(
            "warning: no server has started with this PHOENIX_SECRET yet; one that still runs "
            "with the old secret alone cannot open what is re-sealed now. Restart it with both.",
            err=True,
        )
    await database.write(lambda connection: verify_secret(connection, cipher))


def _rotated(report: RotationReport) -> AuditEvent:
    return AuditEvent(
        EventName.SECRET_ROTATED,
        target=Target("secret", report.key_id, "PHOENIX_SECRET"),
        before={"values_under_other_keys": report.outdated},
        after={
            "resealed": report.resealed,
            "unopened": report.unopened,
            "retired_key_ids": list(report.retired),
        },
    )


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    """Show progress on standard error: a bar on a terminal, nothing in a file."""
    with click.progressbar(length=1, label="Re-sealing", file=sys.stderr, show_pos=True) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield progress
        if bar.pos == 0:
            bar.length = 0


# --- for people ----------------------------------------------------------------------------


def _print_status(status: SecretStatus, settings: Settings) -> None:
    click.echo(f"{KDF_NAME}, {KDF_ITERATIONS:,} rounds, salt {KDF_SALT.decode('ascii')}\n")
    click.echo(f"{'key':<14}{'values':>9}")
    for key_id in (*status.key_ids, *status.missing):
        count = status.values.get(key_id, 0)
        click.echo(f"{key_id or _UNNAMED:<14}{count:>9}  {_meaning(status, settings, key_id)}")
    if status.first_seen:
        click.echo(f"\n{'secret':<44}{'first seen':<28}age")
    for name, seen in status.first_seen.items():
        shown = "not yet" if seen is None else f"{seen:%Y-%m-%d %H:%M} UTC"
        click.echo(f"{name:<44}{shown:<28}{_age_text(status, name)}")


def _meaning(status: SecretStatus, settings: Settings, key_id: str) -> str:
    if key_id == status.key_ids[0]:
        return "the newest: seals everything new"
    if key_id in status.missing:
        return "missing: add its secret to PHOENIX_SECRET_PREVIOUS"
    if status.values.get(key_id):
        return "still needed: run `bennu secret rotate`"
    if key_id in status.announced:
        return "nothing left: `bennu secret rotate` retires it"
    return f"may go: {_where_previous(settings)}"


def _age_text(status: SecretStatus, name: str) -> str:
    days = status.age_days(name)
    if days is None:
        return ""
    due = days >= status.rotate_after_days
    return f"{days} days" + (f"  due (every {status.rotate_after_days} days)" if due else "")


def _where_previous(settings: Settings) -> str:
    if settings.encryption.previous:
        return "take its secret out of PHOENIX_SECRET_PREVIOUS"
    return f"delete the key file {key_file_of(settings)}"


def _report_document(report: RotationReport) -> dict[str, Any]:
    return {
        "dry_run": report.dry_run,
        "key_id": report.key_id,
        "outdated": report.outdated,
        "resealed": report.resealed,
        "unopened": report.unopened,
        "complete": report.is_complete,
        "retired": list(report.retired),
        "keys": [
            {"key_id": key_id, "current": key_id == report.key_id, "values": count}
            for key_id, count in sorted(report.values.items())
        ],
    }


def _print_report(report: RotationReport, settings: Settings) -> None:
    if report.dry_run:
        click.echo(f"{report.outdated} values would be re-sealed under key {report.key_id}.")
        return
    click.echo(f"{report.resealed} values re-sealed under key {report.key_id}.")
    if report.unopened:
        click.echo(
            f"{report.unopened} values could not be opened and stay as they are; "
            "`bennu secret status` names their keys."
        )
    elif report.retired:
        click.echo(f"The old secret may go now: {_where_previous(settings)}.")
