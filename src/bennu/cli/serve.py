"""``bennu serve``: start the server."""

import logging
import sys
from pathlib import Path

import click

from bennu.cli.context import env_file_option, load_settings
from bennu.kernel.memory import give_memory_back

_REFUSED = 1


@click.command("serve")
@env_file_option
def serve_command(env_file: Path | None) -> None:
    """Start the server; it ends at SIGTERM or Ctrl-C."""
    give_memory_back()
    settings = load_settings(env_file)
    # Imported after the settings were read: a wrong setting is told without waiting for these.
    from bennu.encryption.file_modes import (  # noqa: PLC0415
        file_mode_warning,
        files_open_to_others,
    )
    from bennu.kernel.errors import AppError  # noqa: PLC0415
    from bennu.kernel.hardening import forbid_core_dumps  # noqa: PLC0415
    from bennu.kernel.log_lines import configure_logging  # noqa: PLC0415
    from bennu.serve import run_server  # noqa: PLC0415

    logs = settings.logs
    configure_logging(logs.level, logs.database_level, structured=logs.structured)
    forbid_core_dumps()
    for path in files_open_to_others([env_file] if env_file else []):
        fields = {"why": file_mode_warning(path)}
        logging.getLogger("bennu.serve").warning("files.open_to_others", extra=fields)
    try:
        run_server(settings)
    except AppError as error:
        if logs.structured:
            # Whoever reads the lines by machine gets this one as a line too.
            fields = {"why": error.public, "reason": error.detail}
            logging.getLogger("bennu.serve").critical("server.refused", extra=fields)
        else:
            click.echo(f"error: {error.public}", err=True)
            if error.detail:
                click.echo(f"       {error.detail}", err=True)
        sys.exit(_REFUSED)
