"""``bennu ldap``: try the directory step by step, and compare accounts with it now.

Spec: lines 279-285.
"""

import sys
from pathlib import Path
from typing import Final

import click

from bennu.access import CONSOLE, Caller
from bennu.audit.log import AuditLog
from bennu.auth.ldap.configured import ConfiguredDirectory, require_ldap_library
from bennu.auth.ldap.diagnosis_report import DiagnosisReport, StepResult
from bennu.auth.ldap.settings import LdapSettings
from bennu.auth.ldap.sync import AccountChange, DirectorySync, SyncReport
from bennu.cli.context import (
    WRONG_SETTINGS,
    env_file_option,
    json_option,
    load_settings,
    print_json,
)
from bennu.cli.database import REFUSED, opened_database, run_or_refuse
from bennu.cli.vault import open_vault
from bennu.encryption.vault import check_secret
from bennu.kernel.clock import SystemClock
from bennu.kernel.errors import AppError
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.settings import Settings

_CALLER: Final = Caller(CONSOLE)


@click.group("ldap")
def ldap_command() -> None:
    """Try the directory, and compare accounts with it."""


@ldap_command.command("test")
@click.argument("username")
@env_file_option
@json_option
def test_command(username: str, env_file: Path | None, *, as_json: bool) -> None:
    """Sign somebody in step by step, without making an account; say what is wrong where.

    The password is asked for, or read from standard input where that is no terminal; an empty
    one leaves out the step that needs it. It is never printed.
    """
    ldap = _directory_of(load_settings(env_file, as_json=as_json))
    try:
        require_ldap_library()
    except AppError as error:
        click.echo(f"error: {error.public}", err=True)
        sys.exit(REFUSED)
    from bennu.auth.ldap.diagnosis import Diagnosis  # noqa: PLC0415 - needs the extra

    password = _asked_password(username)
    report = Diagnosis(ldap, SystemClock()).diagnose(username, password)
    if as_json:
        steps = [_step_row(step) for step in report.steps]
        print_json({"ok": report.ok, "role": report.role, "steps": steps})
    else:
        _print_report(report)
    sys.exit(0 if report.ok else REFUSED)


@ldap_command.command("sync")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@env_file_option
@json_option
def sync_command(env_file: Path | None, *, dry_run: bool, as_json: bool) -> None:
    """Compare all accounts of the directory with it, and act on what is found."""
    settings = load_settings(env_file, as_json=as_json)
    _directory_of(settings)
    report = run_or_refuse(lambda: _synced(settings, dry_run=dry_run))
    if as_json:
        print_json(_report_row(report))
    else:
        _print_changes(report, dry_run=dry_run)
    sys.exit(REFUSED if report.refusal else 0)


def _directory_of(settings: Settings) -> LdapSettings:
    if settings.ldap is None:
        click.echo("error: PHOENIX_LDAP_HOST is not set: there is no directory", err=True)
        sys.exit(WRONG_SETTINGS)
    return settings.ldap


def _asked_password(username: str) -> Secret | None:
    if sys.stdin.isatty():
        text = click.prompt(
            f"Password of {username}", hide_input=True, default="", show_default=False, err=True
        )
    else:
        text = sys.stdin.readline().rstrip("\r\n")
    return Secret(text) if text else None


async def _synced(settings: Settings, *, dry_run: bool) -> SyncReport:
    clock, entropy = SystemClock(), SystemEntropy()
    vault = open_vault(settings)
    directory = ConfiguredDirectory(settings.ldap, clock, entropy)
    directory.start()
    try:
        async with opened_database(settings, clock) as database:
            await database.read(lambda c: check_secret(c, vault.cipher))
            audit = AuditLog(database, clock, entropy, vault)
            await audit.start()
            sync = DirectorySync(database, audit, directory)
            return await sync.sync_with_directory(_CALLER, dry_run=dry_run)
    finally:
        directory.stop()


# --- printing ----------------------------------------------------------------------------------


def _step_row(step: StepResult) -> dict[str, object]:
    return {
        "step": str(step.step),
        "ok": step.ok,
        "seconds": round(step.seconds, 4),
        "detail": step.detail,
        "variables": list(step.variables),
    }


def _print_report(report: DiagnosisReport) -> None:
    for step in report.steps:
        mark = "ok  " if step.ok else "FAIL"
        click.echo(f"{mark}  {step.step:<12}  {step.seconds:7.3f} s  {step.detail}")
        if step.variables:
            click.echo(f"{'':25}look at {', '.join(step.variables)}")
    if report.role is not None:
        click.echo(f"role  {report.role}")


def _report_row(report: SyncReport) -> dict[str, object]:
    return {
        "checked": report.checked,
        "refused": report.refusal,
        "detail": report.detail,
        "changes": [
            {
                "username": change.username,
                "active": change.active,
                "reason": change.reason,
                "role": change.role,
            }
            for change in report.changes
        ],
    }


def _print_changes(report: SyncReport, *, dry_run: bool) -> None:
    if report.refusal:
        click.echo(f"nothing was changed: {report.refusal}: {report.detail}", err=True)
        return
    for change in report.changes:
        click.echo(f"{change.username}: {_change_text(change)}")
    done = "would change" if dry_run else "changed"
    click.echo(f"{report.checked} accounts checked, {len(report.changes)} {done}")


def _change_text(change: AccountChange) -> str:
    if not change.active:
        return f"no longer active ({change.reason})"
    return "active" if change.role is None else f"role {change.role}"
