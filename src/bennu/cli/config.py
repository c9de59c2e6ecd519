"""``bennu config``: check the settings without a start, and list them all.

Spec: lines 8-13, 273-277 (authentication not working), 295.
"""

import sys
from pathlib import Path

import click

from bennu.cli.context import (
    WRONG_SETTINGS,
    env_file_option,
    json_option,
    print_json,
    print_problems,
    print_problems_as_json,
    read_env,
)
from bennu.kernel.env import Problem, SettingsError
from bennu.settings import SECTIONS, VARIABLES, Settings


@click.group("config")
def config_command() -> None:
    """Check and list the settings."""


@config_command.command("check")
@env_file_option
@json_option
def check_command(env_file: Path | None, *, as_json: bool) -> None:
    """Check every setting and print all that is wrong; status 2 when something is."""
    errors: tuple[Problem, ...] = ()
    try:
        warnings = Settings.from_env(read_env(env_file)).warnings
    except SettingsError as error:
        errors, warnings = error.problems, error.warnings
    if as_json:
        print_problems_as_json(errors, warnings)
    else:
        print_problems("error", errors)
        print_problems("warning", warnings)
        click.echo(_summary(len(errors), len(warnings)))
    sys.exit(WRONG_SETTINGS if errors else 0)


def _summary(error_count: int, warning_count: int) -> str:
    warnings = f"{warning_count} warning{'' if warning_count == 1 else 's'}"
    if error_count == 0:
        return f"settings are good, {warnings}"
    return f"{error_count} error{'' if error_count == 1 else 's'}, {warnings}"


@config_command.command("list")
@env_file_option
@json_option
def list_command(env_file: Path | None, *, as_json: bool) -> None:  # noqa: ARG001 - every command takes it
    """Print every variable with type, default, meaning and line of the spec."""
    if as_json:
        print_json(
            [
                {
                    "name": v.name,
                    "type": v.kind,
                    "default": v.default,
                    "meaning": v.meaning,
                    "spec_line": v.spec_line,
                }
                for v in VARIABLES
            ]
        )
        return
    for heading, variables in SECTIONS:
        click.echo(f"\n{heading}\n")
        for v in variables:
            line = f", spec line {v.spec_line}" if v.spec_line else ""
            default = f", default {v.default}" if v.default else ""
            click.echo(f"{v.name}\n    {v.kind}{default}{line}\n    {v.meaning}")
