"""``bennu tls``: make a certificate for development, check the ones that are there.

Spec: lines 197-204, 286-292.
"""

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from bennu.cli.context import (
    WRONG_SETTINGS,
    env_file_option,
    json_option,
    print_json,
    print_problems,
    read_env,
)
from bennu.kernel.clock import SystemClock
from bennu.tls.certificate import CertificateFacts, PemError, make_self_signed
from bennu.tls.check import CheckedCertificate, FileCheck, check_tls_files
from bennu.tls.pair import Finding, days_left

_REFUSED: Final = 1
_OWNER_ONLY: Final = 0o600
_READABLE: Final = 0o644
_YEARS_100: Final = 36_500
_TIME: Final = "%Y-%m-%d %H:%M UTC"


@click.group("tls")
def tls_command() -> None:
    """Make and check certificates."""


@tls_command.command("selfsigned")
@env_file_option
@click.option(
    "--host",
    "hosts",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A host name or an address that it is good for; may be given several times.",
)
@click.option("--ec", "use_ec", is_flag=True, help="An EC key (P-256) instead of RSA 2048.")
@click.option(
    "--days", type=click.IntRange(1, _YEARS_100), default=365, show_default=True, metavar="N"
)
@click.option(
    "--cert",
    "cert_file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("cert.pem"),
    show_default=True,
    metavar="FILE",
    help="Where the certificate goes.",
)
@click.option(
    "--key",
    "key_file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("key.pem"),
    show_default=True,
    metavar="FILE",
    help="Where the key goes, readable by you only.",
)
def selfsigned_command(
    env_file: Path | None,  # noqa: ARG001 - every command takes it
    hosts: tuple[str, ...],
    days: int,
    cert_file: Path,
    key_file: Path,
    *,
    use_ec: bool,
) -> None:
    """Make a certificate that signs itself, for development and tests.

    Existing files are never overwritten. In production use one of an authority that your clients
    trust.
    """
    try:
        cert, key = make_self_signed(hosts, days, SystemClock().now_utc(), use_ec=use_ec)
    except PemError as error:
        raise click.BadParameter(str(error), param_hint="--host") from None
    written: list[Path] = []
    try:
        for path, content, mode in ((key_file, key, _OWNER_ONLY), (cert_file, cert, _READABLE)):
            _write_new(path, content, mode)
            written.append(path)
    except OSError as error:
        for path in written:
            path.unlink()
        click.echo(f"error: {error.filename}: {error.strerror}; nothing was written", err=True)
        sys.exit(_REFUSED)
    click.echo(f"wrote {cert_file} and {key_file} for {', '.join(hosts)}, good for {days} days:")
    click.echo(f"  PHOENIX_TLS_ENABLED=true\n  PHOENIX_TLS_CERT_FILE={cert_file.absolute()}")
    click.echo(f"  PHOENIX_TLS_KEY_FILE={key_file.absolute()}")
    click.echo(f"clients trust it with, for example, curl --cacert {cert_file}")


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)


@tls_command.command("check")
@env_file_option
@json_option
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def check_command(env_file: Path | None, files: tuple[Path, ...], *, as_json: bool) -> None:
    """Check dates, chain, names, and that key and certificate belong together.

    FILES hold certificates or keys, in any order; without any, those of the settings are checked.
    The password of an encrypted key is PHOENIX_TLS_KEY_FILE_PASSWORD. Status 1 when a file cannot
    serve.
    """
    env = read_env(env_file)
    secret = env.secret("PHOENIX_TLS_KEY_FILE_PASSWORD")
    authorities: list[Path] = []
    if not files:
        named = [env.path(f"PHOENIX_TLS_{part}_FILE") for part in ("CERT", "KEY", "CA")]
        files = tuple(dict.fromkeys(path for path in named[:2] if path is not None))
        authorities = [path for path in named[2:] if path is not None]
    if env.problems:
        print_problems("error", env.problems)
        sys.exit(WRONG_SETTINGS)
    if not files:
        raise click.UsageError("No FILES, and PHOENIX_TLS_CERT_FILE is not set.")
    now = SystemClock().now_utc()
    password = "" if secret is None else secret.reveal()
    check = check_tls_files(files, password, now, authorities)
    if as_json:
        print_json(_document(check, now))
    else:
        _print_check(check, now)
    if not check.is_good:
        sys.exit(_REFUSED)


def _document(check: FileCheck, now: datetime) -> dict[str, Any]:
    return {
        "ok": check.is_good,
        "certificates": [_certificate_row(c, now) for c in check.certificates],
        "authorities": [_certificate_row(c, now) for c in check.authorities],
        "keys": [
            {
                "file": str(key.path),
                "key": key.facts.key,
                "encrypted": key.facts.was_encrypted,
                "belongs_to": None if key.belongs_to is None else str(key.belongs_to),
            }
            for key in check.keys
        ],
        "findings": [
            {"file": str(path), "state": _state(finding), "text": finding.text}
            for path, finding in check.findings
        ],
    }


def _certificate_row(checked: CheckedCertificate, now: datetime) -> dict[str, Any]:
    return {
        "file": str(checked.path),
        **_facts_row(checked.first, now),
        "chain": [_facts_row(above, now) for above in checked.chain[1:]],
    }


def _facts_row(facts: CertificateFacts, now: datetime) -> dict[str, Any]:
    return {
        "subject": facts.subject,
        "issuer": facts.issuer,
        "names": list(facts.names),
        "not_before_utc": facts.not_before_utc.isoformat(),
        "not_after_utc": facts.not_after_utc.isoformat(),
        "days_left": days_left(facts, now),
        "key": facts.key,
        "fingerprint": facts.fingerprint,
    }


def _state(finding: Finding) -> str:
    return "fail" if finding.is_error else "warn"


def _print_check(check: FileCheck, now: datetime) -> None:
    for certificate in check.certificates:
        click.echo(f"{certificate.path}: a certificate")
        _print_facts(certificate, now)
    for key in check.keys:
        kind = f"{key.facts.key}{', encrypted' if key.facts.was_encrypted else ''}"
        match = f", belongs to {key.belongs_to}" if key.belongs_to else ""
        click.echo(f"{key.path}: a private key, {kind}{match}")
    for authority in check.authorities:
        subjects = "; ".join(facts.subject for facts in authority.chain)
        click.echo(f"{authority.path}: authorities of client certificates: {subjects}")
    for path, finding in check.findings:
        click.echo(f"{_state(finding)}: {path}: {finding.text}")
    click.echo("good" if check.is_good else "NOT good")


def _print_facts(checked: CheckedCertificate, now: datetime) -> None:
    facts = checked.first
    issuer = "itself" if facts.is_self_issued else facts.issuer
    click.echo(f"  subject      {facts.subject}")
    click.echo(f"  issued by    {issuer}")
    click.echo(f"  names        {', '.join(facts.names) or 'none'}")
    click.echo(f"  good from    {facts.not_before_utc:{_TIME}}")
    click.echo(f"  good until   {facts.not_after_utc:{_TIME}} ({days_left(facts, now)} days)")
    click.echo(f"  key          {facts.key}")
    click.echo(f"  fingerprint  {facts.fingerprint}")
    for number, above in enumerate(checked.chain[1:], start=2):
        click.echo(f"  chain {number}      {above.subject}")
