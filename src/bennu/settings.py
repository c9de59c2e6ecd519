"""Every setting in one frozen value, read once at the start.

Each feature reads its own; here are the checks that concern several, and the list of all names.

Spec: lines 8-13, 17, 228-238. Contract: section 1.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Self

import bennu.audit.settings
import bennu.auth.ldap.variables
import bennu.auth.oauth2.variables
import bennu.auth.settings
import bennu.encryption.settings
import bennu.httpio.security_txt
import bennu.inactive_settings
import bennu.kernel.logs
import bennu.mail
import bennu.monitoring.settings
import bennu.network.settings
import bennu.privacy.settings
import bennu.storage.settings
import bennu.tls.settings
import bennu.traces.settings
from bennu.audit.settings import AuditSettings
from bennu.auth.ldap.settings import LdapSettings
from bennu.auth.oauth2.settings import ProviderSettings, read_providers
from bennu.auth.oauth2.variables import (
    PREFIX,
    SECRET_SUFFIX,
    SUFFIXES,
    provider_names,
    split_provider_variable,
)
from bennu.auth.settings import AuthSettings
from bennu.encryption.settings import EncryptionSettings
from bennu.httpio.security_txt import SecurityContactSettings
from bennu.inactive_settings import check_inactive_settings
from bennu.kernel.env import Env, Problem, SettingsError, Variable
from bennu.kernel.logs import LogSettings
from bennu.mail import MailSettings
from bennu.monitoring.settings import MonitoringSettings
from bennu.network.destinations import Destinations, host_of
from bennu.network.settings import NetworkSettings
from bennu.privacy.settings import PrivacySettings
from bennu.storage.settings import StorageSettings
from bennu.tls.settings import TlsSettings
from bennu.traces.settings import TracesSettings

#: The headings of the configuration page and what stands under each.
SECTIONS: Final[tuple[tuple[str, tuple[Variable, ...]], ...]] = (
    ("Authentication", bennu.auth.settings.VARIABLES),
    ("Encryption", bennu.encryption.settings.VARIABLES),
    ("LDAP and Active Directory", bennu.auth.ldap.variables.VARIABLES),
    ("OAuth2 and OpenID Connect", bennu.auth.oauth2.variables.VARIABLES),
    ("TLS", bennu.tls.settings.VARIABLES),
    ("Network", bennu.network.settings.VARIABLES),
    ("Database", bennu.storage.settings.VARIABLES),
    ("Ingest", bennu.traces.settings.VARIABLES),
    ("Retention", bennu.privacy.settings.VARIABLES),
    ("Audit", bennu.audit.settings.VARIABLES),
    ("Mail", bennu.mail.VARIABLES),
    ("Logs", bennu.kernel.logs.VARIABLES),
    ("Monitoring", bennu.monitoring.settings.VARIABLES),
    ("Reports of vulnerabilities", bennu.httpio.security_txt.VARIABLES),
    ("Accepted without effect", bennu.inactive_settings.VARIABLES),
)
VARIABLES: Final = tuple(variable for _, variables in SECTIONS for variable in variables)

_PREFIX: Final = "PHOENIX_"
_STATIC_NAMES: Final = frozenset(
    name
    for v in VARIABLES
    if "{" not in v.name
    for name in ((v.name, f"{v.name}_FILE") if v.secret else (v.name,))
)
_SECRET_NAMES: Final = frozenset(v.name for v in VARIABLES if v.secret)
#: What Kubernetes sets for services called phoenix or phoenix-…; nobody wrote it.
_INJECTED_BY_KUBERNETES: Final = re.compile(
    r"PHOENIX_([A-Z0-9_]+_)?(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_[0-9]+_(TCP|UDP)(_[A-Z]+)?)"
)
_KUBERNETES_ADDRESS: Final = re.compile(r"(tcp|udp)://[0-9a-f.:\[\]]+")
_LOOPBACK: Final = "127.0.0.1"
_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - only with authentication on


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, read and checked.

    Args:
        ldap: None when no directory is configured.
        oauth2: one per identity provider.
        warnings: what works and deserves a word at every start.
    """

    auth: AuthSettings
    encryption: EncryptionSettings
    storage: StorageSettings
    network: NetworkSettings
    tls: TlsSettings
    traces: TracesSettings
    privacy: PrivacySettings
    audit: AuditSettings
    mail: MailSettings
    logs: LogSettings
    monitoring: MonitoringSettings
    security_contact: SecurityContactSettings
    ldap: LdapSettings | None = None
    oauth2: tuple[ProviderSettings, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read and check everything.

        Raises:
            SettingsError: with every problem, not only the first.
        """
        env.hide(_SECRET_NAMES | {f"{PREFIX}{p}_{SECRET_SUFFIX}" for p in _providers(env)})
        auth = AuthSettings.from_env(env)
        network = NetworkSettings.from_env(
            env, default_host=_EVERYWHERE if auth.enabled else _LOOPBACK
        )
        tls = TlsSettings.from_env(env)
        is_https = network.root_url_is_https or tls.http
        settings = cls(
            auth=replace(auth, secure_cookies=auth.secure_cookies or is_https),
            encryption=EncryptionSettings.from_env(env),
            storage=StorageSettings.from_env(env),
            network=network,
            tls=tls,
            traces=TracesSettings.from_env(env),
            privacy=PrivacySettings.from_env(env),
            audit=AuditSettings.from_env(env),
            mail=MailSettings.from_env(env),
            logs=LogSettings.from_env(env),
            monitoring=MonitoringSettings.from_env(env),
            security_contact=SecurityContactSettings.from_env(env),
            ldap=LdapSettings.from_env(env),
            oauth2=read_providers(env),
        )
        _check_secrets(settings, env)
        _check_ways_in(settings, env)
        _check_cookies(settings, env)
        _check_ports(settings, env)
        _warn_of_links(settings, env)
        _warn_of_open_doors(settings, env)
        check_inactive_settings(env)
        _warn_of_unknown_names(env)
        _warn_of_unexpanded_values(env)
        if env.problems:
            raise SettingsError(tuple(env.problems), tuple(env.warnings))
        return replace(settings, warnings=tuple(env.warnings))


def public_url_of(settings: Settings) -> str:
    """Return where people reach the server: the root URL, else what it listens on.

    Why safe in mails: it comes from settings only; no header of a request can steer it.
    """
    network = settings.network
    if network.root_url is not None:
        return network.root_url
    host = "localhost" if network.host in {_EVERYWHERE, "::"} else network.host
    shown = f"[{host}]" if ":" in host else host
    scheme = "https" if settings.tls.http else "http"
    return f"{scheme}://{shown}:{network.port}{network.root_path}"


def destinations_of(settings: Settings) -> Destinations:
    """Return the hosts that the server itself may call: what the environment names, and more."""
    ldap = settings.ldap
    directory = () if ldap is None else (server.host for server in ldap.servers)
    providers = (host_of(provider.oidc_config_url) for provider in settings.oauth2)
    named = (settings.mail.hostname, *directory, *providers)
    return Destinations.from_settings(settings.network, named)


def is_known_setting(name: str) -> bool:
    """Whether a name, such as one that the spec prints, is a setting."""
    if name in _STATIC_NAMES or any(name == v.name for v in VARIABLES):
        return True
    return split_provider_variable(name) is not None


def _providers(env: Env) -> tuple[str, ...]:
    return provider_names(env.known_names(PREFIX))


def _check_secrets(settings: Settings, env: Env) -> None:
    secret, admin = "PHOENIX_SECRET", "PHOENIX_ADMIN_SECRET"
    if settings.auth.enabled and not env.is_set(secret) and env.raw(secret) is None:
        env.refuse(
            secret, "set, because PHOENIX_ENABLE_AUTH is true; `bennu init` makes one", secret=True
        )
    if settings.auth.admin_secret is None:
        return
    if not env.is_set(secret):
        env.refuse(admin, f"set together with {secret} only", secret=True)
    elif settings.auth.admin_secret == settings.encryption.secret:
        env.refuse(admin, f"not the same as {secret}", secret=True)


def _check_ways_in(settings: Settings, env: Env) -> None:
    has_other_way = bool(settings.oauth2) or env.is_set("PHOENIX_LDAP_HOST")
    if settings.auth.enabled and settings.auth.basic_auth_disabled and not has_other_way:
        env.refuse(
            "PHOENIX_DISABLE_BASIC_AUTH",
            "false, because neither LDAP nor an identity provider is configured",
        )
    ldap = settings.ldap
    if ldap is not None and ldap.attr_email is None and settings.auth.admins:
        env.refuse("PHOENIX_ADMINS", "not set, because PHOENIX_LDAP_ATTR_EMAIL is null")


def _check_cookies(settings: Settings, env: Env) -> None:
    auth = settings.auth
    if env.text("PHOENIX_USE_SECURE_COOKIES") == "false" and auth.secure_cookies:
        reason = "PHOENIX_ROOT_URL is https" if not settings.tls.http else "HTTP speaks TLS"
        env.warn("PHOENIX_USE_SECURE_COOKIES", f"taken as true, because {reason}")
    if auth.cookie_prefix != "host":
        return
    if not auth.secure_cookies:
        env.refuse(
            "PHOENIX_COOKIE_PREFIX",
            "host together with PHOENIX_USE_SECURE_COOKIES=true only (browsers refuse it else)",
        )
    if auth.cookies_path != "/":
        env.refuse("PHOENIX_COOKIES_PATH", "/, because PHOENIX_COOKIE_PREFIX is host")


def _check_ports(settings: Settings, env: Env) -> None:
    taken = (settings.network.port, settings.network.grpc_port)
    if settings.monitoring.enabled and settings.monitoring.port in taken:
        env.refuse("PHOENIX_PROMETHEUS_PORT", "another port than those of HTTP and gRPC")


def _warn_of_links(settings: Settings, env: Env) -> None:
    if settings.mail.hostname and settings.network.root_url is None:
        url = public_url_of(settings)
        env.warn("PHOENIX_ROOT_URL", f"links in mails lead to {url}; set it if people use another")


def _warn_of_open_doors(settings: Settings, env: Env) -> None:
    network = settings.network
    if not network.listens_beyond_loopback:
        return
    if not settings.auth.enabled:
        env.warn(
            "PHOENIX_HOST",
            "everybody who reaches this address may do everything: authentication is off",
        )
    if network.root_url is None and not network.allowed_hosts:
        env.warn(
            "PHOENIX_ALLOWED_HOSTS",
            "any Host header is answered; set PHOENIX_ROOT_URL or the host names",
        )


def _warn_of_unknown_names(env: Env) -> None:
    for name in env.names(_PREFIX):
        if is_known_setting(name) or _is_injected_by_kubernetes(name, env):
            continue
        # The prefix is left out of the comparison: it would make every name resemble every other.
        known = [candidate.removeprefix(_PREFIX) for candidate in _candidates(name, env)]
        nearest = difflib.get_close_matches(name.removeprefix(_PREFIX), known, n=1)
        hint = f"; did you mean {_PREFIX}{nearest[0]}?" if nearest else ""
        # What was read is not shown: it may be a secret under a misspelt name.
        env.warn(name, f"not a setting of Bennu{hint}", secret=True)


def _warn_of_unexpanded_values(env: Env) -> None:
    """Remark what docker's ``--env-file`` hands over as it stands in the file."""
    for name in env.names(_PREFIX):
        text = env.text(name)
        if env.source_of(name) == "environment" and re.search(r"\$\(|\$\{[ \w]+\}", text):
            env.warn(name, "taken as it is: nothing replaces ${…} or $(…) here", secret=True)


def _is_injected_by_kubernetes(name: str, env: Env) -> bool:
    return bool(
        _INJECTED_BY_KUBERNETES.fullmatch(name)
        or (name.endswith("_PORT") and _KUBERNETES_ADDRESS.fullmatch(env.text(name)))
    )


def _candidates(name: str, env: Env) -> Iterable[str]:
    """Return the names that may have been meant; providers are taken from the file itself."""
    if not name.startswith(PREFIX):
        return sorted(_STATIC_NAMES)
    parts = name.removeprefix(PREFIX).split("_")
    guesses = {"_".join(parts[:count]) for count in range(1, len(parts))}
    providers = sorted({*_providers(env), *guesses})
    return [f"{PREFIX}{p}_{suffix}" for p in providers for suffix in SUFFIXES] + sorted(
        _STATIC_NAMES
    )
