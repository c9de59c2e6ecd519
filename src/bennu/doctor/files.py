"""Files and disks: certificates and keys, who can read what, how much room is left. Blocks.

Spec: lines 227-228, 234-236, 286-292.
"""

import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Final

from bennu.doctor.model import Finding, State
from bennu.encryption.file_modes import file_mode_warning, files_open_to_others, sqlite_files
from bennu.kernel.clock import Clock
from bennu.secrets_in_use import key_file_of
from bennu.settings import Settings
from bennu.tls.check import FileCheck, check_tls_files

_SOON: Final = timedelta(days=30)
_ROOM_WANTED_BYTES: Final = 1 << 30
_ROOM_NEEDED_BYTES: Final = 100 * (1 << 20)


def check_files(settings: Settings, env_file: Path | None, clock: Clock) -> Iterable[Finding]:
    """Look at every file that the settings name."""
    yield from _tls_files(settings, clock)
    yield from _modes(settings, env_file)
    yield from _room(settings)


def _tls_files(settings: Settings, clock: Clock) -> Iterable[Finding]:
    tls = settings.tls
    if tls.cert_file is None or tls.key_file is None:
        return
    password = tls.key_file_password.reveal() if tls.key_file_password else ""
    authorities = [tls.ca_file] if tls.ca_file else []
    now = clock.now_utc()
    check = check_tls_files([tls.cert_file, tls.key_file], password, now, authorities)
    variables = {tls.cert_file: "PHOENIX_TLS_CERT_FILE", tls.key_file: "PHOENIX_TLS_KEY_FILE"}
    for path, finding in check.findings:
        yield Finding(
            "tls_files",
            State.FAIL if finding.is_error else State.WARN,
            f"{path}: {finding.text}",
            variables.get(path, "PHOENIX_TLS_CA_FILE"),
            "Clients refuse a server that they cannot verify.",
            "run `bennu tls check` on the files",
            289,
        )
    yield from _key_belongs(check, tls.cert_file)
    yield from _days_left(check, now + _SOON, now)


def _key_belongs(check: FileCheck, cert_file: Path) -> Iterable[Finding]:
    for key in check.keys:
        is_matching = key.belongs_to == cert_file
        yield Finding(
            "tls_key",
            State.OK if is_matching else State.FAIL,
            "belongs to the certificate" if is_matching else "belongs to another certificate",
            "PHOENIX_TLS_KEY_FILE",
            "Nobody can connect otherwise.",
            "" if is_matching else "take the key that the certificate was made with",
            291,
        )


def _days_left(check: FileCheck, soon: object, now: object) -> Iterable[Finding]:
    for checked in check.certificates:
        ends = checked.first.not_after_utc
        days = (ends - now) // timedelta(days=1)  # type: ignore[operator]
        is_soon = ends < soon  # type: ignore[operator]
        yield Finding(
            "tls_days_left",
            State.WARN if is_soon else State.OK,
            f"{days} days",
            "PHOENIX_TLS_CERT_FILE",
            "An expired certificate stops every client at once.",
            "renew it; the server takes changed files up by itself" if is_soon else "",
            289,
        )


def _modes(settings: Settings, env_file: Path | None) -> Iterable[Finding]:
    storage, postgres = settings.storage, settings.storage.postgres
    rows = [
        ("--env-file", env_file),
        ("PHOENIX_SECRET", key_file_of(settings)),
        ("PHOENIX_TLS_KEY_FILE", settings.tls.key_file),
        ("PHOENIX_SQL_DATABASE_URL", None if postgres is None else postgres.sslkey),
    ]
    databases = () if storage.sqlite_path is None else sqlite_files(storage.sqlite_path)
    rows += [("PHOENIX_WORKING_DIR", path) for path in databases]
    exposed = [(variable, path) for variable, path in rows if path and files_open_to_others([path])]
    for variable, path in exposed:
        yield Finding(
            "file_modes",
            State.FAIL,
            file_mode_warning(path),
            variable,
            "Other users of this machine can read what is in it.",
            f"chmod 600 {path}",
            18,
        )
    if not exposed:
        yield Finding("file_modes", State.OK, "readable by their owner only", "", "", "", 18)


def _room(settings: Settings) -> Iterable[Finding]:
    path = settings.storage.sqlite_path
    if path is None:
        return
    folder = next((p for p in (path.parent, *path.parents) if p.exists()), Path("/"))
    free = shutil.disk_usage(folder).free
    state = State.OK
    if free < _ROOM_WANTED_BYTES:
        state = State.FAIL if free < _ROOM_NEEDED_BYTES else State.WARN
    yield Finding(
        "disk",
        state,
        f"{free // (1 << 20):,} MiB free at {folder}",
        "PHOENIX_WORKING_DIR",
        "A full disk refuses every trace.",
        "" if state is State.OK else "make room, or let retention delete earlier",
        264,
    )
