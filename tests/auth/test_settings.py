"""Settings of authentication."""

from datetime import timedelta

import pytest

from bennu.auth.settings import AuthSettings, NamedAdmin
from fakes.settings import (
    OTHER_SECRET,
    SECRET,
    names_of_problems,
    names_of_warnings,
    problems_of,
    read_settings,
)


def test_without_any_setting_authentication_is_off() -> None:
    assert read_settings().auth == AuthSettings()
    assert not read_settings().auth.enabled


def test_everything_is_read() -> None:
    auth = read_settings(
        PHOENIX_ENABLE_AUTH="TRUE",
        PHOENIX_SECRET=SECRET,
        PHOENIX_ADMIN_SECRET=OTHER_SECRET,
        PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD="changeme",
        PHOENIX_ADMINS="Ada L=Ada@Example.com; Grace=grace@example.com ;",
        PHOENIX_ENABLE_STRONG_PASSWORD_POLICY="true",
        PHOENIX_PASSWORD_MIN_LENGTH="16",
        PHOENIX_ENFORCE_PASSWORD_RESET="false",
        PHOENIX_ACCESS_TOKEN_EXPIRY_MINUTES="0.5",
        PHOENIX_REFRESH_TOKEN_EXPIRY_MINUTES="60",
        PHOENIX_PASSWORD_RESET_TOKEN_EXPIRY_MINUTES="5",
        PHOENIX_SESSION_IDLE_TIMEOUT_MINUTES="30",
        PHOENIX_SESSION_MAX_LIFETIME_DAYS="1",
        PHOENIX_USE_SECURE_COOKIES="true",
        PHOENIX_COOKIE_PREFIX="host",
        PHOENIX_DISABLE_BRUTE_FORCE_LOGIN_PROTECTION="true",
        PHOENIX_BRUTE_FORCE_LOGIN_PROTECTION_MAX_ATTEMPTS="3",
        PHOENIX_API_KEY_MAX_LIFETIME_DAYS="90",
    ).auth
    assert auth.enabled
    assert auth.admin_secret is not None
    assert auth.admin_secret.reveal() == OTHER_SECRET
    assert auth.initial_admin_password is not None
    assert auth.initial_admin_password.reveal() == "changeme"
    assert auth.admins == (
        NamedAdmin("Ada L", "ada@example.com"),
        NamedAdmin("Grace", "grace@example.com"),
    )
    assert auth.strong_password_policy
    assert auth.password_min_length == 16
    assert not auth.enforce_password_reset
    assert auth.access_lifetime == timedelta(seconds=30)
    assert auth.refresh_lifetime == timedelta(hours=1)
    assert auth.reset_lifetime == timedelta(minutes=5)
    assert auth.session_idle_lifetime == timedelta(minutes=30)
    assert auth.session_absolute_lifetime == timedelta(days=1)
    assert auth.secure_cookies
    assert auth.cookie_prefix == "host"
    assert not auth.brute_force_protection
    assert auth.brute_force_max_attempts == 3
    assert auth.api_key_max_lifetime == timedelta(days=90)


@pytest.mark.asvs("6.2.1")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PHOENIX_ENABLE_AUTH", "yes"),
        ("PHOENIX_ADMINS", "ada@example.com"),
        ("PHOENIX_ADMINS", "ada=nobody"),
        ("PHOENIX_ADMINS", "ada=admin@localhost"),
        ("PHOENIX_ADMINS", "a=a@example.com;a=b@example.com"),
        ("PHOENIX_ADMINS", "a=a@example.com;b=A@example.com"),
        ("PHOENIX_PASSWORD_MIN_LENGTH", "7"),
        ("PHOENIX_PASSWORD_MIN_LENGTH", "1025"),
        ("PHOENIX_ACCESS_TOKEN_EXPIRY_MINUTES", "0"),
        ("PHOENIX_REFRESH_TOKEN_EXPIRY_MINUTES", "-1"),
        ("PHOENIX_PASSWORD_RESET_TOKEN_EXPIRY_MINUTES", "soon"),
        ("PHOENIX_SESSION_IDLE_TIMEOUT_MINUTES", "99999999"),
        ("PHOENIX_SESSION_MAX_LIFETIME_DAYS", "4000"),
        ("PHOENIX_COOKIES_PATH", "phoenix"),
        ("PHOENIX_COOKIES_PATH", "/;Domain=x"),
        ("PHOENIX_COOKIE_PREFIX", "secure"),
        ("PHOENIX_BRUTE_FORCE_LOGIN_PROTECTION_MAX_ATTEMPTS", "0"),
        ("PHOENIX_API_KEY_MAX_LIFETIME_DAYS", "0"),
        ("PHOENIX_DISABLE_BASIC_AUTH", "1"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    assert names_of_problems({name: value}) == [name]


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("short-1", "at least 32"),
        ("NO-LOWERCASE-LETTER-0123456789-ABCDEF", "lowercase"),
        ("no-digit-in-this-one-abcdefghijklmnopq", "digit"),
        ("", "empty"),
    ],
)
def test_the_admin_secret_meets_the_rules_of_the_secret(value: str, rule: str) -> None:
    found = problems_of(PHOENIX_ADMIN_SECRET=value, PHOENIX_SECRET=SECRET)
    assert {p.name for p in found} == {"PHOENIX_ADMIN_SECRET"}
    assert any(rule in p.allowed for p in found)
    assert all(not value or value not in str(p) for p in found)


def test_weak_choices_are_warned_about() -> None:
    assert names_of_warnings(
        PHOENIX_ENFORCE_PASSWORD_RESET="false", PHOENIX_DISABLE_BRUTE_FORCE_LOGIN_PROTECTION="true"
    ) == ["PHOENIX_DISABLE_BRUTE_FORCE_LOGIN_PROTECTION", "PHOENIX_ENFORCE_PASSWORD_RESET"]


def test_secrets_never_show() -> None:
    auth = read_settings(PHOENIX_SECRET=SECRET, PHOENIX_ADMIN_SECRET=OTHER_SECRET).auth
    assert OTHER_SECRET not in repr(auth)
