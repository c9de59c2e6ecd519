"""The directory: servers, TLS, service account, searches, attributes, roles.

Spec: lines 24-90. Contract: section 1c. Source: RFC 4514 (names), RFC 4515 (filters).
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from bennu.auth.ldap.name_lists import read_names, read_role_mappings
from bennu.auth.ldap.names import (
    is_attribute_name,
    is_balanced_filter,
    is_distinguished_name,
    is_user_principal_name,
    split_server,
)
from bennu.kernel.env import Env
from bennu.kernel.secret import Secret

TLS_MODES: Final = ("starttls", "ldaps", "none")
ROLES: Final = ("ADMIN", "MEMBER", "VIEWER")
PLAIN_PORT: Final = 389
TLS_PORT: Final = 636
_MAX_PORT: Final = 65_535
_MOST_MINUTES: Final = 525_600
_USER_FILTER: Final = "(&(objectClass=user)(sAMAccountName=%s))"


@dataclass(frozen=True, slots=True)
class LdapServer:
    """One server; ``port`` is 1 to 65535."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class GroupRole:
    """One mapping: the members of a group get a role; ``*`` stands for everybody."""

    group_dn: str
    role: str


@dataclass(frozen=True, slots=True)
class LdapSettings:
    """The directory.

    Args:
        servers: tried in this order, at least one.
        tls_mode: ``starttls``, ``ldaps`` or ``none``.
        tls_verify: whether the certificate of the server is checked.
        tls_client_key_password: for an encrypted key.
        bind_dn: of the service account; "" searches anonymously.
        bind_password: given with ``bind_dn``.
        user_search_base_dns: searched in this order, at least one.
        user_search_filter: ``%s`` stands for the login name.
        attr_email: None when people have no email there.
        attr_member_of: "" when groups are not read from the entry.
        attr_unique_id: "" when people are recognised by email.
        group_search_filter: "" reads groups from ``attr_member_of``; ``%s`` stands for the login
            name or the value of ``group_search_filter_user_attr``, ``%d`` for the user's DN.
        group_role_mappings: the first that matches counts; empty gives ``default_role``.
        default_role: of everybody when there are no mappings.
        sync_interval: how often accounts are compared with the directory; zero is never.
    """

    servers: tuple[LdapServer, ...]
    tls_mode: str = "starttls"
    tls_verify: bool = True
    tls_ca_cert_file: Path | None = None
    tls_client_cert_file: Path | None = None
    tls_client_key_file: Path | None = None
    tls_client_key_password: Secret | None = None
    bind_dn: str = ""
    bind_password: Secret | None = None
    user_search_base_dns: tuple[str, ...] = ()
    user_search_filter: str = _USER_FILTER
    attr_email: str | None = "mail"
    attr_display_name: str = "displayName"
    attr_member_of: str = "memberOf"
    attr_unique_id: str = ""
    group_search_base_dns: tuple[str, ...] = ()
    group_search_filter: str = ""
    group_search_filter_user_attr: str = ""
    group_role_mappings: tuple[GroupRole, ...] = ()
    default_role: str = "VIEWER"
    allow_sign_up: bool = True
    sync_interval: timedelta = timedelta(minutes=60)

    @classmethod
    def from_env(cls, env: Env) -> Self | None:
        """Read the directory; None when no server is named.

        Everything is checked in either case: a mistake should not wait for the day on which the
        server is added.
        """
        mode = env.choice("PHOENIX_LDAP_TLS_MODE", "starttls", TLS_MODES)
        settings = cls(
            servers=_read_servers(env, mode),
            tls_mode=mode,
            tls_verify=env.flag("PHOENIX_LDAP_TLS_VERIFY", default=True),
            tls_ca_cert_file=env.file("PHOENIX_LDAP_TLS_CA_CERT_FILE"),
            tls_client_cert_file=env.file("PHOENIX_LDAP_TLS_CLIENT_CERT_FILE"),
            tls_client_key_file=env.file("PHOENIX_LDAP_TLS_CLIENT_KEY_FILE"),
            tls_client_key_password=env.secret("PHOENIX_LDAP_TLS_CLIENT_KEY_FILE_PASSWORD"),
            bind_dn=env.text("PHOENIX_LDAP_BIND_DN"),
            bind_password=env.secret("PHOENIX_LDAP_BIND_PASSWORD"),
            user_search_base_dns=read_names(env, "PHOENIX_LDAP_USER_SEARCH_BASE_DNS"),
            user_search_filter=_read_filter(
                env, "PHOENIX_LDAP_USER_SEARCH_FILTER", _USER_FILTER, ("%s",)
            ),
            attr_email=_read_email_attribute(env),
            attr_display_name=_read_attribute(env, "DISPLAY_NAME", "displayName"),
            attr_member_of=_read_attribute(env, "MEMBER_OF", "memberOf"),
            attr_unique_id=_read_attribute(env, "UNIQUE_ID", ""),
            group_search_base_dns=read_names(env, "PHOENIX_LDAP_GROUP_SEARCH_BASE_DNS"),
            group_search_filter=_read_filter(
                env, "PHOENIX_LDAP_GROUP_SEARCH_FILTER", "", ("%s", "%d")
            ),
            group_search_filter_user_attr=_read_user_attribute(env),
            group_role_mappings=tuple(
                GroupRole(group_dn, role) for group_dn, role in read_role_mappings(env, ROLES)
            ),
            default_role=env.choice("PHOENIX_LDAP_DEFAULT_ROLE", "VIEWER", ROLES),
            allow_sign_up=env.flag("PHOENIX_LDAP_ALLOW_SIGN_UP", default=True),
            sync_interval=timedelta(
                minutes=env.whole("PHOENIX_LDAP_SYNC_INTERVAL_MINUTES", 60, 0, _MOST_MINUTES)
            ),
        )
        _check_pairs(settings, env)
        if not env.is_set("PHOENIX_LDAP_HOST"):
            _warn_without_host(env)
            return None
        _check_what_belongs_together(settings, env)
        return settings


def _read_servers(env: Env, mode: str) -> tuple[LdapServer, ...]:
    name = "PHOENIX_LDAP_HOST"
    default = TLS_PORT if mode == "ldaps" else PLAIN_PORT
    port = env.whole("PHOENIX_LDAP_PORT", default, 1, _MAX_PORT)
    hosts = env.items(name)
    found = [split_server(host) for host in hosts]
    if (env.raw(name) and not hosts) or None in found:
        env.refuse(name, "host names split by commas, each perhaps with :port, without ldap://")
        return ()
    return tuple(LdapServer(item[0], item[1] or port) for item in found if item is not None)


def _read_filter(env: Env, name: str, default: str, marks: tuple[str, ...]) -> str:
    text = env.text(name, default)
    if not text:
        return text
    if not any(mark in text for mark in marks):
        env.refuse(name, f"a filter with {' or '.join(marks)} where the login name belongs")
        return default
    if not is_balanced_filter(text):
        env.refuse(name, "a filter in parentheses that are all closed, such as (uid=%s)")
        return default
    return text


def _read_attribute(env: Env, suffix: str, default: str) -> str:
    name = f"PHOENIX_LDAP_ATTR_{suffix}"
    raw = env.raw(name)
    text = default if raw is None else raw
    if not text or is_attribute_name(text):
        return text
    env.refuse(name, "the name of one attribute, without blanks")
    return default


def _read_email_attribute(env: Env) -> str | None:
    text = _read_attribute(env, "EMAIL", "mail")
    return None if not text or text.lower() == "null" else text


def _read_user_attribute(env: Env) -> str:
    name = "PHOENIX_LDAP_GROUP_SEARCH_FILTER_USER_ATTR"
    text = env.text(name)
    if not text or is_attribute_name(text):
        return text
    env.refuse(name, "the name of one attribute, without blanks")
    return ""


def _check_pairs(settings: LdapSettings, env: Env) -> None:
    """Two settings that only make sense together, and the service account."""
    pairs = (
        ("PHOENIX_LDAP_BIND_DN", "PHOENIX_LDAP_BIND_PASSWORD"),
        ("PHOENIX_LDAP_TLS_CLIENT_CERT_FILE", "PHOENIX_LDAP_TLS_CLIENT_KEY_FILE"),
    )
    for one, other in pairs:
        if env.is_set(one) and not env.is_set(other):
            env.refuse(other, f"set, because {one} is set")
        if env.is_set(other) and not env.is_set(one):
            env.refuse(one, f"set, because {other} is set")
    bind_dn = settings.bind_dn
    if bind_dn and not (is_distinguished_name(bind_dn) or is_user_principal_name(bind_dn)):
        env.refuse("PHOENIX_LDAP_BIND_DN", "a distinguished name such as CN=svc,DC=company,DC=com")
    if settings.group_search_filter_user_attr and not env.is_set(
        "PHOENIX_LDAP_GROUP_SEARCH_FILTER"
    ):
        env.refuse(
            "PHOENIX_LDAP_GROUP_SEARCH_FILTER_USER_ATTR",
            "set together with PHOENIX_LDAP_GROUP_SEARCH_FILTER only",
        )


def _check_what_belongs_together(settings: LdapSettings, env: Env) -> None:
    if not env.is_set("PHOENIX_LDAP_USER_SEARCH_BASE_DNS"):
        env.refuse("PHOENIX_LDAP_USER_SEARCH_BASE_DNS", "set, because PHOENIX_LDAP_HOST is set")
    if settings.group_search_filter and not env.is_set("PHOENIX_LDAP_GROUP_SEARCH_BASE_DNS"):
        env.refuse(
            "PHOENIX_LDAP_GROUP_SEARCH_BASE_DNS",
            "set, because PHOENIX_LDAP_GROUP_SEARCH_FILTER is set",
        )
    if settings.attr_email is None:
        if not settings.attr_unique_id:
            env.refuse(
                "PHOENIX_LDAP_ATTR_UNIQUE_ID", "set, because PHOENIX_LDAP_ATTR_EMAIL is null"
            )
        if not settings.allow_sign_up:
            env.refuse(
                "PHOENIX_LDAP_ALLOW_SIGN_UP", "true, because PHOENIX_LDAP_ATTR_EMAIL is null"
            )
    if settings.tls_mode == "none":
        env.warn("PHOENIX_LDAP_TLS_MODE", "passwords travel in plain text; for tests only")
    elif not settings.tls_verify:
        env.warn("PHOENIX_LDAP_TLS_VERIFY", "passwords may go to anybody in between")


def _warn_without_host(env: Env) -> None:
    if env.names("PHOENIX_LDAP_"):
        env.warn("PHOENIX_LDAP_HOST", "without it no PHOENIX_LDAP_ setting has an effect")
