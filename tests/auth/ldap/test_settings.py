"""The directory's settings."""

from datetime import timedelta
from pathlib import Path

import pytest

from bennu.auth.ldap.settings import GroupRole, LdapServer, LdapSettings
from fakes.settings import names_of_problems, names_of_warnings, read_settings

BASE = {
    "PHOENIX_LDAP_HOST": "ldap.company.com",
    "PHOENIX_LDAP_USER_SEARCH_BASE_DNS": "OU=Users,DC=company,DC=com",
}


def read_ldap(**more: str) -> LdapSettings:
    ldap = read_settings(
        BASE, **{f"PHOENIX_LDAP_{name}": value for name, value in more.items()}
    ).ldap
    assert ldap is not None
    return ldap


def test_without_a_host_there_is_no_directory() -> None:
    assert read_settings().ldap is None
    assert read_settings(PHOENIX_LDAP_HOST="").ldap is None
    assert names_of_warnings(PHOENIX_LDAP_PORT="389") == ["PHOENIX_LDAP_HOST"]


def test_the_defaults_are_those_of_the_contract() -> None:
    ldap = read_ldap()
    assert ldap.servers == (LdapServer("ldap.company.com", 389),)
    assert (ldap.tls_mode, ldap.tls_verify) == ("starttls", True)
    assert (ldap.bind_dn, ldap.bind_password) == ("", None)
    assert ldap.user_search_filter == "(&(objectClass=user)(sAMAccountName=%s))"
    assert (ldap.attr_email, ldap.attr_display_name) == ("mail", "displayName")
    assert (ldap.attr_member_of, ldap.attr_unique_id) == ("memberOf", "")
    assert ldap.group_role_mappings == ()
    assert ldap.default_role == "VIEWER"
    assert ldap.allow_sign_up
    assert ldap.sync_interval == timedelta(hours=1)


def test_several_servers_and_their_ports() -> None:
    assert read_ldap(HOST="dc1, dc2:3269 ,[::1]", TLS_MODE="LDAPS").servers == (
        LdapServer("dc1", 636),
        LdapServer("dc2", 3269),
        LdapServer("::1", 636),
    )
    assert read_ldap(HOST="dc1", PORT="1389").servers == (LdapServer("dc1", 1389),)


def test_everything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file.pem"
    path.write_text("x")
    ldap = read_ldap(
        TLS_VERIFY="false",
        TLS_CA_CERT_FILE=str(path),
        TLS_CLIENT_CERT_FILE=str(path),
        TLS_CLIENT_KEY_FILE=str(path),
        BIND_DN="svc@company.com",
        BIND_PASSWORD="hunter2",
        USER_SEARCH_FILTER="(uid=%s)",
        ATTR_MEMBER_OF="",
        ATTR_UNIQUE_ID="objectGUID",
        GROUP_SEARCH_BASE_DNS="ou=groups,dc=x",
        GROUP_SEARCH_FILTER="(member=%d)",
        GROUP_SEARCH_FILTER_USER_ATTR="uidNumber",
        GROUP_ROLE_MAPPINGS='[{"group_dn": "*", "role": "admin"}]',
        DEFAULT_ROLE="member",
        ALLOW_SIGN_UP="false",
        SYNC_INTERVAL_MINUTES="0",
    )
    assert not ldap.tls_verify
    assert (ldap.tls_ca_cert_file, ldap.tls_client_cert_file) == (path, path)
    assert ldap.tls_client_key_file == path
    assert ldap.bind_password is not None
    assert ldap.bind_password.reveal() == "hunter2"
    assert "hunter2" not in repr(ldap)
    assert ldap.user_search_filter == "(uid=%s)"
    assert (ldap.attr_member_of, ldap.attr_unique_id) == ("", "objectGUID")
    assert ldap.group_search_base_dns == ("ou=groups,dc=x",)
    assert ldap.group_search_filter == "(member=%d)"
    assert ldap.group_search_filter_user_attr == "uidNumber"
    assert ldap.group_role_mappings == (GroupRole("*", "ADMIN"),)
    assert ldap.default_role == "MEMBER"
    assert not ldap.allow_sign_up
    assert ldap.sync_interval == timedelta(0)


@pytest.mark.parametrize("text", ["null", "NULL", ""])
def test_people_without_email_need_an_identifier_and_sign_up(text: str) -> None:
    values = {**BASE, "PHOENIX_LDAP_ATTR_EMAIL": text}
    good = {**values, "PHOENIX_LDAP_ATTR_UNIQUE_ID": "entryUUID"}
    ldap = read_settings(good).ldap
    assert ldap is not None
    assert ldap.attr_email is None
    assert names_of_problems(values) == ["PHOENIX_LDAP_ATTR_UNIQUE_ID"]
    assert names_of_problems(good, PHOENIX_LDAP_ALLOW_SIGN_UP="false") == [
        "PHOENIX_LDAP_ALLOW_SIGN_UP"
    ]
    assert names_of_problems(good, PHOENIX_ADMINS="a=a@example.com") == ["PHOENIX_ADMINS"]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"HOST": " , "}, "HOST"),
        ({"HOST": "ldap://x"}, "HOST"),
        ({"PORT": "tcp"}, "PORT"),
        ({"TLS_MODE": "tls"}, "TLS_MODE"),
        ({"TLS_VERIFY": "0"}, "TLS_VERIFY"),
        ({"TLS_CA_CERT_FILE": "/nowhere"}, "TLS_CA_CERT_FILE"),
        ({"TLS_CLIENT_CERT_FILE": "/etc/hostname"}, "TLS_CLIENT_KEY_FILE"),
        ({"TLS_CLIENT_KEY_FILE": "/etc/hostname"}, "TLS_CLIENT_CERT_FILE"),
        ({"BIND_DN": "CN=a,DC=x"}, "BIND_PASSWORD"),
        ({"BIND_PASSWORD": "x"}, "BIND_DN"),
        ({"BIND_DN": "phoenix service", "BIND_PASSWORD": "x"}, "BIND_DN"),
        ({"USER_SEARCH_BASE_DNS": ""}, "USER_SEARCH_BASE_DNS"),
        ({"USER_SEARCH_BASE_DNS": "Users"}, "USER_SEARCH_BASE_DNS"),
        ({"USER_SEARCH_FILTER": "(uid=x)"}, "USER_SEARCH_FILTER"),
        ({"USER_SEARCH_FILTER": "(uid=%s"}, "USER_SEARCH_FILTER"),
        ({"ATTR_EMAIL": "e mail"}, "ATTR_EMAIL"),
        ({"ATTR_DISPLAY_NAME": "display name"}, "ATTR_DISPLAY_NAME"),
        ({"ATTR_MEMBER_OF": "member of"}, "ATTR_MEMBER_OF"),
        ({"ATTR_UNIQUE_ID": "object guid"}, "ATTR_UNIQUE_ID"),
        ({"GROUP_SEARCH_BASE_DNS": "groups"}, "GROUP_SEARCH_BASE_DNS"),
        ({"GROUP_SEARCH_FILTER": "(memberUid=%s)"}, "GROUP_SEARCH_BASE_DNS"),
        ({"GROUP_SEARCH_FILTER": "(cn=x)", "GROUP_SEARCH_BASE_DNS": "dc=x"}, "GROUP_SEARCH_FILTER"),
        ({"GROUP_SEARCH_FILTER_USER_ATTR": "uid"}, "GROUP_SEARCH_FILTER_USER_ATTR"),
        ({"GROUP_SEARCH_FILTER_USER_ATTR": "user id"}, "GROUP_SEARCH_FILTER_USER_ATTR"),
        ({"GROUP_ROLE_MAPPINGS": "ADMIN"}, "GROUP_ROLE_MAPPINGS"),
        ({"DEFAULT_ROLE": "SYSTEM"}, "DEFAULT_ROLE"),
        ({"ALLOW_SIGN_UP": "yes"}, "ALLOW_SIGN_UP"),
        ({"SYNC_INTERVAL_MINUTES": "-1"}, "SYNC_INTERVAL_MINUTES"),
    ],
)
def test_a_wrong_value_names_its_variable(values: dict[str, str], name: str) -> None:
    given = {**BASE, **{f"PHOENIX_LDAP_{key}": value for key, value in values.items()}}
    assert names_of_problems(given) == [f"PHOENIX_LDAP_{name}"]


def test_a_directory_is_checked_even_without_its_host() -> None:
    assert names_of_problems(PHOENIX_LDAP_TLS_MODE="tls") == ["PHOENIX_LDAP_TLS_MODE"]


def test_an_unprotected_connection_is_warned_about() -> None:
    assert names_of_warnings(BASE, PHOENIX_LDAP_TLS_MODE="none") == ["PHOENIX_LDAP_TLS_MODE"]
    assert names_of_warnings(BASE, PHOENIX_LDAP_TLS_VERIFY="false") == ["PHOENIX_LDAP_TLS_VERIFY"]
    assert names_of_warnings(BASE) == []
