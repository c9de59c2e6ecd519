"""TLS to PostgreSQL: what the words of libpq mean, as options of asyncpg.

Source: libpq documentation, section "SSL Support", table "SSL Mode Descriptions".
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from bennu.kernel.errors import InvalidError
from bennu.storage.settings import PostgresSettings

#: The certificate authorities of the operating system, as libpq 16 and later call them.
_SYSTEM_ROOTS: Final = Path("system")


class PostgresTlsError(InvalidError):
    """The TLS settings of PostgreSQL cannot be used; the text names the one that is wrong."""

    code = "postgres_tls"


def tls_options(settings: PostgresSettings) -> Mapping[str, object]:
    """Return what asyncpg needs for this ``sslmode``; files are read at every call.

    ``disable`` never encrypts; ``allow`` and ``prefer`` encrypt where the server does, without
    knowing it; ``require`` encrypts, and checks the authority when a root certificate is given,
    as libpq does; ``verify-ca`` checks the authority, ``verify-full`` the host name as well.

    Raises:
        PostgresTlsError: a file is missing or cannot be read, or verify-ca has no authority.
    """
    if settings.sslmode == "disable":
        return {"ssl": False}
    context = _context_for(settings)
    if settings.sslmode in {"allow", "prefer"}:
        return {"dsn": _fallback_address(settings)}
    return {"ssl": context}


def _fallback_address(settings: PostgresSettings) -> str:
    """Return an address without a host: only so does asyncpg try both with and without TLS."""
    query = {"sslmode": settings.sslmode}
    if settings.sslcert is not None:
        query["sslcert"] = str(settings.sslcert)
    if settings.sslkey is not None:
        query["sslkey"] = str(settings.sslkey)
    if settings.sslpassword is not None:
        query["sslpassword"] = settings.sslpassword.reveal()
    return f"postgresql:///?{urlencode(query)}"


def _context_for(settings: PostgresSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = settings.sslmode == "verify-full"
    if _is_verified(settings):
        _load_authorities(context, settings)
    else:
        # Why safe: not against an active attacker; it is what these modes mean, and the doctor
        # reports them.
        context.verify_mode = ssl.CERT_NONE
    if settings.sslcert is not None:
        _load_client_certificate(context, settings)
    return context


def _is_verified(settings: PostgresSettings) -> bool:
    mode = settings.sslmode
    return mode.startswith("verify-") or (mode == "require" and settings.sslrootcert is not None)


def _load_authorities(context: ssl.SSLContext, settings: PostgresSettings) -> None:
    root = settings.sslrootcert
    if root is None and settings.sslmode == "verify-ca":
        raise PostgresTlsError("sslmode=verify-ca needs sslrootcert, the certificate to trust")
    try:
        if root is None or root == _SYSTEM_ROOTS:
            # Any public authority may vouch for the server, so its name must be checked.
            context.check_hostname = True
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            context.load_verify_locations(cafile=root)
    except (OSError, ssl.SSLError) as error:
        raise PostgresTlsError(f"sslrootcert: cannot read {root}: {error}") from None
    if settings.sslcrl is None:
        return
    try:
        context.load_verify_locations(cafile=settings.sslcrl)
    except (OSError, ssl.SSLError) as error:
        raise PostgresTlsError(f"sslcrl: cannot read {settings.sslcrl}: {error}") from None
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN


def _load_client_certificate(context: ssl.SSLContext, settings: PostgresSettings) -> None:
    # An empty password instead of none: OpenSSL would ask for one on the terminal.
    password = "" if settings.sslpassword is None else settings.sslpassword.reveal()
    try:
        context.load_cert_chain(
            str(settings.sslcert),
            None if settings.sslkey is None else str(settings.sslkey),
            password=lambda: password,
        )
    except (OSError, ssl.SSLError) as error:
        raise PostgresTlsError(
            f"sslcert, sslkey, sslpassword: cannot use {settings.sslcert} with "
            f"{settings.sslkey or settings.sslcert}: {error}"
        ) from None
