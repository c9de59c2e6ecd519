"""``bennu oauth2 test``: tries an identity provider and names the setting behind each fault.

Spec: lines 91-133.
"""

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from bennu.app_providers import trial_of
from bennu.app_translations import settings_of_the_environment
from bennu.audit.log import AuditLog
from bennu.auth.oauth2.configured import ConfiguredProviders
from bennu.auth.oauth2.settings import ProviderSettings
from bennu.auth.oauth2.stored import check_stored_provider
from bennu.auth.oauth2.trial import Step
from bennu.cli.context import env_file_option, json_option, load_settings, print_json
from bennu.cli.database import NoDatabaseError, opened_database
from bennu.cli.vault import open_vault
from bennu.encryption.key_source import KeyFileError
from bennu.kernel.clock import SystemClock
from bennu.kernel.errors import AppError
from bennu.kernel.ids import SystemEntropy
from bennu.settings import Settings
from bennu.stored_settings.flow import StoredSettings

_FOUND_FAULTS: Final = 1
_LARGEST_SAMPLE_BYTES: Final = 1_048_576


@click.group("oauth2")
def oauth2_command() -> None:
    """Try an identity provider."""


@oauth2_command.command("test")
@click.argument("provider")
@env_file_option
@click.option(
    "--claims-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="A sample token or its claims as JSON; shows what the claim paths read from it.",
)
@json_option
def test_command(
    provider: str, env_file: Path | None, claims_file: Path | None, *, as_json: bool
) -> None:
    """Try PROVIDER: its documents, its clock, our client there, and what claims would mean."""
    settings = load_settings(env_file, as_json=as_json)
    found, names = asyncio.run(_find(settings, provider.lower()))
    if found is None:
        known = ", ".join(names) or "none"
        raise click.UsageError(f"There is no provider {provider}; configured: {known}")
    sample = None
    if claims_file is not None:
        with claims_file.open("rb") as file:
            sample = file.read(_LARGEST_SAMPLE_BYTES)
    steps = asyncio.run(trial_of(settings, found, SystemClock()).run(sample))
    is_ok = all(step.ok for step in steps)
    if as_json:
        print_json({"ok": is_ok, "steps": [asdict(step) for step in steps]})
    else:
        for step in steps:
            click.echo(_line(step))
    if not is_ok:
        sys.exit(_FOUND_FAULTS)


async def provider_trial(settings: Settings, name: str) -> tuple[Step, ...]:
    """Try a provider of the environment or of the database; no step when there is none."""
    found, _ = await _find(settings, name)
    return () if found is None else await trial_of(settings, found, SystemClock()).run(None)


def _line(step: Step) -> str:
    verdict = "ok  " if step.ok else "FAIL"
    look_at = f"\n       look at {', '.join(step.variables)}" if step.variables else ""
    return f"{verdict} {step.step}: {step.detail}{look_at}"


async def _find(settings: Settings, name: str) -> tuple[ProviderSettings | None, tuple[str, ...]]:
    """Return the provider of the environment or of the database, and the names of all."""
    environment = {provider.name: provider for provider in settings.oauth2}
    if name in environment:
        return environment[name], tuple(environment)
    try:
        stored = await _stored_providers(settings)
    except (NoDatabaseError, KeyFileError):
        stored = {}
    except AppError as error:
        click.echo(f"warning: stored providers cannot be read: {error.public}", err=True)
        stored = {}
    known = {**stored, **environment}
    return known.get(name), tuple(sorted(known))


async def _stored_providers(settings: Settings) -> dict[str, ProviderSettings]:
    clock = SystemClock()
    vault = open_vault(settings)
    async with opened_database(settings, clock) as database:
        stored = StoredSettings(
            database,
            vault,
            AuditLog(database, clock, SystemEntropy(), vault),
            settings_of_the_environment(settings),
            check_stored_provider,
        )
        providers = await ConfiguredProviders(settings.oauth2, stored).all()
    return {provider.name: provider for provider in providers}
