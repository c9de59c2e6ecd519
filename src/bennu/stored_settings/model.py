"""What may be stored, the rules for it, and what of it may be shown.

Spec: lines 91-133 (providers), 164-170 (kept sealed).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bennu.kernel.env import Problem
from bennu.kernel.errors import FieldProblem
from bennu.kernel.secret import Secret

SMTP_NAME: Final = "smtp"
PROVIDER_PREFIX: Final = "oauth2:"
SMTP_DEFAULT_PORT: Final = 587
SMTP_DEFAULT_SENDER: Final = "noreply@localhost"

SECRET_NAME_LIMIT: Final = 256
SECRET_VALUE_LIMIT: Final = 65_536
SECRETS_PER_REQUEST: Final = 1_000
_SECRET_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PROVIDER_NAME: Final = re.compile(r"[a-z0-9_]{1,64}")
_HOSTNAME: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_ADDRESS: Final = r"[^@\s<>\x00-\x1f\x7f]{1,64}@[^@\s<>\x00-\x1f\x7f]{1,255}"
_MAIL_FROM: Final = re.compile(rf"{_ADDRESS}|[^<>@\x00-\x1f\x7f]{{0,200}}<{_ADDRESS}>")
_TEXT_LIMIT: Final = 4_096

#: What a provider is made of beside its secret, as the suffixes of the variables in lower case.
PROVIDER_TEXTS: Final = (
    "client_id",
    "oidc_config_url",
    "display_name",
    "token_endpoint_auth_method",
    "scopes",
    "email_attribute_path",
    "groups_attribute_path",
    "allowed_groups",
    "role_attribute_path",
    "role_mapping",
)
PROVIDER_FLAGS: Final = (
    "allow_sign_up",
    "auto_login",
    "use_pkce",
    "role_attribute_strict",
    "role_resync",
)


class SettingSource(StrEnum):
    """Where a setting comes from; the environment wins."""

    ENVIRONMENT = "environment"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class MailServer:
    """The mail server, as far as it may be shown, and its password.

    Args:
        hostname: name or address.
        port: 1 to 65535.
        username: "" for a server that asks for none.
        password: None for a server that asks for none.
        mail_from: the sender's address, such as ``Bennu <bennu@example.com>``.
        validate_certs: whether the server's certificate is checked.
        source: where it was configured.
    """

    hostname: str
    port: int = SMTP_DEFAULT_PORT
    username: str = ""
    password: Secret | None = None
    mail_from: str = SMTP_DEFAULT_SENDER
    validate_certs: bool = True
    source: SettingSource = SettingSource.DATABASE

    def shown(self) -> dict[str, object]:
        """Return everything but the password."""
        return {**self.plain(), "password_set": bool(self.password), "source": str(self.source)}

    def plain(self) -> dict[str, object]:
        """Return what is stored in the clear."""
        return {
            "hostname": self.hostname,
            "port": self.port,
            "username": self.username,
            "mail_from": self.mail_from,
            "validate_certs": self.validate_certs,
        }


@dataclass(frozen=True, slots=True)
class Provider:
    """One identity provider, as far as it may be shown, and its client secret.

    Args:
        name: as in addresses and variables, in lower case.
        fields: suffix in lower case and text, as it would stand in the environment; only those
            that are set.
        client_secret: None for a public client.
        source: where it was configured.
    """

    name: str
    fields: Mapping[str, str]
    client_secret: Secret | None = None
    source: SettingSource = SettingSource.DATABASE

    def shown(self) -> dict[str, object]:
        """Return everything but the client secret."""
        known = {key: text for key, text in self.fields.items() if key in PROVIDER_TEXTS}
        flags = {
            key: text.strip().lower() == "true"
            for key, text in self.fields.items()
            if key in PROVIDER_FLAGS
        }
        return {
            "name": self.name,
            **known,
            **flags,
            "client_secret_set": bool(self.client_secret),
            "source": str(self.source),
        }

    def variables(self) -> dict[str, str]:
        """Return the provider as it would stand in the environment, its secret included."""
        named = {provider_variable(self.name, key): text for key, text in self.fields.items()}
        if self.client_secret is not None:
            named[provider_variable(self.name, "client_secret")] = self.client_secret.reveal()
        return named


#: The very parser of the environment: what it finds wrong with the variables of a provider.
ProviderCheck = Callable[[Mapping[str, str]], Sequence[Problem]]


def provider_variable(name: str, field: str) -> str:
    """Return the variable that would hold this field of a provider."""
    return f"PHOENIX_OAUTH2_{name.upper()}_{field.upper()}"


def provider_name_problems(name: str) -> tuple[FieldProblem, ...]:
    """Check the name in the path; it becomes part of addresses and of variable names."""
    if _PROVIDER_NAME.fullmatch(name):
        return ()
    text = "must be 1 to 64 lowercase letters, digits and underscores"
    return (FieldProblem(("path", "name"), text, seen=name[:64]),)


def provider_problems(provider: Provider, check: ProviderCheck) -> tuple[FieldProblem, ...]:
    """Check a provider by the rules of the environment, and name fields instead of variables."""
    too_long = tuple(
        FieldProblem(("body", field), f"must be at most {_TEXT_LIMIT} characters long")
        for field, text in provider.fields.items()
        if len(text) > _TEXT_LIMIT
    )
    if too_long:
        return too_long
    prefix = provider_variable(provider.name, "")
    return tuple(
        FieldProblem(("body", problem.name.removeprefix(prefix).lower()), problem.allowed)
        for problem in check(provider.variables())
    )


def mail_server_problems(server: MailServer) -> tuple[FieldProblem, ...]:
    """Check a mail server field by field; the password is never echoed."""
    problems: list[FieldProblem] = []
    if not _HOSTNAME.fullmatch(server.hostname):
        problems.append(_body("hostname", "must be a host name or an address"))
    if not 1 <= server.port <= 65_535:  # noqa: PLR2004 - the range of ports
        problems.append(_body("port", "must be a whole number from 1 to 65535"))
    if len(server.username) > _TEXT_LIMIT or _has_control(server.username):
        problems.append(_body("username", f"must be at most {_TEXT_LIMIT} printable characters"))
    if bool(server.username) != bool(server.password):
        missing = "password" if server.username else "username"
        problems.append(_body(missing, "username and password are set together or not at all"))
    if server.password and _has_control(server.password.reveal()):
        problems.append(_body("password", "must not contain control characters"))
    if not _MAIL_FROM.fullmatch(server.mail_from):
        problems.append(_body("mail_from", "must be an e-mail address, or Name <address>"))
    return tuple(problems)


def secret_change_problems(
    changes: Sequence[tuple[str, Secret | None]],
) -> tuple[FieldProblem, ...]:
    """Check names and lengths of secret values; values are never echoed."""
    if len(changes) > SECRETS_PER_REQUEST:
        return (_body("secrets", f"must have at most {SECRETS_PER_REQUEST} items"),)
    problems: list[FieldProblem] = []
    for place, (name, value) in enumerate(changes):
        if len(name) > SECRET_NAME_LIMIT or not _SECRET_NAME.fullmatch(name):
            text = (
                "must be letters, digits and underscores, not begin with a digit, and be at most "
                f"{SECRET_NAME_LIMIT} characters long"
            )
            problems.append(FieldProblem(("body", "secrets", place, "key"), text))
        if value is not None and len(value.reveal()) > SECRET_VALUE_LIMIT:
            text = f"must be at most {SECRET_VALUE_LIMIT} characters long"
            problems.append(FieldProblem(("body", "secrets", place, "value"), text))
    return tuple(problems)


def _body(field: str, text: str) -> FieldProblem:
    return FieldProblem(("body", field), text)


def _has_control(text: str) -> bool:
    return any(character < " " or character == "\x7f" for character in text)
