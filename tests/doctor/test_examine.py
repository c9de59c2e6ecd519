"""Forty misconfigurations, one at a time: each is found, and its variable named. Spec: 226-292."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bennu.cli.doctor import doctor_command
from bennu.cli.init import init_command
from peers.pki import Pki
from started import FIRST_PASSWORD, SECRET, StartedServer

#: Settings of a deployment in which nothing fails; every case changes a little of it.
GOOD = {
    "PHOENIX_ENABLE_AUTH": "true",
    "PHOENIX_SECRET": SECRET,
    "PHOENIX_HOST": "127.0.0.1",
    "PHOENIX_ROOT_URL": "https://phoenix.example.com",
}
LDAP = {
    "PHOENIX_LDAP_HOST": "127.0.0.1:9",
    "PHOENIX_LDAP_USER_SEARCH_BASE_DNS": "ou=people,dc=example,dc=com",
}
PROVIDER = {
    "PHOENIX_OAUTH2_X_CLIENT_ID": "x",
    "PHOENIX_OAUTH2_X_CLIENT_SECRET": "x",
    "PHOENIX_OAUTH2_X_OIDC_CONFIG_URL": "http://127.0.0.1:9/.well-known/openid-configuration",
}
SMTP = {
    "PHOENIX_SMTP_HOSTNAME": "127.0.0.1",
    "PHOENIX_SMTP_PORT": "9",
    "PHOENIX_SMTP_USERNAME": "u",
    "PHOENIX_SMTP_PASSWORD": "p",
}
FAILURES: tuple[tuple[str, dict[str, str]], ...] = (
    ("PHOENIX_SECRET", {"PHOENIX_SECRET": ""}),
    ("PHOENIX_SECRET", {"PHOENIX_SECRET": "short1a"}),
    ("PHOENIX_SECRET", {"PHOENIX_SECRET": "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJ1"}),
    ("PHOENIX_SECRET", {"PHOENIX_SECRET": "abcdefghijklmnopqrstuvwxyzabcdefghij"}),
    ("PHOENIX_SECRET", {"PHOENIX_SECRET": "a1" * 20}),
    ("PHOENIX_ADMIN_SECRET", {"PHOENIX_ADMIN_SECRET": SECRET}),
    ("PHOENIX_ADMIN_SECRET", {"PHOENIX_ADMIN_SECRET": "short1a"}),
    ("PHOENIX_ENABLE_AUTH", {"PHOENIX_ENABLE_AUTH": "false", "PHOENIX_HOST": "::"}),
    ("PHOENIX_ENABLE_AUTH", {"PHOENIX_ENABLE_AUTH": "yes"}),
    ("PHOENIX_USE_SECURE_COOKIES", {"PHOENIX_USE_SECURE_COOKIES": "false"}),
    ("PHOENIX_USE_SECURE_COOKIES", {"PHOENIX_USE_SECURE_COOKIES": "1"}),
    ("PHOENIX_DISABLE_RATE_LIMIT", {"PHOENIX_DISABLE_RATE_LIMIT": "true"}),
    (
        "PHOENIX_DISABLE_BRUTE_FORCE_LOGIN_PROTECTION",
        {"PHOENIX_DISABLE_BRUTE_FORCE_LOGIN_PROTECTION": "true"},
    ),
    ("PHOENIX_ALLOWED_ORIGINS", {"PHOENIX_ALLOWED_ORIGINS": "*"}),
    ("PHOENIX_ALLOWED_ORIGINS", {"PHOENIX_ALLOWED_ORIGINS": "app.example.com"}),
    ("PHOENIX_CSRF_TRUSTED_ORIGINS", {"PHOENIX_CSRF_TRUSTED_ORIGINS": "phoenix.example.com"}),
    ("PHOENIX_LDAP_TLS_MODE", {**LDAP, "PHOENIX_LDAP_TLS_MODE": "none"}),
    ("PHOENIX_LDAP_TLS_MODE", {**LDAP, "PHOENIX_LDAP_TLS_MODE": "ssl"}),
    ("PHOENIX_LDAP_TLS_VERIFY", {**LDAP, "PHOENIX_LDAP_TLS_VERIFY": "false"}),
    ("PHOENIX_LDAP_HOST", LDAP),
    ("PHOENIX_LDAP_PORT", {**LDAP, "PHOENIX_LDAP_PORT": "99999"}),
    ("PHOENIX_LDAP_BIND_PASSWORD", {**LDAP, "PHOENIX_LDAP_BIND_DN": "cn=a,dc=b"}),
    ("PHOENIX_LDAP_USER_SEARCH_BASE_DNS", {"PHOENIX_LDAP_HOST": "127.0.0.1:9"}),
    ("PHOENIX_LDAP_USER_SEARCH_FILTER", {**LDAP, "PHOENIX_LDAP_USER_SEARCH_FILTER": "(uid=x)"}),
    ("PHOENIX_LDAP_TLS_CA_CERT_FILE", {**LDAP, "PHOENIX_LDAP_TLS_CA_CERT_FILE": "/nowhere"}),
    ("PHOENIX_OAUTH2_X_OIDC_CONFIG_URL", PROVIDER),
    (
        "PHOENIX_OAUTH2_X_OIDC_CONFIG_URL",
        {**PROVIDER, "PHOENIX_OAUTH2_X_OIDC_CONFIG_URL": "http://id.example.com/x"},
    ),
    ("PHOENIX_OAUTH2_X_CLIENT_SECRET", {**PROVIDER, "PHOENIX_OAUTH2_X_CLIENT_SECRET": ""}),
    ("PHOENIX_OAUTH2_X_ROLE_MAPPING", {**PROVIDER, "PHOENIX_OAUTH2_X_ROLE_MAPPING": "a"}),
    ("PHOENIX_SMTP_HOSTNAME", SMTP),
    ("PHOENIX_SMTP_VALIDATE_CERTS", {**SMTP, "PHOENIX_SMTP_VALIDATE_CERTS": "false"}),
    ("PHOENIX_RATE_LIMIT_STORAGE_URL", {"PHOENIX_RATE_LIMIT_STORAGE_URL": "redis://127.0.0.1:9/0"}),
    (
        "PHOENIX_SQL_DATABASE_URL",
        {"PHOENIX_SQL_DATABASE_URL": "postgresql://u:pw-of-db@127.0.0.1:9/d"},
    ),
    ("PHOENIX_PORT", {"PHOENIX_PORT": "0"}),
    ("PHOENIX_ROOT_URL", {"PHOENIX_ROOT_URL": "phoenix.example.com"}),
    ("PHOENIX_TLS_CERT_FILE", {"PHOENIX_TLS_ENABLED": "true"}),
    (
        "PHOENIX_TLS_KEY_FILE",
        {
            "PHOENIX_TLS_ENABLED": "true",
            "PHOENIX_TLS_CERT_FILE": "<cert>",
            "PHOENIX_TLS_KEY_FILE": "<other key>",
        },
    ),
    (
        "PHOENIX_TLS_KEY_FILE",
        {
            "PHOENIX_TLS_ENABLED": "true",
            "PHOENIX_TLS_CERT_FILE": "<cert>",
            "PHOENIX_TLS_KEY_FILE": "<open key>",
        },
    ),
    ("PHOENIX_DISABLE_BASIC_AUTH", {"PHOENIX_DISABLE_BASIC_AUTH": "true"}),
    ("PHOENIX_LOGGING_MODE", {"PHOENIX_LOGGING_MODE": "json"}),
    ("PHOENIX_DEFAULT_RETENTION_POLICY_DAYS", {"PHOENIX_DEFAULT_RETENTION_POLICY_DAYS": "-1"}),
    ("PHOENIX_RATE_LIMITS", {"PHOENIX_RATE_LIMITS": "often"}),
)


def examined(folder: Path, env: dict[str, str], *options: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the command with these settings alone; return its status and its findings."""
    file = folder / "case.env"
    lines = [f"{name}='{value}'\n" for name, value in env.items() if value]
    file.write_text("".join(lines))
    file.chmod(0o600)
    arguments = ["--env-file", str(file), "--json", *options]
    result = CliRunner().invoke(doctor_command, arguments, catch_exceptions=False)
    return result.exit_code, json.loads(result.stdout)


def failed(findings: list[dict[str, Any]]) -> list[str]:
    return [row["variable"] for row in findings if row["state"] == "fail"]


@pytest.fixture(scope="module")
def files(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("files")
    open_key = folder / "open.pem"
    open_key.write_bytes(pki.server.key.read_bytes())
    open_key.chmod(0o644)
    return {
        "<cert>": str(pki.server.cert),
        "<other key>": str(pki.authority.key),
        "<open key>": str(open_key),
    }


def test_there_are_forty() -> None:
    assert len(FAILURES) >= 40


@pytest.mark.parametrize(("variable", "changes"), FAILURES)
def test_each_is_found_and_named(
    tmp_path: Path, files: dict[str, str], variable: str, changes: dict[str, str]
) -> None:
    changed = {name: files.get(value, value) for name, value in changes.items()}
    env = {**GOOD, "PHOENIX_WORKING_DIR": str(tmp_path / "work"), **changed}
    status, findings = examined(tmp_path, env)
    assert status == 1
    assert variable in failed(findings)
    text = json.dumps(findings)
    for secret in (SECRET, "pw-of-db"):
        assert secret not in text


def test_nothing_fails_where_nothing_is_wrong(tmp_path: Path) -> None:
    status, findings = examined(tmp_path, {**GOOD, "PHOENIX_WORKING_DIR": str(tmp_path / "work")})
    assert (status, failed(findings)) == (0, [])


def test_what_init_writes_reports_no_failure(tmp_path: Path) -> None:
    file = tmp_path / "bennu.env"
    runner = CliRunner()
    assert runner.invoke(init_command, ["--env-file", str(file)]).exit_code == 0
    result = runner.invoke(doctor_command, ["--env-file", str(file), "--json"])
    findings = json.loads(result.stdout)
    assert (result.exit_code, failed(findings)) == (0, [])
    (row,) = [row for row in findings if row["check"] == "first_password"]
    assert row["state"] == "warn"


def test_offline_asks_nobody(tmp_path: Path) -> None:
    env = {**GOOD, **LDAP, **SMTP, "PHOENIX_WORKING_DIR": str(tmp_path / "work")}
    status, findings = examined(tmp_path, env, "--offline")
    assert status == 0
    assert not [row for row in findings if row["check"].startswith(("ldap_connect", "mail"))
                and row["state"] == "fail"]  # fmt: skip


def test_beside_a_running_server(tmp_path: Path) -> None:
    with StartedServer(tmp_path) as server:
        env = {**server.env, "PHOENIX_ROOT_URL": "https://phoenix.example.com"}
        env.pop("PHOENIX_DISABLE_RATE_LIMIT", None)
        status, findings = examined(tmp_path, env)
        states = {row["check"]: row["state"] for row in findings}
        assert status == 1
        assert failed(findings) == ["PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD"]
        assert states["database"] == states["audit_trail"] == states["clock"] == "ok"
        assert FIRST_PASSWORD not in json.dumps(findings)
        server.admin()  # changes the first password
        status, findings = examined(tmp_path, env)
        assert (status, failed(findings)) == (0, [])
        wrong = {**env, "PHOENIX_SECRET": "another-secret-0123456789abcdef-abcdef"}
        assert "PHOENIX_SECRET" in failed(examined(tmp_path, wrong)[1])


def test_secrets_are_due_by_their_age(tmp_path: Path) -> None:
    with StartedServer(tmp_path) as server:
        server.admin()
        _, findings = examined(tmp_path, server.env)
        ages = {row["variable"]: row["state"] for row in findings if row["check"] == "age"}
        assert ages["PHOENIX_SECRET"] == "ok"
