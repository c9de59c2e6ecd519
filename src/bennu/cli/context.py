"""What every command needs: the process environment and the env file, made into Settings.

This is the only file that reads the process environment.

Spec: lines 8-13.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from bennu.kernel.env import Env, Problem, SettingsError
from bennu.kernel.env_file import EnvFile, env_of
from bennu.settings import Settings

WRONG_SETTINGS: Final = 2
_LIMIT_BYTES: Final = 1024 * 1024

Command = TypeVar("Command", bound=Callable[..., Any])


def env_file_option(command: Command) -> Command:
    """Give a command the option ``--env-file``, passed as ``env_file: Path | None``."""
    return click.option(
        "--env-file",
        type=click.Path(path_type=Path),
        default=None,
        metavar="FILE",
        help="Settings besides the environment, which wins.",
    )(command)


def json_option(command: Command) -> Command:
    """Give a command the option ``--json``, passed as ``as_json: bool``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
    )(command)


def process_environment() -> Mapping[str, str]:
    """Return the environment of this process."""
    return dict(os.environ)  # noqa: TID251 - the one place


def read_env(env_file: Path | None, environment: Mapping[str, str] | None = None) -> Env:
    """Read the process environment over an env file; what is wrong is noted in the Env.

    Args:
        env_file: None for the environment alone.
        environment: instead of that of this process.
    """
    values = process_environment() if environment is None else environment
    if env_file is None:
        return env_of(values)
    try:
        with env_file.open("rb") as file:
            raw = file.read(_LIMIT_BYTES + 1)
        text = raw.decode("utf-8")
    except OSError as error:
        return _without_file(values, env_file, f"an existing, readable file ({error.strerror})")
    except UnicodeDecodeError:
        return _without_file(values, env_file, "a text file in UTF-8")
    if len(raw) > _LIMIT_BYTES or "\0" in text:
        return _without_file(values, env_file, "a text file of at most 1 MiB")
    return env_of(values, EnvFile(text, str(env_file), values))


def _without_file(values: Mapping[str, str], env_file: Path, allowed: str) -> Env:
    env = env_of(values)
    env.problems.append(Problem("--env-file", str(env_file), allowed, "command line"))
    return env


def load_settings(env_file: Path | None, *, as_json: bool = False) -> Settings:
    """Read every setting; wrong ones are all printed and end the command with status 2.

    Args:
        env_file: None for the environment alone.
        as_json: print problems as one JSON document on standard output.
    """
    try:
        return Settings.from_env(read_env(env_file))
    except SettingsError as error:
        if as_json:
            print_problems_as_json(error.problems, error.warnings)
        else:
            print_problems("error", error.problems)
            print_problems("warning", error.warnings)
        sys.exit(WRONG_SETTINGS)


def print_problems(heading: str, problems: Iterable[Problem]) -> None:
    """Print problems for people, on standard error."""
    for problem in problems:
        click.echo(f"{heading}: {problem.as_line()}", err=True)


def print_problems_as_json(errors: Iterable[Problem], warnings: Iterable[Problem]) -> None:
    """Print the document ``{"errors": [...], "warnings": [...]}``."""
    print_json({"errors": _rows(errors), "warnings": _rows(warnings)})


def print_json(document: object) -> None:
    """Print one JSON document on standard output."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _rows(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [
        {"name": p.name, "read": p.read, "allowed": p.allowed, "source": p.source} for p in problems
    ]
