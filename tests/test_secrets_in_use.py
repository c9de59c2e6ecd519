"""Which secrets a deployment has: one answer for server, commands and doctor. Spec: 245-250."""

from dataclasses import replace
from pathlib import Path

from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.secrets_in_use import (
    environment_secrets,
    exposed_file_warnings,
    key_file_of,
    key_source_of,
)
from bennu.settings import Settings
from fakes.settings import read_settings

SECRET = "0123456789abcdef0123456789abcdef"


def settings_of(folder: Path, **values: str) -> Settings:
    return read_settings(PHOENIX_WORKING_DIR=str(folder), **values)


def test_every_secret_with_an_age_is_found_and_the_outgoing_ones_are_not(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        PHOENIX_ENABLE_AUTH="true",
        PHOENIX_SECRET=SECRET,
        PHOENIX_SECRET_PREVIOUS=SECRET + "-old",
        PHOENIX_ADMIN_SECRET=SECRET + "-admin",
        PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD="first",
        PHOENIX_SQL_DATABASE_URL="postgresql://u:db-password@localhost/x",
        PHOENIX_SMTP_HOSTNAME="smtp.example.com",
        PHOENIX_SMTP_USERNAME="u",
        PHOENIX_SMTP_PASSWORD="mail-password",
        PHOENIX_OAUTH2_MY_IDP_CLIENT_ID="x",
        PHOENIX_OAUTH2_MY_IDP_CLIENT_SECRET="idp-secret",
        PHOENIX_OAUTH2_MY_IDP_OIDC_CONFIG_URL="https://idp.example.com/x",
        PHOENIX_LDAP_HOST="ldap.example.com",
        PHOENIX_LDAP_BIND_DN="cn=x,dc=y",
        PHOENIX_LDAP_BIND_PASSWORD="ldap-password",
        PHOENIX_LDAP_TLS_CLIENT_KEY_FILE_PASSWORD="ldap-key-password",
        PHOENIX_LDAP_USER_SEARCH_BASE_DNS="dc=y",
        PHOENIX_LDAP_GROUP_ROLE_MAPPINGS='[{"group_dn": "*", "role": "MEMBER"}]',
    )
    assert environment_secrets(settings) == {
        "PHOENIX_SECRET": Secret(SECRET),
        "PHOENIX_ADMIN_SECRET": Secret(SECRET + "-admin"),
        "PHOENIX_POSTGRES_PASSWORD": Secret("db-password"),
        "PHOENIX_SMTP_PASSWORD": Secret("mail-password"),
        "PHOENIX_OAUTH2_MY_IDP_CLIENT_SECRET": Secret("idp-secret"),
        "PHOENIX_LDAP_BIND_PASSWORD": Secret("ldap-password"),
        "PHOENIX_LDAP_TLS_CLIENT_KEY_FILE_PASSWORD": Secret("ldap-key-password"),
    }
    material = key_source_of(settings, SystemEntropy()).key_material()
    assert material.current == Secret(SECRET)
    assert material.previous == (Secret(SECRET + "-old"),)
    assert key_file_of(settings) == tmp_path / "bennu.key"


def test_the_key_file_lies_beside_the_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere/x.db"
    settings = settings_of(tmp_path, PHOENIX_SQL_DATABASE_URL=url)
    assert key_file_of(settings) == tmp_path / "elsewhere" / "bennu.key"
    assert environment_secrets(settings) == {}
    memory = replace(settings, storage=replace(settings.storage, sqlite_path=None))
    assert key_file_of(memory) is None


def test_exposed_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "client.pem").write_text("a key")
    (tmp_path / "client.pem").chmod(0o600)
    settings = settings_of(
        tmp_path,
        PHOENIX_SQL_DATABASE_URL=f"sqlite:///{tmp_path}/x.db",
        PHOENIX_OAUTH2_CORP_CLIENT_ID="c",
        PHOENIX_OAUTH2_CORP_OIDC_CONFIG_URL="https://idp.example/.well-known/openid-configuration",
        PHOENIX_OAUTH2_CORP_TOKEN_ENDPOINT_AUTH_METHOD="private_key_jwt",
        PHOENIX_OAUTH2_CORP_PRIVATE_KEY_FILE=f"{tmp_path}/client.pem",
    )
    assert exposed_file_warnings(settings, tmp_path / "absent.env") == ()
    for name, mode in {
        "x.db": 0o644,
        "x.db-wal": 0o600,
        "bennu.key": 0o640,
        "e.env": 0o604,
        "client.pem": 0o644,
    }.items():
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(mode)
    told = " ".join(exposed_file_warnings(settings, tmp_path / "e.env"))
    for name in ("x.db", "bennu.key", "e.env", "client.pem"):
        assert f"chmod 600 {tmp_path / name}" in told
    assert "x.db-wal" not in told


def test_the_key_shown_to_the_directory_is_looked_at(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("-----BEGIN")
    (tmp_path / "key.pem").chmod(0o644)
    settings = settings_of(
        tmp_path,
        PHOENIX_LDAP_HOST="ldap.example.com",
        PHOENIX_LDAP_USER_SEARCH_BASE_DNS="dc=y",
        PHOENIX_LDAP_TLS_CLIENT_CERT_FILE=str(tmp_path / "cert.pem"),
        PHOENIX_LDAP_TLS_CLIENT_KEY_FILE=str(tmp_path / "key.pem"),
    )
    assert any("key.pem" in text for text in exposed_file_warnings(settings))
