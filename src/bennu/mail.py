"""Mail: which server sends it.

Spec: line 167 (the password is sealed where it is stored). Contract: section 1f.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from bennu.kernel.env import Env, Variable
from bennu.kernel.secret import Secret

VARIABLES: Final = (
    Variable(
        "PHOENIX_SMTP_HOSTNAME",
        "text",
        "",
        "The mail server; without it no mail is sent.",
        167,
    ),
    Variable(
        "PHOENIX_SMTP_PORT",
        "whole number",
        "587",
        "Its port, 1 to 65535; 465 speaks TLS from the start, others STARTTLS.",
    ),
    Variable("PHOENIX_SMTP_USERNAME", "text", "", "The account at the mail server."),
    Variable(
        "PHOENIX_SMTP_PASSWORD",
        "text",
        "",
        "The password of that account.",
        167,
        secret=True,
    ),
    Variable("PHOENIX_SMTP_MAIL_FROM", "email", "noreply@localhost", "The sender of every mail."),
    Variable(
        "PHOENIX_SMTP_VALIDATE_CERTS",
        "flag",
        "true",
        "Whether the certificate of the mail server is checked.",
    ),
)

_HOST: Final = re.compile(r"[A-Za-z0-9_.:-]+|\[[0-9A-Fa-f:.]+\]")
_SENDER: Final = re.compile(r"([^<>@\r\n]*<[^@\s<>]+@[^@\s<>]+>|[^@\s<>]+@[^@\s<>]+)")
_MAX_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class MailSettings:
    """The mail server.

    Args:
        hostname: "" when no mail is sent.
        port: 1 to 65535.
        username: the account; given with a host name.
        password: of the account; given with a host name.
        mail_from: the sender of every mail.
        validate_certs: whether the certificate of the server is checked.
    """

    hostname: str = ""
    port: int = 587
    username: str = ""
    password: Secret | None = None
    mail_from: str = "noreply@localhost"
    validate_certs: bool = True

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read the mail server; user name and password are required with a host name."""
        settings = cls(
            hostname=env.text("PHOENIX_SMTP_HOSTNAME"),
            port=env.whole("PHOENIX_SMTP_PORT", 587, 1, _MAX_PORT),
            username=env.text("PHOENIX_SMTP_USERNAME"),
            password=env.secret("PHOENIX_SMTP_PASSWORD"),
            mail_from=env.text("PHOENIX_SMTP_MAIL_FROM", "noreply@localhost"),
            validate_certs=env.flag("PHOENIX_SMTP_VALIDATE_CERTS", default=True),
        )
        if _SENDER.fullmatch(settings.mail_from) is None:
            env.refuse("PHOENIX_SMTP_MAIL_FROM", "an email address")
        if settings.hostname:
            _check_account(settings, env)
        return settings


def _check_account(settings: MailSettings, env: Env) -> None:
    if _HOST.fullmatch(settings.hostname) is None:
        env.refuse("PHOENIX_SMTP_HOSTNAME", "a host name or an IP address, without a port")
    for name in ("PHOENIX_SMTP_USERNAME", "PHOENIX_SMTP_PASSWORD"):
        if not env.is_set(name):
            env.refuse(name, "set, because PHOENIX_SMTP_HOSTNAME is set", secret=True)
    if not settings.validate_certs:
        env.warn("PHOENIX_SMTP_VALIDATE_CERTS", "the password may go to anybody in between")
