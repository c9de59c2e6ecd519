"""The command line as a whole."""

import subprocess
import sys

from click.testing import CliRunner

from bennu import __version__
from bennu.cli import main as module
from bennu.cli.main import COMMANDS, Entry, main


def test_the_help_lists_the_commands_without_importing_them() -> None:
    code = (
        "import sys; from bennu.cli.main import main; main(['--help'], standalone_mode=False);"
        "print('bennu.settings' in sys.modules, 'bennu.app' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "config" in answer.stdout
    assert answer.stdout.endswith("False False\n")


def test_the_version_is_printed() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"bennu {__version__}\n"


def test_an_unknown_command_is_wrong_usage() -> None:
    assert CliRunner().invoke(main, ["fly"]).exit_code == 2


def test_a_command_whose_module_is_missing_leaves_the_others_usable() -> None:
    assert not module._exists(Entry("no_such_module", ""))  # noqa: SLF001 - no other way to see it
    answer = CliRunner().invoke(main, ["--help"])
    assert answer.exit_code == 0
    assert "init" in answer.output


def test_every_command_that_exists_can_be_imported() -> None:
    for name in main.list_commands(main.make_context("bennu", [], resilient_parsing=True)):
        answer = CliRunner().invoke(main, [name, "--help"])
        assert answer.exit_code == 0, (name, answer.output)
        assert COMMANDS[name].summary


def test_python_m_is_the_same_command() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "bennu", "--version"], capture_output=True, text=True, check=True
    )
    assert answer.stdout == f"bennu {__version__}\n"
