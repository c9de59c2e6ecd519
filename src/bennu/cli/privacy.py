"""``bennu privacy``: receipts of erasures.

Spec: lines 265-266.
"""

import sys
from pathlib import Path
from typing import Any, Final

import click

from bennu.audit.verify import own_public_key
from bennu.cli.context import env_file_option, json_option, load_settings, print_json
from bennu.cli.database import REFUSED, opened_database, run_or_refuse
from bennu.cli.vault import open_vault
from bennu.encryption.signing import PublicKeyError
from bennu.encryption.vault import check_secret
from bennu.kernel.clock import SystemClock
from bennu.privacy.receipt import ReceiptError, is_authentic_receipt, read_receipt
from bennu.settings import Settings

_FILE: Final = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.group("privacy")
def privacy_command() -> None:
    """Check receipts of erasures."""


@privacy_command.command("verify-receipt")
@click.argument("file", type=_FILE)
@env_file_option
@click.option(
    "--public-key",
    "public_key_file",
    type=_FILE,
    metavar="FILE",
    help="PEM to check with, kept elsewhere; by default the server's own.",
)
@json_option
def verify_receipt_command(
    file: Path, env_file: Path | None, public_key_file: Path | None, *, as_json: bool
) -> None:
    """Find out whether this server signed a receipt. Status 1 when it did not."""
    try:
        receipt = read_receipt(file.read_bytes())
    except ReceiptError as error:
        raise click.BadParameter(f"{file}: {error.public}", param_hint="FILE") from None
    if public_key_file is None:
        settings = load_settings(env_file, as_json=as_json)
        public_key = run_or_refuse(lambda: _own_public_key(settings))
    else:
        public_key = public_key_file.read_bytes().decode(errors="replace")
    is_good = _check(receipt, public_key, str(public_key_file))
    if as_json:
        print_json({"ok": is_good, "id": receipt.get("id"), "erased": receipt.get("erased")})
    else:
        click.echo("The receipt is authentic." if is_good else "The receipt is NOT authentic.")
    if not is_good:
        sys.exit(REFUSED)


def _check(receipt: dict[str, Any], public_key: str | None, source: str) -> bool:
    if public_key is None:
        return False  # a server that never signed anything has not signed this either
    try:
        return is_authentic_receipt(receipt, public_key)
    except PublicKeyError as error:
        raise click.BadParameter(f"{source}: {error.public}", param_hint="--public-key") from None


async def _own_public_key(settings: Settings) -> str | None:
    async with opened_database(settings, SystemClock()) as database:
        vault = open_vault(settings)
        await database.read(lambda connection: check_secret(connection, vault.cipher))
        return await database.read(lambda connection: own_public_key(connection, vault))
