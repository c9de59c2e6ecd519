"""Whether authentication is on, who the first admins are, and how long things last.

Spec: lines 8-13, 228-233. Contract: section 1b.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from bennu.encryption.settings import read_strong_secret
from bennu.kernel.env import Env, Variable
from bennu.kernel.secret import Secret

VARIABLES: Final = (
    Variable("PHOENIX_ENABLE_AUTH", "flag", "false", "Whether callers must say who they are.", 10),
    Variable(
        "PHOENIX_ADMIN_SECRET",
        "text",
        "",
        "A bearer credential with all rights, for automation; the rules of PHOENIX_SECRET, and "
        "not the same.",
        229,
        secret=True,
    ),
    Variable(
        "PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD",
        "text",
        "a random one, printed once",
        "The first password of `admin@localhost`; good for changing it and nothing else.",
        12,
        secret=True,
    ),
    Variable(
        "PHOENIX_ADMINS",
        "list",
        "",
        "Further first admins, as `name=email;name=email`; made once, never changed.",
    ),
    Variable(
        "PHOENIX_DISABLE_BASIC_AUTH",
        "flag",
        "false",
        "Whether sign-in by password is closed; needs LDAP or an identity provider.",
    ),
    Variable(
        "PHOENIX_ENABLE_STRONG_PASSWORD_POLICY",
        "flag",
        "false",
        "Whether passwords need a digit, both cases and one of `!@#$%^&*()_+` besides length.",
    ),
    Variable(
        "PHOENIX_PASSWORD_MIN_LENGTH",
        "whole number",
        "12",
        "The shortest password that may be chosen, 8 to 1024 characters.",
    ),
    Variable(
        "PHOENIX_ENFORCE_PASSWORD_RESET",
        "flag",
        "true",
        "Whether a first password opens nothing but its own change; false is for automation only.",
        13,
    ),
    Variable(
        "PHOENIX_ACCESS_TOKEN_EXPIRY_MINUTES",
        "number",
        "10",
        "Minutes until a session must refresh its access.",
    ),
    Variable(
        "PHOENIX_REFRESH_TOKEN_EXPIRY_MINUTES",
        "number",
        "10080",
        "Minutes until a session that was not refreshed ends.",
    ),
    Variable(
        "PHOENIX_PASSWORD_RESET_TOKEN_EXPIRY_MINUTES",
        "number",
        "15",
        "Minutes that a mailed reset link works.",
    ),
    Variable(
        "PHOENIX_SESSION_IDLE_TIMEOUT_MINUTES",
        "number",
        "10080",
        "Minutes without a request after which a session ends.",
    ),
    Variable(
        "PHOENIX_SESSION_MAX_LIFETIME_DAYS",
        "number",
        "30",
        "Days after which a session ends however busy it is.",
    ),
    Variable(
        "PHOENIX_USE_SECURE_COOKIES",
        "flag",
        "false",
        "Whether cookies travel over TLS only; always so with an https PHOENIX_ROOT_URL.",
        233,
    ),
    Variable("PHOENIX_COOKIES_PATH", "text", "/", "The path of the cookies."),
    Variable(
        "PHOENIX_COOKIE_PREFIX",
        "host",
        "",
        "`host` names the cookies `__Host-…`, which binds them to this very host.",
    ),
    Variable(
        "PHOENIX_DISABLE_BRUTE_FORCE_LOGIN_PROTECTION",
        "flag",
        "false",
        "Switches off the count of failed sign-ins.",
    ),
    Variable(
        "PHOENIX_BRUTE_FORCE_LOGIN_PROTECTION_MAX_ATTEMPTS",
        "whole number",
        "5",
        "Failed sign-ins of one account from one address until it must wait, at least 1.",
    ),
    Variable(
        "PHOENIX_API_KEY_MAX_LIFETIME_DAYS",
        "number",
        "",
        "The longest that a new API key may live; without it keys may live for ever.",
        248,
    ),
)

#: Ten years: longer than anybody means, short enough for every date computation.
_MOST_MINUTES: Final = 5_256_000
_MOST_DAYS: Final = 3_650
_EMAIL: Final = re.compile(r"[^@\s;=]+@[^@\s;=]+\.[^@\s;=.]+")
_COOKIE_PATH: Final = re.compile(r"/[A-Za-z0-9._~%/-]*")


@dataclass(frozen=True, slots=True)
class NamedAdmin:
    """A first admin of ``PHOENIX_ADMINS``; the email is in lower case."""

    username: str
    email: str


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Authentication, sessions, passwords and keys.

    Args:
        password_min_length: 8 to 1024 characters.
        secure_cookies: asked for, or the root URL is https, or HTTP speaks TLS.
        cookie_prefix: "" or ``host``.
        brute_force_max_attempts: at least 1.
        api_key_max_lifetime: None for no limit.
    """

    enabled: bool = False
    admin_secret: Secret | None = None
    initial_admin_password: Secret | None = None
    admins: tuple[NamedAdmin, ...] = ()
    basic_auth_disabled: bool = False
    strong_password_policy: bool = False
    password_min_length: int = 12
    enforce_password_reset: bool = True
    access_lifetime: timedelta = timedelta(minutes=10)
    refresh_lifetime: timedelta = timedelta(days=7)
    reset_lifetime: timedelta = timedelta(minutes=15)
    session_idle_lifetime: timedelta = timedelta(days=7)
    session_absolute_lifetime: timedelta = timedelta(days=30)
    secure_cookies: bool = False
    cookies_path: str = "/"
    cookie_prefix: str = ""
    brute_force_protection: bool = True
    brute_force_max_attempts: int = 5
    api_key_max_lifetime: timedelta | None = None

    @property
    def session_idle_limit(self) -> timedelta:
        """How long a session lives without use: it must refresh, and somebody must be there."""
        return min(self.refresh_lifetime, self.session_idle_lifetime)

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read the settings of authentication."""
        has_key_limit = env.is_set("PHOENIX_API_KEY_MAX_LIFETIME_DAYS")
        key_limit = read_days(env, "PHOENIX_API_KEY_MAX_LIFETIME_DAYS", 365)
        settings = cls(
            enabled=env.flag("PHOENIX_ENABLE_AUTH", default=False),
            admin_secret=read_strong_secret(env, "PHOENIX_ADMIN_SECRET"),
            initial_admin_password=env.secret("PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD"),
            admins=_read_admins(env),
            basic_auth_disabled=env.flag("PHOENIX_DISABLE_BASIC_AUTH", default=False),
            strong_password_policy=env.flag("PHOENIX_ENABLE_STRONG_PASSWORD_POLICY", default=False),
            password_min_length=env.whole("PHOENIX_PASSWORD_MIN_LENGTH", 12, 8, 1024),
            enforce_password_reset=env.flag("PHOENIX_ENFORCE_PASSWORD_RESET", default=True),
            access_lifetime=_read_minutes(env, "PHOENIX_ACCESS_TOKEN_EXPIRY_MINUTES", 10),
            refresh_lifetime=_read_minutes(env, "PHOENIX_REFRESH_TOKEN_EXPIRY_MINUTES", 10_080),
            reset_lifetime=_read_minutes(env, "PHOENIX_PASSWORD_RESET_TOKEN_EXPIRY_MINUTES", 15),
            session_idle_lifetime=_read_minutes(
                env, "PHOENIX_SESSION_IDLE_TIMEOUT_MINUTES", 10_080
            ),
            session_absolute_lifetime=read_days(env, "PHOENIX_SESSION_MAX_LIFETIME_DAYS", 30),
            secure_cookies=env.flag("PHOENIX_USE_SECURE_COOKIES", default=False),
            cookies_path=_read_cookies_path(env),
            cookie_prefix=env.choice("PHOENIX_COOKIE_PREFIX", "", ("host", "")),
            brute_force_protection=not env.flag(
                "PHOENIX_DISABLE_BRUTE_FORCE_LOGIN_PROTECTION", default=False
            ),
            brute_force_max_attempts=env.whole(
                "PHOENIX_BRUTE_FORCE_LOGIN_PROTECTION_MAX_ATTEMPTS", 5, 1, 1000
            ),
            api_key_max_lifetime=key_limit if has_key_limit else None,
        )
        _warn_of_weak_choices(settings, env)
        return settings


def _warn_of_weak_choices(settings: AuthSettings, env: Env) -> None:
    if not settings.enforce_password_reset:
        env.warn("PHOENIX_ENFORCE_PASSWORD_RESET", "first passwords stay good for everything")
    if not settings.brute_force_protection:
        env.warn(
            "PHOENIX_DISABLE_BRUTE_FORCE_LOGIN_PROTECTION", "passwords can be guessed at leisure"
        )


def _read_minutes(env: Env, name: str, default: float) -> timedelta:
    minutes = env.positive(name, default)
    if minutes > _MOST_MINUTES:
        env.refuse(name, f"a number above 0, at most {_MOST_MINUTES}")
        minutes = default
    return timedelta(minutes=minutes)


def read_days(env: Env, name: str, default: float) -> timedelta:
    """Read a number of days above 0 and of ten years at most."""
    days = env.positive(name, default)
    if days > _MOST_DAYS:
        env.refuse(name, f"a number above 0, at most {_MOST_DAYS}")
        days = default
    return timedelta(days=days)


def _read_cookies_path(env: Env) -> str:
    path = env.text("PHOENIX_COOKIES_PATH", "/")
    if _COOKIE_PATH.fullmatch(path):
        return path
    env.refuse("PHOENIX_COOKIES_PATH", "a path that starts with /")
    return "/"


def _read_admins(env: Env) -> tuple[NamedAdmin, ...]:
    name = "PHOENIX_ADMINS"
    admins: list[NamedAdmin] = []
    for item in env.items(name, ";"):
        username, _, email = (part.strip() for part in item.rpartition("="))
        if not username or _EMAIL.fullmatch(email) is None:
            env.refuse(name, "name=email pairs such as `Ada=ada@example.com`, split by semicolons")
            return ()
        admins.append(NamedAdmin(username, email.lower()))
    if len({a.username for a in admins}) < len(admins) or len({a.email for a in admins}) < len(
        admins
    ):
        env.refuse(name, "every name and every email once")
        return ()
    return tuple(admins)
