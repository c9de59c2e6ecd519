"""``bennu audit``: verify the audit trail, vouch for it, look at its end and export it.

Spec: lines 256-260.
"""

import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from bennu.access import CONSOLE, Caller
from bennu.audit.checkpoint import Checkpoint, CheckpointError, read_checkpoint_document
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.audit.query import MOST_RECORDS, AuditFilter, read_records, record_line
from bennu.audit.verify import TrailFinding, verify_trail
from bennu.cli.context import env_file_option, json_option, load_settings, print_json
from bennu.cli.database import REFUSED, opened_database, run_or_refuse
from bennu.cli.vault import open_vault
from bennu.encryption.signing import PublicKeyError, check_public_key
from bennu.encryption.vault import check_secret
from bennu.kernel.clock import SystemClock, to_microseconds
from bennu.kernel.ids import SystemEntropy
from bennu.settings import Settings
from bennu.storage.database import Database

_TAIL_RECORDS: Final = 20
_FILE: Final = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
_TIME: Final = click.DateTime(("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"))


@click.group("audit")
def audit_command() -> None:
    """Verify and export the audit log."""


@audit_command.command("verify")
@env_file_option
@click.option(
    "--public-key",
    "public_key_file",
    type=_FILE,
    metavar="FILE",
    help="PEM to check checkpoints with, kept elsewhere; by default the server's own.",
)
@click.option(
    "--checkpoint",
    "checkpoint_file",
    type=_FILE,
    metavar="FILE",
    help="What `bennu audit checkpoint` printed earlier, kept elsewhere.",
)
@json_option
def verify_command(
    env_file: Path | None,
    public_key_file: Path | None,
    checkpoint_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Find the first record that was changed, removed, inserted or reordered.

    Only reads, and needs no running server. Status 1 when the trail is not as it was written.
    """
    checkpoint = None if checkpoint_file is None else _checkpoint_of(checkpoint_file)
    public_key = None if public_key_file is None else _public_key_of(public_key_file)
    settings = load_settings(env_file, as_json=as_json)
    finding = run_or_refuse(lambda: _verify(settings, checkpoint, public_key))
    if as_json:
        print_json(
            {
                "ok": finding.ok,
                "records": finding.records,
                "first_bad_sequence": finding.first_bad_sequence,
                "reason": finding.reason,
            }
        )
    else:
        click.echo(_told(finding))
    if not finding.ok:
        sys.exit(REFUSED)


@audit_command.command("checkpoint")
@env_file_option
@click.option(
    "--public-key",
    "public_key_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the public key there, as PEM.",
)
def checkpoint_command(env_file: Path | None, public_key_file: Path | None) -> None:
    """Print a signed statement of how far the trail goes, to be kept somewhere else.

    Whoever later cuts the end of the trail cannot make this statement fit any more.
    """
    settings = load_settings(env_file)
    document = run_or_refuse(lambda: _checkpoint(settings))
    if document is None:
        click.echo("error: There is no record yet", err=True)
        sys.exit(REFUSED)
    if public_key_file is not None:
        try:
            public_key_file.write_text(document["public_key"])
        except OSError as error:
            raise click.BadParameter(f"{public_key_file}: {error.strerror}") from None
    print_json(document)


@audit_command.command("tail")
@env_file_option
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(1, MOST_RECORDS),
    default=_TAIL_RECORDS,
    show_default=True,
    help="How many records.",
)
def tail_command(env_file: Path | None, lines: int) -> None:
    """Print the newest records, the last one at the end, one JSON object per line."""
    settings = load_settings(env_file)
    run_or_refuse(lambda: _tail(settings, lines))


@audit_command.command("export")
@env_file_option
@click.option(
    "--event", type=click.Choice([name.value for name in EventName]), help="Only this event."
)
@click.option(
    "--outcome",
    type=click.Choice([outcome.value for outcome in Outcome]),
    help="Only this outcome.",
)
@click.option("--start", type=_TIME, help="Recorded then or later; UTC without a zone.")
@click.option("--end", type=_TIME, help="Recorded before; UTC without a zone.")
def export_command(
    env_file: Path | None,
    event: str | None,
    outcome: str | None,
    start: datetime | None,
    end: datetime | None,
) -> None:
    """Print all records, the oldest first, one JSON object per line."""
    settings = load_settings(env_file)
    wanted = AuditFilter(
        event=event,
        outcome=outcome,
        start_at=_microseconds(start),
        end_at=_microseconds(end),
        is_oldest_first=True,
    )
    run_or_refuse(lambda: _export(settings, wanted))


# --- the work ------------------------------------------------------------------------------


def _checkpoint_of(file: Path) -> Checkpoint:
    try:
        return read_checkpoint_document(file.read_bytes())
    except CheckpointError as error:
        raise click.BadParameter(f"{file}: {error.public}", param_hint="--checkpoint") from None


def _public_key_of(file: Path) -> str:
    text = file.read_bytes().decode(errors="replace")
    try:
        check_public_key(text)
    except PublicKeyError as error:
        raise click.BadParameter(f"{file}: {error.public}", param_hint="--public-key") from None
    return text


async def _verify(
    settings: Settings, checkpoint: Checkpoint | None, public_key: str | None
) -> TrailFinding:
    async with opened_database(settings, SystemClock()) as database:
        vault = open_vault(settings)
        await database.read(lambda connection: check_secret(connection, vault.cipher))
        return await database.read(
            lambda connection: verify_trail(connection, vault, checkpoint, public_key)
        )


async def _checkpoint(settings: Settings) -> dict[str, Any] | None:
    async with opened_database(settings, SystemClock()) as database:
        audit = await _opened_audit(database, settings)
        return await audit.exported_checkpoint()


async def _tail(settings: Settings, lines: int) -> None:
    async with opened_database(settings, SystemClock()) as database:
        found = await database.read(lambda c: read_records(c, AuditFilter(), lines))
        await _record_reading(database, settings)
    for record in reversed(found):
        click.echo(record_line(record), nl=False)


async def _export(settings: Settings, wanted: AuditFilter) -> None:
    async with opened_database(settings, SystemClock()) as database:
        await _record_reading(database, settings)
        read = partial(read_records, wanted=wanted, limit=MOST_RECORDS)
        page = await database.read(read)
        while page:
            for record in page:
                click.echo(record_line(record), nl=False)
            page = await database.read(partial(read, beyond=page[-1]["sequence"]))


async def _record_reading(database: Database, settings: Settings) -> None:
    """Record that somebody with access to the machine read the trail."""
    audit = await _opened_audit(database, settings)
    event = AuditEvent(EventName.AUDIT_READ, target=Target("audit"))
    await audit.note(event, Caller(CONSOLE))


async def _opened_audit(database: Database, settings: Settings) -> AuditLog:
    """Open the trail for writing, after the secret was proved right."""
    vault = open_vault(settings)
    await database.read(lambda connection: check_secret(connection, vault.cipher))
    audit = AuditLog(database, SystemClock(), SystemEntropy(), vault)
    await audit.start()
    return audit


def _microseconds(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    return to_microseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _told(finding: TrailFinding) -> str:
    if finding.ok:
        return f"The audit trail is whole: {finding.records} records."
    if finding.first_bad_sequence is None:
        return f"The audit trail is NOT as it was written: {finding.reason}."
    return (
        f"The audit trail is NOT as it was written from record {finding.first_bad_sequence} on: "
        f"{finding.reason}. {finding.records} records before it are good."
    )
