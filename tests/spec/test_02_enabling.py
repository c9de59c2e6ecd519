"""Every settings block that the spec prints is good as it is printed.

Spec: lines 8-13, 24-133, 163, 179-196, 205-218, 226-238, 251-264. ``samples/`` holds the blocks,
one file each, named by their lines; prose before a name on the same line is left out.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bennu.cli.main import main

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.env"))
SECRET = "q8Vw0kz3Jr6yT1mX5bN9cD2fG7hL4sPa"
ADMIN_SECRET = "Z1xC3vB5nM7aS9dF2gH4jK6lQ8wE0rTy"
COMMAND = "$( openssl rand -base64 32 )"
#: The tips of lines 235-236 name no files: they are those of the blocks above.
NEEDS_FILES = "235-236-configure-tls"


def filled(sample: Path, folder: Path) -> tuple[str, dict[str, str]]:
    """Fill in the placeholders; return the text and the variables that it refers to."""
    text = sample.read_text("utf-8").replace(COMMAND, SECRET, 1).replace(COMMAND, ADMIN_SECRET)
    text = text.replace("{ tenant-id}", "6f1d8a52-0d4e-4c8f-9b57-3f3f0f9f3c11")
    for name in set(re.findall(r"/etc/phoenix/tls/([a-z-]+\.pem)", text)):
        (folder / name).write_text("-----BEGIN")
    text = text.replace("/etc/phoenix/tls/", f"{folder}/")
    if sample.stem == NEEDS_FILES:
        (folder / "pair.pem").write_text("-----BEGIN")
        text += (
            f"PHOENIX_TLS_CERT_FILE = {folder}/pair.pem\nPHOENIX_TLS_KEY_FILE = {folder}/pair.pem\n"
        )
    if "PHOENIX_SECRET" not in text:
        text += f"PHOENIX_SECRET = {SECRET}\n"
    references = re.findall(r"\$\{ ([A-Z_]+) \}", text)
    return text, dict.fromkeys(references, "hunter2")


def check(path: Path, variables: dict[str, str]) -> tuple[int, dict[str, list[dict[str, str]]]]:
    kept = {n: None for n in os.environ if n.startswith("PHOENIX_")}
    answer = CliRunner().invoke(
        main, ["config", "check", "--json", "--env-file", str(path)], env={**kept, **variables}
    )
    assert SECRET not in answer.output
    assert "hunter2" not in answer.output
    return answer.exit_code, json.loads(answer.stdout)


def test_no_block_is_forgotten() -> None:
    assert len(SAMPLES) == 21


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_block_passes_as_printed(sample: Path, tmp_path: Path) -> None:
    text, variables = filled(sample, tmp_path)
    path = tmp_path / "phoenix.env"
    path.write_text(text, "utf-8")
    status, found = check(path, variables)
    assert (status, found["errors"]) == (0, [])


@pytest.mark.parametrize(
    "sample", [s for s in SAMPLES if "$" in s.read_text()], ids=lambda p: p.stem
)
def test_what_is_left_unfilled_is_named(sample: Path) -> None:
    status, found = check(sample, {})
    assert status == 2
    lines = sample.read_text("utf-8").splitlines()
    unfilled = {line.partition(" =")[0] for line in lines if "$" in line}
    assert unfilled <= {error["name"] for error in found["errors"]}
    if COMMAND in sample.read_text("utf-8"):
        assert "bennu init" in str(found["errors"])
    else:
        assert "must be set in an earlier line or in the environment" in str(found["errors"])


def test_all_sign_in_blocks_work_together_with_authentication_on(tmp_path: Path) -> None:
    text, variables = "", {}
    for sample in SAMPLES:
        if sample.stem[:3] in {
            "010",
            "027",
            "094",
            "101",
            "108",
            "115",
            "192",
            "208",
            "211",
            "254",
        }:
            more, references = filled(sample, tmp_path)
            text, variables = f"{text}\n{more}", {**variables, **references}
    path = tmp_path / "phoenix.env"
    path.write_text(text, "utf-8")
    assert check(path, variables)[0] == 0


def test_the_command_itself_checks_a_file(tmp_path: Path) -> None:
    path = tmp_path / "phoenix.env"
    path.write_text(f"PHOENIX_ENABLE_AUTH = true\nPHOENIX_SECRET = {SECRET.upper()}\n", "utf-8")
    answer = subprocess.run(
        [sys.executable, "-m", "bennu", "config", "check", "--env-file", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("PHOENIX_")},
    )
    assert answer.returncode == 2
    assert "PHOENIX_SECRET: must include at least one lowercase letter" in answer.stderr
    assert SECRET.upper() not in answer.stdout + answer.stderr


BROKEN = [
    ("010", "= true", "= 1", "PHOENIX_ENABLE_AUTH"),
    ("010", SECRET, "changeme", "PHOENIX_SECRET"),
    ("010", SECRET, "", "PHOENIX_SECRET"),
    ("010", f"PHOENIX_SECRET = {SECRET}\n", "", "PHOENIX_SECRET"),
    ("010", SECRET, "ALL-CAPITALS-0123456789-ABCDEFGHIJK", "PHOENIX_SECRET"),
    ("010", SECRET, "nodigitsinthisverylongsecretatallhere", "PHOENIX_SECRET"),
    ("027", "ldap.company.com", "ldap://ldap.company.com", "PHOENIX_LDAP_HOST"),
    ("027", "PORT = 389", "PORT = ldap", "PHOENIX_LDAP_PORT"),
    ("027", "starttls", "ssl", "PHOENIX_LDAP_TLS_MODE"),
    ("027", "VERIFY = true", "VERIFY = no", "PHOENIX_LDAP_TLS_VERIFY"),
    ("027", '"CN=svc-phoenix,OU', '"svc-phoenix,OU', "PHOENIX_LDAP_BIND_DN"),
    ("027", "${ LDAP_BIND_PASSWORD }", "", "PHOENIX_LDAP_BIND_PASSWORD"),
    ("027", "${ LDAP_BIND_PASSWORD }", "${ NOT_THERE }", "PHOENIX_LDAP_BIND_PASSWORD"),
    ("027", '"OU=Users,DC=company,DC=com"', '"Users"', "PHOENIX_LDAP_USER_SEARCH_BASE_DNS"),
    ("027", "sAMAccountName=%s", "sAMAccountName=x", "PHOENIX_LDAP_USER_SEARCH_FILTER"),
    ("027", "(sAMAccountName=%s))", "(sAMAccountName=%s)", "PHOENIX_LDAP_USER_SEARCH_FILTER"),
    ("027", "= displayName", "= display name", "PHOENIX_LDAP_ATTR_DISPLAY_NAME"),
    ("027", '"role": "MEMBER"', '"role": "OWNER"', "PHOENIX_LDAP_GROUP_ROLE_MAPPINGS"),
    ("027", "]'", "'", "PHOENIX_LDAP_GROUP_ROLE_MAPPINGS"),
    ("027", "]'", "]", "PHOENIX_LDAP_GROUP_ROLE_MAPPINGS"),
    ("027", "SIGN_UP = true", "SIGN_UP = always", "PHOENIX_LDAP_ALLOW_SIGN_UP"),
    ("054", ";OU=Contractors", ";Contractors", "PHOENIX_LDAP_USER_SEARCH_BASE_DNS"),
    ("054", "= objectGUID", "= object GUID", "PHOENIX_LDAP_ATTR_UNIQUE_ID"),
    ("068", '"ou=groups,dc=company,dc=com"', "", "PHOENIX_LDAP_GROUP_SEARCH_BASE_DNS"),
    ("068", "memberUid=%s", "memberUid=user", "PHOENIX_LDAP_GROUP_SEARCH_FILTER"),
    ("094", "= your-client-id", "= # your-client-id", "PHOENIX_OAUTH2_GOOGLE_CLIENT_ID"),
    ("094", "${ GOOGLE_CLIENT_SECRET }", "", "PHOENIX_OAUTH2_GOOGLE_CLIENT_SECRET"),
    ("094", "https://accounts", "http://accounts", "PHOENIX_OAUTH2_GOOGLE_OIDC_CONFIG_URL"),
    ("094", "AUTO_LOGIN = false", "AUTO_LOGIN = 0", "PHOENIX_OAUTH2_GOOGLE_AUTO_LOGIN"),
    ("101", "preferred_username", "a.[", "PHOENIX_OAUTH2_MICROSOFT_EMAIL_ATTRIBUTE_PATH"),
    ("108", '"cognito:groups"', "", "PHOENIX_OAUTH2_COGNITO_GROUPS_ATTRIBUTE_PATH"),
    ("115", "admin:ADMIN", "admin=ADMIN", "PHOENIX_OAUTH2_KEYCLOAK_ROLE_MAPPING"),
    ("115", "user:MEMBER", "user:SYSTEM", "PHOENIX_OAUTH2_KEYCLOAK_ROLE_MAPPING"),
    ("182", "/cert.pem", "/no-such.pem", "PHOENIX_TLS_CERT_FILE"),
    ("182", "PHOENIX_TLS_KEY_FILE =", "# ", "PHOENIX_TLS_KEY_FILE"),
    ("187", "GRPC = true", "GRPC = tls", "PHOENIX_TLS_ENABLED_FOR_GRPC"),
    ("192", "PHOENIX_TLS_CA_FILE =", "# ", "PHOENIX_TLS_CA_FILE"),
    ("208", "https://dashboard", "dashboard", "PHOENIX_ALLOWED_ORIGINS"),
    ("211", "https://", "", "PHOENIX_CSRF_TRUSTED_ORIGINS"),
    ("218", "= true", "= yes", "PHOENIX_DISABLE_RATE_LIMIT"),
    ("228", ADMIN_SECRET, SECRET, "PHOENIX_ADMIN_SECRET"),
    ("228", f"PHOENIX_SECRET = {SECRET}\n", "", "PHOENIX_ADMIN_SECRET"),
    ("254", "structured", "json", "PHOENIX_LOGGING_MODE"),
    ("254", "info", "verbose", "PHOENIX_LOGGING_LEVEL"),
    ("264", "90", "ninety", "PHOENIX_DEFAULT_RETENTION_POLICY_DAYS"),
    ("264", "90", "-90", "PHOENIX_DEFAULT_RETENTION_POLICY_DAYS"),
]


@pytest.mark.parametrize(("lines", "good", "bad", "name"), BROKEN)
def test_a_broken_block_names_the_variable(
    lines: str, good: str, bad: str, name: str, tmp_path: Path
) -> None:
    (sample,) = [s for s in SAMPLES if s.stem.startswith(lines)]
    text, variables = filled(sample, tmp_path)
    assert good in text
    path = tmp_path / "phoenix.env"
    path.write_text(text.replace(good, bad, 1), "utf-8")
    status, found = check(path, variables)
    assert status == 2
    assert {error["name"] for error in found["errors"]} - {"(line)"} == {name}
    assert all(error["allowed"] and error["source"] for error in found["errors"])
