"""``bennu retention``: what a sweep would delete, without deleting anything.

Spec: lines 262-264.
"""

from pathlib import Path

import click
import msgspec

from bennu.audit.log import AuditLog
from bennu.cli.context import env_file_option, json_option, load_settings, print_json
from bennu.cli.database import opened_database, run_or_refuse
from bennu.cli.vault import open_vault
from bennu.kernel.clock import SystemClock
from bennu.kernel.ids import SystemEntropy
from bennu.privacy.policies import Foreseen, RetentionPolicies
from bennu.privacy.retention_routes import foreseen_document
from bennu.settings import Settings


@click.group("retention")
def retention_command() -> None:
    """Preview what a sweep would delete."""


@retention_command.command("preview")
@env_file_option
@json_option
def preview_command(env_file: Path | None, *, as_json: bool) -> None:
    """Count what is past its time now, project by project. Only reads; needs no running server.

    A value of PHOENIX_DEFAULT_RETENTION_POLICY_DAYS that no server has started with yet does not
    count: the policies are taken from the database.
    """
    settings = load_settings(env_file, as_json=as_json)
    found = run_or_refuse(lambda: _preview(settings))
    if as_json:
        print_json([msgspec.to_builtins(foreseen_document(one)) for one in found])
        return
    for one in found:
        click.echo(_told(one))
    if not found:
        click.echo("There are no projects.")


async def _preview(settings: Settings) -> list[Foreseen]:
    clock = SystemClock()
    async with opened_database(settings, clock) as database:
        audit = AuditLog(database, clock, SystemEntropy(), open_vault(settings))
        policies = RetentionPolicies(database, audit)
        return await database.read(policies.foresee_in)


def _told(one: Foreseen) -> str:
    shown = foreseen_document(one)
    if one.policy.rule.keeps_everything:
        return f"{shown.project_name}: everything is kept ({shown.policy_name})"
    held = f", {shown.held_traces} held" if shown.held_traces else ""
    return (
        f"{shown.project_name}: {shown.traces} traces with {shown.spans} spans would go"
        f"{held} ({shown.policy_name})"
    )
