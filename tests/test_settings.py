"""Every setting together: what concerns several features, names, and that nothing hides."""

import re
from pathlib import Path

import pytest

from bennu.kernel.env import MASK, SettingsError
from bennu.kernel.env_file import EnvFile, env_of
from bennu.settings import SECTIONS, VARIABLES, Settings, is_known_setting
from fakes.settings import (
    OTHER_SECRET,
    SECRET,
    names_of_problems,
    names_of_warnings,
    problems_of,
    read_settings,
)

SOURCE = Path(__file__).parent.parent / "src" / "bennu"
#: Defaults that are a value, not words about one.
LITERAL_DEFAULTS = [
    v for v in VARIABLES if v.default and "{" not in v.name + v.default and " " not in v.default
]


def test_without_any_setting_everything_has_its_default_and_nothing_is_remarked() -> None:
    settings = read_settings()
    assert (settings.ldap, settings.oauth2, settings.warnings) == (None, (), ())


def test_every_mistake_is_reported_at_once() -> None:
    values = {
        "PHOENIX_PORT": "x",
        "PHOENIX_ENABLE_AUTH": "true",
        "PHOENIX_SECRET": "short",
        "PHOENIX_LDAP_HOST": "ldap",
        "PHOENIX_OAUTH2_GOOGLE_CLIENT_ID": "x",
        "PHOENIX_TLS_ENABLED": "true",
        "PHOENIX_LOGGING_MODE": "json",
        "PHOENIX_SMTP_HOSTNAME": "mail",
        "PHOENIX_SQL_DATABASE_URL": "x",
        "PHOENIX_DEFAULT_RETENTION_POLICY_DAYS": "-1",
    }
    assert set(names_of_problems(values)) == {
        "PHOENIX_PORT",
        "PHOENIX_SECRET",
        "PHOENIX_LDAP_USER_SEARCH_BASE_DNS",
        "PHOENIX_OAUTH2_GOOGLE_CLIENT_SECRET",
        "PHOENIX_OAUTH2_GOOGLE_OIDC_CONFIG_URL",
        "PHOENIX_TLS_CERT_FILE",
        "PHOENIX_TLS_KEY_FILE",
        "PHOENIX_LOGGING_MODE",
        "PHOENIX_SMTP_USERNAME",
        "PHOENIX_SMTP_PASSWORD",
        "PHOENIX_SQL_DATABASE_URL",
        "PHOENIX_DEFAULT_RETENTION_POLICY_DAYS",
    }


@pytest.mark.parametrize("variable", LITERAL_DEFAULTS, ids=lambda v: v.name)
def test_a_documented_default_is_the_real_one(variable: object) -> None:
    name, default = getattr(variable, "name", ""), getattr(variable, "default", "")
    values = {"PHOENIX_POSTGRES_HOST": "h", "PHOENIX_POSTGRES_USER": "u"}
    values |= {"PHOENIX_POSTGRES_PASSWORD": "p", "PHOENIX_SECRET": SECRET}
    values |= {"PHOENIX_LDAP_HOST": "h", "PHOENIX_LDAP_USER_SEARCH_BASE_DNS": "dc=x"}
    assert read_settings(values, **{name: default}) == read_settings(values)


def test_every_name_in_the_source_is_declared() -> None:
    text = "\n".join(path.read_text("utf-8") for path in SOURCE.rglob("*settings*.py"))
    names = set(re.findall(r'"(PHOENIX_[A-Z0-9_]*[A-Z0-9])"', text))
    assert len(names) > 100
    assert [name for name in sorted(names) if not is_known_setting(name)] == []


def test_no_name_is_declared_twice() -> None:
    names = [v.name for v in VARIABLES]
    assert len(names) == len(set(names))
    assert sum(len(variables) for _, variables in SECTIONS) == len(names)


@pytest.mark.asvs("13.3.1")
def test_every_secret_has_a_twin() -> None:
    for variable in VARIABLES:
        assert is_known_setting(variable.name)
        if "{" not in variable.name:
            assert is_known_setting(f"{variable.name}_FILE") is variable.secret
    assert is_known_setting("PHOENIX_OAUTH2_GOOGLE_CLIENT_SECRET_FILE")


def test_authentication_needs_a_secret() -> None:
    assert names_of_problems(PHOENIX_ENABLE_AUTH="true") == ["PHOENIX_SECRET"]
    assert "bennu init" in problems_of(PHOENIX_ENABLE_AUTH="true")[0].allowed
    assert read_settings(PHOENIX_ENABLE_AUTH="true", PHOENIX_SECRET=SECRET).auth.enabled


def test_a_secret_that_cannot_be_read_is_not_missing_too() -> None:
    text = "PHOENIX_ENABLE_AUTH = true\nPHOENIX_SECRET = $( openssl rand -base64 32 )"
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(env_of({}, EnvFile(text, "f", {})))
    assert [(p.name, p.source) for p in caught.value.problems] == [("PHOENIX_SECRET", "f:2")]


def test_the_admin_secret_needs_another_secret_beside_it() -> None:
    admin = "PHOENIX_ADMIN_SECRET"
    assert names_of_problems({admin: SECRET}) == [admin]
    assert names_of_problems({admin: SECRET}, PHOENIX_SECRET=SECRET) == [admin]
    assert names_of_problems({admin: OTHER_SECRET}, PHOENIX_SECRET=SECRET) == []


def test_somebody_must_be_able_to_sign_in() -> None:
    values = {"PHOENIX_ENABLE_AUTH": "true", "PHOENIX_SECRET": SECRET}
    values |= {"PHOENIX_DISABLE_BASIC_AUTH": "true", "PHOENIX_HOST": "127.0.0.1"}
    assert names_of_problems(values) == ["PHOENIX_DISABLE_BASIC_AUTH"]
    ldap = {"PHOENIX_LDAP_HOST": "h", "PHOENIX_LDAP_USER_SEARCH_BASE_DNS": "dc=x"}
    assert names_of_problems(values, **ldap) == []


@pytest.mark.asvs("3.3.1")
def test_cookies_are_secure_where_people_come_by_https() -> None:
    values = {"PHOENIX_ROOT_URL": "https://phoenix.example.com"}
    assert read_settings(values).auth.secure_cookies
    assert not read_settings(PHOENIX_ROOT_URL="http://phoenix.example.com").auth.secure_cookies
    assert names_of_warnings(values, PHOENIX_USE_SECURE_COOKIES="false") == [
        "PHOENIX_USE_SECURE_COOKIES"
    ]


def test_host_cookies_need_what_browsers_ask_of_them() -> None:
    prefix = {"PHOENIX_COOKIE_PREFIX": "host"}
    assert names_of_problems(prefix) == ["PHOENIX_COOKIE_PREFIX"]
    secure = {**prefix, "PHOENIX_USE_SECURE_COOKIES": "true"}
    assert names_of_problems(secure) == []
    assert names_of_problems(secure, PHOENIX_COOKIES_PATH="/x") == ["PHOENIX_COOKIES_PATH"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PHOENIX_SECERT", "PHOENIX_SECRET"),
        ("PHOENIX_ENABLE_AUHT", "PHOENIX_ENABLE_AUTH"),
        ("PHOENIX_GRCP_PORT", "PHOENIX_GRPC_PORT"),
        ("PHOENIX_LDAP_HOSTS", "PHOENIX_LDAP_HOST"),
        ("PHOENIX_OAUTH2_GOOGLE_CLIENT_IDD", "PHOENIX_OAUTH2_GOOGLE_CLIENT_ID"),
        ("PHOENIX_OAUTH2_MY_IDP_ROLE_MAPING", "PHOENIX_OAUTH2_MY_IDP_ROLE_MAPPING"),
    ],
)
def test_an_unknown_name_is_remarked_with_the_nearest_known_one(name: str, meant: str) -> None:
    (warning,) = [w for w in read_settings({name: "hunter2"}).warnings if w.name == name]
    assert warning.allowed.endswith(f"did you mean {meant}?")
    assert warning.read == MASK


def test_a_name_like_no_other_is_remarked_without_a_guess() -> None:
    (warning,) = read_settings(PHOENIX_XQZ="1").warnings
    assert warning.allowed == "not a setting of Bennu"


def test_names_that_kubernetes_injects_are_left_alone() -> None:
    assert (
        names_of_warnings(
            PHOENIX_SERVICE_HOST="10.0.0.1",
            PHOENIX_SERVICE_PORT="6006",
            PHOENIX_SERVICE_PORT_HTTP="6006",
            PHOENIX_PORT_6006_TCP="tcp://10.0.0.1:6006",
            PHOENIX_PORT_6006_TCP_ADDR="10.0.0.1",
            PHOENIX_WEB_PORT="tcp://10.0.0.1:6006",
        )
        == []
    )


@pytest.mark.parametrize("value", ["${LDAP_PASSWORD}", "${ LDAP_PASSWORD }", "$(cat /x)"])
def test_a_value_that_nobody_expanded_is_remarked(value: str) -> None:
    name = "PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD"
    assert names_of_warnings({name: value}) == [name]
    assert names_of_warnings({name: "pa$$word{x}"}) == []
    file = EnvFile(f"{name} = '{value}'", "f", {})
    assert Settings.from_env(env_of({}, file)).warnings == ()


def test_other_programs_are_none_of_our_business() -> None:
    assert names_of_warnings(PATH="/bin", OTEL_EXPORTER_OTLP_ENDPOINT="x") == []


def test_no_secret_shows_in_settings_or_problems() -> None:
    secrets = {v.name: f"hunter2-{v.name.lower()}" for v in VARIABLES if v.secret}
    secrets = {name.replace("{PROVIDER}", "IDP"): value for name, value in secrets.items()}
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(env_of({**secrets, "PHOENIX_PORT": "x"}))
    shown = f"{caught.value}{caught.value.problems}{caught.value.warnings}"
    assert "hunter2" not in shown
    assert "PHOENIX_OAUTH2_IDP_CLIENT_ID" in shown
    good = read_settings(PHOENIX_SECRET=SECRET, PHOENIX_POSTGRES_PASSWORD="hunter2")
    assert SECRET not in repr(good)
    assert "hunter2" not in repr(good)
