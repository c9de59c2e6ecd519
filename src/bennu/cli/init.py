"""``bennu init``: an env file with authentication on, a random secret and a first password.

Spec: lines 8-23, 226-231.
"""

import base64
import os
import string
import sys
from pathlib import Path
from typing import Final

import click

from bennu.encryption.secret import secret_problems
from bennu.kernel.ids import Entropy, SystemEntropy

DEFAULT_ENV_FILE: Final = Path("bennu.env")
PASSWORD_LENGTH: Final = 20
_EXISTS_OR_FAILED: Final = 1
_OWNER_ONLY: Final = 0o600
_SECRET_BYTES: Final = 32
_SYMBOLS: Final = "_+"
_CLASSES: Final = (string.ascii_lowercase, string.ascii_uppercase, string.digits, _SYMBOLS)
_ALPHABET: Final = "".join(_CLASSES)
#: Characters that neither a shell nor docker reads as anything but themselves.
_PLAIN: Final = frozenset(string.ascii_letters + string.digits + "/._-+")


@click.command("init")
@click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    default=DEFAULT_ENV_FILE,
    metavar="FILE",
    show_default=True,
    help="The file to write; an existing one is never overwritten.",
)
def init_command(env_file: Path) -> None:
    """Write an env file with authentication on, a random secret and a first password."""
    entropy = SystemEntropy()
    password = draw_password(entropy)
    working_dir = env_file.absolute().parent / ".bennu"
    text = env_file_text(draw_secret(entropy), password, working_dir)
    try:
        write_private_file(env_file, text)
    except FileExistsError:
        click.echo(f"{env_file} exists and is left as it is", err=True)
        sys.exit(_EXISTS_OR_FAILED)
    except OSError as error:
        click.echo(f"{env_file} cannot be written: {error.strerror}", err=True)
        sys.exit(_EXISTS_OR_FAILED)
    click.echo(f"wrote {env_file}, readable by you only:")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            click.echo(f"  {name}={'***' if name == 'PHOENIX_SECRET' else value}")
    click.echo(f"start:   bennu serve --env-file {env_file}")
    click.echo("sign in: admin@localhost with that first password; it is good for changing it")


def draw_secret(entropy: Entropy) -> str:
    """Draw a secret of 43 characters; one that breaks a rule is drawn again."""
    while True:
        drawn = base64.urlsafe_b64encode(entropy.bytes(_SECRET_BYTES)).decode().rstrip("=")
        if not secret_problems(drawn):
            return drawn


def draw_password(entropy: Entropy) -> str:
    """Draw a password that meets the strong policy, every character equally likely.

    One that lacks a digit, a case or a symbol is drawn again, which leaves about 118 bits.
    """
    while True:
        drawn = "".join(_draw_character(entropy) for _ in range(PASSWORD_LENGTH))
        if all(any(character in wanted for character in drawn) for wanted in _CLASSES):
            return drawn


def _draw_character(entropy: Entropy) -> str:
    # 64 characters divide the 256 values of a byte evenly, so none comes more often.
    return _ALPHABET[entropy.bytes(1)[0] % len(_ALPHABET)]


def env_file_text(secret: str, password: str, working_dir: Path) -> str:
    """Return the file: plain ``NAME=value`` lines, which a shell and docker read alike.

    Args:
        secret: meets the rules and needs no quotes.
        password: needs no quotes.
        working_dir: left out when its path would need quotes.
    """
    lines = [
        "# Settings of Bennu. Keep this file out of version control: it holds secrets.",
        "# Use it with `bennu serve --env-file`, `docker run --env-file` or `set -a; . ./FILE`.",
        "# Every setting is explained by `bennu config list`.",
        "PHOENIX_ENABLE_AUTH=true",
        "# Seals what is stored. Without it the database cannot be read: keep a copy apart.",
        f"PHOENIX_SECRET={secret}",
        "# For the first sign-in of admin@localhost; the server asks for another one then.",
        f"PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD={password}",
    ]
    if set(str(working_dir)) <= _PLAIN:
        lines += [
            "# The database belongs to the secret above, so it lies beside this file.",
            f"PHOENIX_WORKING_DIR={working_dir}",
        ]
    lines += [
        "# Listens on every address. Behind a proxy on this machine: PHOENIX_HOST=127.0.0.1",
        "# The address that people use, when there is one:",
        "# PHOENIX_ROOT_URL=https://phoenix.example.com",
    ]
    return "\n".join(lines) + "\n"


def write_private_file(path: Path, text: str) -> None:
    """Make a file that only its owner can read.

    Raises:
        FileExistsError: there is something of that name, were it only a dangling link.
        OSError: the folder cannot be written to.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, _OWNER_ONLY)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
