"""The command ``bennu``: which commands there are; each is imported only when it is used.

A command of another feature costs no start time, and one that cannot be imported leaves the
others usable.
"""

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import click

from bennu import __version__


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: its module in ``bennu.cli`` holds ``<module>_command``."""

    module: str
    summary: str


COMMANDS: Final[Mapping[str, Entry]] = MappingProxyType(
    {
        "serve": Entry("serve", "Start the server."),
        "init": Entry("init", "Write an env file with a random secret and first password."),
        "config": Entry("config", "Check and list the settings."),
        "doctor": Entry("doctor", "Look for what is wrong or unsafe."),
        "health": Entry("health", "Ask the running server whether it is ready."),
        "secret": Entry("secret", "Show the state of the secrets and rotate them."),
        "user": Entry("user", "Manage accounts."),
        "key": Entry("key", "Manage API keys."),
        "ldap": Entry("ldap", "Try the directory."),
        "oauth2": Entry("oauth2", "Try an identity provider."),
        "tls": Entry("tls", "Make and check certificates."),
        "firewall": Entry("firewall", "Write firewall rules."),
        "audit": Entry("audit", "Verify and export the audit log."),
        "retention": Entry("retention", "Preview what a sweep would delete."),
        "privacy": Entry("privacy", "Export and erase what belongs to a person."),
    }
)


class CommandsOnDemand(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands that exist, in the order of the table."""
        return [name for name, entry in COMMANDS.items() if _exists(entry)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None or not _exists(entry):
            return None
        module = importlib.import_module(f"bennu.cli.{entry.module}")
        command = getattr(module, f"{entry.module}_command")
        if not isinstance(command, click.Command):
            raise TypeError(f"bennu.cli.{entry.module} holds no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        rows = [(name, COMMANDS[name].summary) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _exists(entry: Entry) -> bool:
    return importlib.util.find_spec(f"bennu.cli.{entry.module}") is not None


@click.command(cls=CommandsOnDemand, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bennu", message="%(prog)s %(version)s")
def main() -> None:
    """Bennu: collects the traces of LLM applications and keeps them safe."""
