"""The best practices of the specification, held against the settings alone. Pure and cheap.

The server logs what fails of these at its start; the page about security shows them.

Spec: lines 226-250.
"""

from collections.abc import Callable, Iterable
from typing import Final

from bennu.doctor.model import Finding, State
from bennu.kernel.env import Problem
from bennu.settings import Settings

_STRONG_SECRET: Final = "openssl rand -base64 32"  # noqa: S105 - how to make one
_LONG_SECRET_CHARACTERS: Final = 32
_FEWEST_DIFFERENT: Final = 12
#: Variables whose warnings are said here in another way.
_SAID_HERE: Final = frozenset(
    {
        "PHOENIX_HOST",
        "PHOENIX_USE_SECURE_COOKIES",
        "PHOENIX_DISABLE_RATE_LIMIT",
        "PHOENIX_DISABLE_BRUTE_FORCE_LOGIN_PROTECTION",
        "PHOENIX_LDAP_TLS_MODE",
        "PHOENIX_LDAP_TLS_VERIFY",
        "PHOENIX_SMTP_VALIDATE_CERTS",
        "PHOENIX_ALLOWED_ORIGINS",
        "PHOENIX_ENFORCE_PASSWORD_RESET",
        "PHOENIX_PROMETHEUS_HOST",
    }
)


def check_practices(settings: Settings) -> list[Finding]:
    """Return one finding per practice, in the order of the specification."""
    checks: tuple[Callable[[Settings], Iterable[Finding]], ...] = (
        _secrets,
        _authentication,
        _cookies,
        _encrypted_listeners,
        _origins,
        _limits,
        _directory,
        _mail,
        _database,
        _monitoring,
    )
    found = [finding for check in checks for finding in check(settings)]
    return [*found, *_remarks(settings.warnings)]


# --- strong secrets (226-229) --------------------------------------------------------------


def _secrets(settings: Settings) -> Iterable[Finding]:
    why = "Everything at rest is sealed under it."
    secret = settings.encryption.secret
    if secret is None:
        is_needed = settings.auth.enabled
        yield Finding(
            "secret",
            State.FAIL if is_needed else State.WARN,
            "not set; a key file beside the database takes its place",
            "PHOENIX_SECRET",
            why,
            f"set it to the output of: {_STRONG_SECRET}",
            9,
        )
        return
    text = secret.reveal()
    is_varied = len(set(text)) >= _FEWEST_DIFFERENT
    is_long = len(text) >= _LONG_SECRET_CHARACTERS
    is_good = is_varied and is_long
    yield Finding(
        "secret",
        State.OK if is_good else State.FAIL,
        f"{len(text)} characters, {len(set(text))} different ones",
        "PHOENIX_SECRET",
        why,
        "" if is_good else f"take the output of: {_STRONG_SECRET}",
        15,
    )
    admin = settings.auth.admin_secret
    if admin is not None:
        is_same = admin == secret
        yield Finding(
            "admin_secret",
            State.FAIL if is_same else State.OK,
            "the same as PHOENIX_SECRET" if is_same else "another than PHOENIX_SECRET",
            "PHOENIX_ADMIN_SECRET",
            "Whoever holds it may do everything.",
            "take another one" if is_same else "",
            229,
        )


# --- authentication (230-231) --------------------------------------------------------------


def _authentication(settings: Settings) -> Iterable[Finding]:
    auth, network = settings.auth, settings.network
    why = "Without it everybody who reaches the server may read and delete every trace."
    if auth.enabled:
        yield Finding("authentication", State.OK, "on", "PHOENIX_ENABLE_AUTH", why, "", 231)
    elif network.listens_beyond_loopback:
        yield Finding(
            "authentication",
            State.FAIL,
            f"off, and the server listens on {network.host}",
            "PHOENIX_ENABLE_AUTH",
            why,
            "PHOENIX_ENABLE_AUTH=true, or PHOENIX_HOST=127.0.0.1",
            231,
        )
    else:
        yield Finding(
            "authentication",
            State.WARN,
            "off; only this machine reaches the server",
            "PHOENIX_ENABLE_AUTH",
            why,
            "PHOENIX_ENABLE_AUTH=true",
            231,
        )
    if auth.enabled and not auth.enforce_password_reset:
        yield Finding(
            "forced_password_change",
            State.WARN,
            "first passwords work for everything",
            "PHOENIX_ENFORCE_PASSWORD_RESET",
            "A first password was seen by somebody else.",
            "remove the setting",
            13,
        )


# --- cookies (232-233) ---------------------------------------------------------------------


def _cookies(settings: Settings) -> Iterable[Finding]:
    auth, network = settings.auth, settings.network
    name, why = "PHOENIX_USE_SECURE_COOKIES", "Other cookies travel in plain text too."
    said_false = any(problem.name == name for problem in settings.warnings)
    if not auth.enabled:
        yield Finding("cookies", State.SKIP, "authentication is off", name, why, "", 233)
    elif network.root_url_is_https and said_false:
        yield Finding(
            "cookies", State.FAIL, "said to be false under https", name, why, f"{name}=true", 233
        )
    elif auth.secure_cookies:
        yield Finding("cookies", State.OK, "secure", name, why, "", 233)
    else:
        is_wide = network.listens_beyond_loopback
        yield Finding(
            "cookies",
            State.WARN,
            "not secure" + ("" if is_wide else "; only this machine reaches the server"),
            name,
            why,
            f"serve over https, then {name}=true",
            233,
        )


# --- TLS (234-236) -------------------------------------------------------------------------


def _encrypted_listeners(settings: Settings) -> Iterable[Finding]:
    tls, network = settings.tls, settings.network
    why = "Keys, passwords and traces travel through it."
    rows = (
        ("tls_http", tls.http, "PHOENIX_TLS_ENABLED_FOR_HTTP", 235),
        ("tls_grpc", tls.grpc, "PHOENIX_TLS_ENABLED_FOR_GRPC", 236),
    )
    for check, is_on, variable, line in rows:
        behind_proxy = check == "tls_http" and network.root_url_is_https
        if is_on:
            yield Finding(check, State.OK, "on", variable, why, "", line)
        elif behind_proxy:
            yield Finding(
                check, State.OK, "ended in front of the server, as PHOENIX_ROOT_URL says", variable,
                why, "", line,
            )  # fmt: skip
        elif network.listens_beyond_loopback:
            yield Finding(
                check, State.WARN, f"off, and the server listens on {network.host}", variable, why,
                f"{variable}=true with PHOENIX_TLS_CERT_FILE and PHOENIX_TLS_KEY_FILE", line,
            )  # fmt: skip
        else:
            yield Finding(
                check, State.SKIP, "off; only this machine reaches the server", variable, why, "",
                line,
            )  # fmt: skip


# --- origins (237-238) ---------------------------------------------------------------------


def _origins(settings: Settings) -> Iterable[Finding]:
    network = settings.network
    why = "A page of an allowed origin acts as whoever is signed in."
    name = "PHOENIX_ALLOWED_ORIGINS"
    if "*" in network.allowed_origins:
        yield Finding(
            "origins", State.FAIL, "any origin", name, why, "name the origins one by one", 238
        )
    else:
        count = len(network.allowed_origins)
        seen = f"{count} named" if count else "none but the server's own"
        yield Finding("origins", State.OK, seen, name, why, "", 238)
    plain = [o for o in network.allowed_origins if o.startswith("http://")]
    if plain and network.root_url_is_https:
        yield Finding(
            "plain_origins",
            State.WARN,
            f"{plain[0]} is not https",
            name,
            "Whoever is on the way can change that page.",
            "use https there too",
            238,
        )


# --- limits (212-218) ----------------------------------------------------------------------


def _limits(settings: Settings) -> Iterable[Finding]:
    rows = (
        ("rate_limit", settings.network.rate_limit_enabled, "PHOENIX_DISABLE_RATE_LIMIT", 218),
        (
            "guessing",
            settings.auth.brute_force_protection,
            "PHOENIX_DISABLE_BRUTE_FORCE_LOGIN_PROTECTION",
            213,
        ),
    )
    for check, is_on, variable, line in rows:
        yield Finding(
            check,
            State.OK if is_on else State.FAIL,
            "on" if is_on else "switched off",
            variable,
            "Passwords can be guessed without a limit otherwise.",
            "" if is_on else f"remove {variable}",
            line,
        )


# --- what is asked elsewhere -----------------------------------------------------------------


def _directory(settings: Settings) -> Iterable[Finding]:
    ldap = settings.ldap
    if ldap is None:
        return
    why = "Passwords of the company travel through it."
    is_plain = ldap.tls_mode == "none"
    yield Finding(
        "ldap_tls",
        State.FAIL if is_plain else State.OK,
        "no encryption" if is_plain else ldap.tls_mode,
        "PHOENIX_LDAP_TLS_MODE",
        why,
        "PHOENIX_LDAP_TLS_MODE=starttls" if is_plain else "",
        50,
    )
    if not is_plain:
        yield _verification("ldap_certificate", ldap.tls_verify, "PHOENIX_LDAP_TLS_VERIFY", 31)


def _mail(settings: Settings) -> Iterable[Finding]:
    mail = settings.mail
    if mail.hostname:
        yield _verification("mail_certificate", mail.validate_certs, "PHOENIX_SMTP_VALIDATE_CERTS")


def _verification(check: str, is_on: bool, variable: str, line: int | None = None) -> Finding:  # noqa: FBT001 - what was found
    return Finding(
        check,
        State.OK if is_on else State.FAIL,
        "verified" if is_on else "not verified",
        variable,
        "Whoever is in between can read along and pretend to be the other side.",
        "" if is_on else f"{variable}=true, with the own authority where there is one",
        line,
    )


def _database(settings: Settings) -> Iterable[Finding]:
    postgres = settings.storage.postgres
    if postgres is None:
        return
    is_verified = postgres.sslmode in {"verify-ca", "verify-full"}
    is_local = postgres.host in {"localhost", "127.0.0.1", "::1"} or postgres.host.startswith("/")
    is_good = is_verified or is_local
    yield Finding(
        "database_tls",
        State.OK if is_good else State.WARN,
        f"sslmode {postgres.sslmode}" + (" on this machine" if is_local else ""),
        "PHOENIX_SQL_DATABASE_URL",
        "Traces and sealed secrets travel through it.",
        "" if is_good else "sslmode=verify-full with sslrootcert",
        242,
    )


def _monitoring(settings: Settings) -> Iterable[Finding]:
    monitoring = settings.monitoring
    if not monitoring.enabled:
        yield Finding(
            "monitoring", State.SKIP, "metrics are off", "PHOENIX_ENABLE_PROMETHEUS",
            "Nobody is told of a failing disk or of guessing.", "", 272,
        )  # fmt: skip
        return
    is_open = not monitoring.is_local and monitoring.token is None
    yield Finding(
        "monitoring",
        State.WARN if is_open else State.OK,
        f"metrics on {monitoring.host}" + (" without a token" if is_open else ""),
        "PHOENIX_PROMETHEUS_TOKEN",
        "Metrics tell strangers how the server is used.",
        "set PHOENIX_PROMETHEUS_TOKEN" if is_open else "",
        272,
    )


def _remarks(warnings: Iterable[Problem]) -> Iterable[Finding]:
    """Pass on what was remarkable about the settings and is said nowhere above."""
    for problem in warnings:
        if problem.name not in _SAID_HERE:
            yield Finding("settings", State.WARN, problem.allowed, problem.name)
