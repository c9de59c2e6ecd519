"""``bennu health``: the probe of a container.

Spec: line 272.
"""

import sys
from pathlib import Path
from typing import Final

import click

from bennu.cli.context import env_file_option, json_option, load_settings, print_json
from bennu.monitoring.probe_socket import ProbeFailedError, ask_probe_socket, probe_socket_path

_NOT_READY: Final = 1


@click.command("health")
@env_file_option
@json_option
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(0.1, 60),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the answer.",
)
def health_command(env_file: Path | None, timeout_seconds: float, *, as_json: bool) -> None:
    """Ask the running server whether it is ready; status 0 when it is.

    It asks through a socket in PHOENIX_WORKING_DIR, as the user that runs the server, and so needs
    neither a client certificate nor a credential.
    """
    settings = load_settings(env_file, as_json=as_json)
    path = probe_socket_path(settings.storage.working_dir, settings.network.port)
    problem = ""
    try:
        ask_probe_socket(path, timeout_seconds)
    except ProbeFailedError as error:
        problem = str(error)
    if as_json:
        print_json({"ok": not problem, "reason": problem})
    elif problem:
        click.echo(problem, err=True)
    else:
        click.echo("ready")
    if problem:
        sys.exit(_NOT_READY)
