"""What one feature hands to another is translated field by field."""

from pathlib import Path

import pytest

from bennu.app_translations import (
    mail_settings_of,
    settings_of_the_environment,
    sign_in_of_named_admins,
)
from bennu.kernel.secret import Secret
from bennu.stored_settings.model import MailServer, SettingSource
from bennu.users.model import AuthMethod
from fakes.settings import SECRET, read_settings

PROVIDER = {
    "PHOENIX_OAUTH2_CORP_CLIENT_ID": "c",
    "PHOENIX_OAUTH2_CORP_CLIENT_SECRET": "s",
    "PHOENIX_OAUTH2_CORP_OIDC_CONFIG_URL": "https://id.example.com/x",
}
DIRECTORY = {
    "PHOENIX_LDAP_HOST": "ldap.example.com",
    "PHOENIX_LDAP_USER_SEARCH_BASE_DNS": "ou=people,dc=example,dc=com",
    "PHOENIX_LDAP_GROUP_ROLE_MAPPINGS": '[{"group_dn": "*", "role": "MEMBER"}]',
}
CLOSED = {
    "PHOENIX_ENABLE_AUTH": "true",
    "PHOENIX_SECRET": SECRET,
    "PHOENIX_DISABLE_BASIC_AUTH": "true",
}


@pytest.mark.parametrize(
    ("values", "method"),
    [
        ({}, AuthMethod.LOCAL),
        (PROVIDER, AuthMethod.LOCAL),
        ({**CLOSED, **PROVIDER}, AuthMethod.OAUTH2),
        ({**CLOSED, **DIRECTORY}, AuthMethod.LDAP),
        ({**CLOSED, **DIRECTORY, **PROVIDER}, AuthMethod.OAUTH2),
    ],
)
def test_named_admins_sign_in_the_way_that_is_open(
    values: dict[str, str], method: AuthMethod
) -> None:
    assert sign_in_of_named_admins(read_settings(values)) is method


def test_a_mail_server_reaches_the_talker_whole() -> None:
    server = MailServer("mail.example.com", 465, "u", Secret("p"), "B <b@example.com>", False)
    made = mail_settings_of(server, Path("ca.pem"))
    assert (made.hostname, made.port, made.username) == ("mail.example.com", 465, "u")
    assert (made.password, made.mail_from) == (Secret("p"), "B <b@example.com>")
    assert (made.validate_certs, made.ca_file) == (False, Path("ca.pem"))


def test_the_environments_mail_server_and_providers_are_named_as_such() -> None:
    assert settings_of_the_environment(read_settings()).mail_server is None
    values = {
        **PROVIDER,
        "PHOENIX_SMTP_HOSTNAME": "mail.example.com",
        "PHOENIX_SMTP_USERNAME": "u",
        "PHOENIX_SMTP_PASSWORD": "p",
    }
    found = settings_of_the_environment(read_settings(values))
    assert found.mail_server is not None
    assert found.mail_server.source is SettingSource.ENVIRONMENT
    assert found.mail_server.password == Secret("p")
    assert [provider.name for provider in found.providers] == ["corp"]
