"""``bennu doctor``: what the specification asks people to check by hand, in one command.

Spec: lines 226-250, 273-292.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

import click

from bennu.cli.context import env_file_option, json_option, print_json, read_env
from bennu.cli.database import opened_database
from bennu.cli.oauth2 import provider_trial
from bennu.cli.vault import open_vault
from bennu.doctor.database import DatabaseCheck
from bennu.doctor.examine import Trials, examine, settings_findings
from bennu.doctor.model import Finding, State, has_failed
from bennu.encryption.key_source import KeyFileError
from bennu.kernel.clock import SystemClock
from bennu.kernel.env import SettingsError
from bennu.kernel.ids import SystemEntropy
from bennu.mail import SmtpTalker
from bennu.network.rate_redis import SharedCounters
from bennu.settings import Settings

_FOUND_FAILURES: Final = 1
_WORDS: Final = {State.OK: "ok  ", State.WARN: "warn", State.FAIL: "FAIL", State.SKIP: "skip"}


@click.command("doctor")
@env_file_option
@click.option("--offline", is_flag=True, help="Ask nobody; look at this machine only.")
@json_option
def doctor_command(env_file: Path | None, *, offline: bool, as_json: bool) -> None:
    """Check a deployment: settings, files, database, directory, providers, mail, ages.

    Works with the server up or down and never prints a secret. Status 1 when something failed,
    2 when the command itself is not one, such as an unknown option.
    """
    try:
        settings = Settings.from_env(read_env(env_file))
    except SettingsError as error:
        findings = settings_findings(error)
    else:
        findings = asyncio.run(_findings(settings, env_file, offline=offline))
    if as_json:
        print_json([finding.row() for finding in findings])
    else:
        for finding in findings:
            _print(finding)
    sys.exit(_FOUND_FAILURES if has_failed(findings) else 0)


async def _findings(settings: Settings, env_file: Path | None, *, offline: bool) -> list[Finding]:
    trials = None if offline else _trials(settings)
    clock = SystemClock()
    return [finding async for finding in examine(settings, env_file, clock, trials)]


def _trials(settings: Settings) -> Trials:
    clock = SystemClock()
    try:
        vault = open_vault(settings)
        database = DatabaseCheck(settings, opened_database(settings, clock), vault, clock)
    except KeyFileError:
        database = None  # nothing was started yet, so there is nothing to open

    async def try_mail() -> None:
        await SmtpTalker(clock, SystemEntropy()).greet(settings.mail)

    async def try_counters() -> None:
        url = settings.network.rate_limit_storage_url
        if url is not None:
            await SharedCounters(url, clock).ping()

    return Trials(database, lambda name: provider_trial(settings, name), try_mail, try_counters)


def _print(finding: Finding) -> None:
    variable = f"  [{finding.variable}]" if finding.variable else ""
    line = f"  (spec line {finding.spec_line})" if finding.spec_line else ""
    click.echo(f"{_WORDS[finding.state]}  {finding.check}: {finding.seen}{variable}{line}")
    if finding.state in {State.FAIL, State.WARN}:
        for text in (finding.why, finding.fix and f"To do: {finding.fix}"):
            if text:
                click.echo(f"      {text}")
