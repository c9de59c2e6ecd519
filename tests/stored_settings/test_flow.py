"""Changes are sealed, recorded with them, and yield to the environment. Spec: 164-170, 256-260."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from bennu.access import CONSOLE, Caller
from bennu.audit.log import AuditLog
from bennu.auth.oauth2.stored import check_stored_provider
from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.vault import Vault
from bennu.kernel.errors import ConflictError, NotFoundError, SchemaError
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.schema import audit_events, stored_settings
from bennu.stored_settings.flow import KEEP_SECRET, EnvironmentSettings, NewSecret, StoredSettings
from bennu.stored_settings.model import MailServer, Provider, SettingSource
from fakes.clock import FrozenClock

KEY = Fernet.generate_key()
CALLER = Caller(CONSOLE)
SERVER = MailServer("smtp.example.com", username="u")
GOOGLE = {
    "client_id": "id",
    "oidc_config_url": "https://accounts.google.com/.well-known/openid-configuration",
}
Make = Callable[[EnvironmentSettings], StoredSettings]


@pytest.fixture
async def make(database: Database, clock: FrozenClock) -> Make:
    entropy = SystemEntropy()
    vault = Vault(Cipher(Keyring(KEY)), clock, entropy)
    audit = AuditLog(database, clock, entropy, vault)
    await audit.start()
    return lambda environment: StoredSettings(
        database, vault, audit, environment, check_stored_provider
    )


@pytest.fixture
def settings(make: Make) -> StoredSettings:
    return make(EnvironmentSettings())


async def records(database: Database) -> list[dict[str, Any]]:
    """Return what the audit trail says, oldest first, everything as one text too."""
    rows = await database.read(
        lambda c: [
            dict(row) for row in c.execute(select(audit_events).order_by("sequence")).mappings()
        ]
    )
    for row in rows:
        row["before"] = None if row["before"] is None else json.loads(row["before"])
        row["after"] = None if row["after"] is None else json.loads(row["after"])
    return rows


# --- mail server ---------------------------------------------------------------------------


async def test_a_mail_server_is_stored_sealed_changed_and_deleted(
    settings: StoredSettings, database: Database
) -> None:
    assert await settings.find_mail_server() is None
    await settings.change_mail_server(CALLER, SERVER, Secret("first-hush"))
    found = await settings.find_mail_server()
    assert found is not None
    assert found.password == Secret("first-hush")
    assert found.source is SettingSource.DATABASE
    stored = await database.read(lambda c: c.execute(select(stored_settings)).one())
    assert "hush" not in str(tuple(stored))

    relaxed = MailServer("smtp.example.com", username="u", validate_certs=False)
    changed = await settings.change_mail_server(CALLER, relaxed, KEEP_SECRET)
    assert (changed.password, changed.validate_certs) == (Secret("first-hush"), False)
    await settings.change_mail_server(CALLER, SERVER, Secret("second-hush"))
    await settings.delete_mail_server(CALLER)
    assert await settings.find_mail_server() is None

    told = await records(database)
    assert [record["event"] for record in told] == ["settings.changed"] * 4
    assert [record["target_id"] for record in told] == ["smtp"] * 4
    assert told[0]["before"] is None
    assert [record["after"] and record["after"]["secret_changed"] for record in told] == [
        True,
        False,
        True,
        None,
    ]
    assert told[1]["before"]["validate_certs"] is True
    assert told[3]["before"]["password_set"] is True
    assert "hush" not in str(told)


@pytest.mark.parametrize(
    "elsewhere",
    [
        MailServer("evil.example.com", username="u"),
        MailServer("smtp.example.com", port=25, username="u"),
        MailServer("smtp.example.com", username="other"),
    ],
)
async def test_a_stored_password_never_goes_elsewhere(
    settings: StoredSettings, database: Database, elsewhere: MailServer
) -> None:
    await settings.change_mail_server(CALLER, SERVER, Secret("hush"))
    with pytest.raises(SchemaError, match="given again") as caught:
        await settings.change_mail_server(CALLER, elsewhere, KEEP_SECRET)
    assert caught.value.problems[0].loc == ("body", "password")
    found = await settings.find_mail_server()
    assert found is not None
    assert found.hostname == "smtp.example.com"
    assert len(await records(database)) == 1


async def test_a_wrong_mail_server_changes_and_records_nothing(
    settings: StoredSettings, database: Database
) -> None:
    for password in (None, KEEP_SECRET):
        with pytest.raises(SchemaError):
            await settings.change_mail_server(CALLER, SERVER, password)
    with pytest.raises(NotFoundError):
        await settings.delete_mail_server(CALLER)
    assert await settings.find_mail_server() is None
    assert await records(database) == []


async def test_the_mail_server_of_the_environment_wins(
    make: Make, settings: StoredSettings
) -> None:
    await settings.change_mail_server(CALLER, SERVER, Secret("stored"))
    given = MailServer("env.example.com", source=SettingSource.ENVIRONMENT)
    later = make(EnvironmentSettings(mail_server=given))
    assert await later.find_mail_server() == given
    with pytest.raises(ConflictError, match="PHOENIX_SMTP_HOSTNAME"):
        await later.change_mail_server(CALLER, SERVER, None)
    await later.delete_mail_server(CALLER)
    assert await later.find_mail_server() == given
    assert await settings.find_mail_server() is None


# --- providers -----------------------------------------------------------------------------


async def test_a_provider_is_stored_sealed_changed_and_deleted(
    settings: StoredSettings, database: Database
) -> None:
    await settings.change_provider(CALLER, "google", GOOGLE, Secret("first-hush"))
    more = {**GOOGLE, "display_name": "Google Workspace", "auto_login": "true"}
    await settings.change_provider(CALLER, "google", more, KEEP_SECRET)
    await settings.change_provider(CALLER, "aaa", {**GOOGLE, "scopes": "groups"}, Secret("hush-2"))
    found = await settings.find_providers()
    assert [(p.name, p.client_secret) for p in found] == [
        ("aaa", Secret("hush-2")),
        ("google", Secret("first-hush")),
    ]
    assert found[1].shown() == {
        "name": "google",
        **GOOGLE,
        "display_name": "Google Workspace",
        "auto_login": True,
        "client_secret_set": True,
        "source": "database",
    }
    await settings.delete_provider(CALLER, "google")
    assert [provider.name for provider in await settings.find_providers()] == ["aaa"]
    with pytest.raises(NotFoundError):
        await settings.delete_provider(CALLER, "google")

    told = await records(database)
    assert [(r["event"], r["target_id"]) for r in told] == [
        ("settings.changed", "oauth2:google"),
        ("settings.changed", "oauth2:google"),
        ("settings.changed", "oauth2:aaa"),
        ("settings.changed", "oauth2:google"),
    ]
    assert told[1]["before"]["client_secret_set"] is True
    assert told[1]["after"]["secret_changed"] is False
    assert "hush" not in str(told)
    everything = await database.read(lambda c: str(c.execute(select(stored_settings)).all()))
    assert "hush" not in everything


@pytest.mark.parametrize("field", ["client_id", "oidc_config_url"])
async def test_a_stored_client_secret_never_goes_elsewhere(
    settings: StoredSettings, field: str
) -> None:
    await settings.change_provider(CALLER, "google", GOOGLE, Secret("hush"))
    elsewhere = {**GOOGLE, field: "https://evil.example.com/x"}
    with pytest.raises(SchemaError, match="given again") as caught:
        await settings.change_provider(CALLER, "google", elsewhere, KEEP_SECRET)
    assert caught.value.problems[0].loc == ("body", "client_secret")


@pytest.mark.parametrize(
    ("change", "secret", "field"),
    [
        ({"oidc_config_url": "http://accounts.google.com/x"}, Secret("s"), "oidc_config_url"),
        ({"oidc_config_url": "javascript:alert(1)"}, Secret("s"), "oidc_config_url"),
        ({}, None, "client_secret"),
        ({}, KEEP_SECRET, "client_secret"),
        ({"token_endpoint_auth_method": "magic"}, Secret("s"), "token_endpoint_auth_method"),
        ({"role_mapping": "a:KING", "role_attribute_path": "r"}, Secret("s"), "role_mapping"),
        ({"role_mapping": "a:ADMIN"}, Secret("s"), "role_mapping"),
        ({"groups_attribute_path": "[[["}, Secret("s"), "groups_attribute_path"),
        ({"allowed_groups": "a"}, Secret("s"), "groups_attribute_path"),
    ],
)
async def test_the_rules_of_the_environment_hold_here(
    settings: StoredSettings,
    database: Database,
    change: dict[str, str],
    secret: NewSecret,
    field: str,
) -> None:
    with pytest.raises(SchemaError) as caught:
        await settings.change_provider(CALLER, "google", {**GOOGLE, **change}, secret)
    assert ("body", field) in [problem.loc for problem in caught.value.problems]
    assert await settings.find_providers() == ()
    assert await records(database) == []


@pytest.mark.parametrize("name", ["token", "Google", "a/b"])
async def test_names_that_no_provider_can_have(settings: StoredSettings, name: str) -> None:
    with pytest.raises(SchemaError):
        await settings.change_provider(CALLER, name, GOOGLE, Secret("s"))


async def test_only_one_provider_is_the_one_everybody_is_sent_to(settings: StoredSettings) -> None:
    automatic = {**GOOGLE, "auto_login": "true"}
    await settings.change_provider(CALLER, "one", automatic, Secret("s"))
    await settings.change_provider(CALLER, "one", automatic, Secret("s"))
    with pytest.raises(SchemaError, match="it is for one"):
        await settings.change_provider(CALLER, "two", automatic, Secret("s"))


async def test_a_provider_of_the_environment_wins_by_name(
    make: Make, settings: StoredSettings
) -> None:
    await settings.change_provider(CALLER, "google", GOOGLE, Secret("stored"))
    await settings.change_provider(CALLER, "other", GOOGLE, Secret("stored"))
    given = Provider("google", {"client_id": "env"}, Secret("env"), SettingSource.ENVIRONMENT)
    later = make(EnvironmentSettings(providers=(given,)))
    found = await later.find_providers()
    assert [(p.name, p.source) for p in found] == [("google", "environment"), ("other", "database")]
    assert found[0] == given
    with pytest.raises(ConflictError, match="PHOENIX_OAUTH2_GOOGLE_CLIENT_ID"):
        await later.change_provider(CALLER, "google", GOOGLE, Secret("s"))
    await later.delete_provider(CALLER, "google")
    with pytest.raises(ConflictError):
        await later.delete_provider(CALLER, "google")
    assert len(await later.find_providers()) == 2


# --- secret values -------------------------------------------------------------------------


async def test_secret_values_are_recorded_by_name_only(
    settings: StoredSettings, database: Database
) -> None:
    await settings.change_secret_values(CALLER, [("A", Secret("hush-1")), ("B", Secret("hush-2"))])
    done = await settings.change_secret_values(
        CALLER, [("A", Secret("hush-3")), ("B", None), ("GONE", None)]
    )
    assert (done.upserted, done.deleted) == (("A",), ("B", "GONE"))
    assert [name for name, _ in await settings.list_secret_values()] == ["A"]
    told = await records(database)
    assert [(r["target_id"], r["before"], r["after"]) for r in told] == [
        ("A", {"set": False}, {"set": True}),
        ("B", {"set": False}, {"set": True}),
        ("A", {"set": True}, {"set": True}),
        ("B", {"set": True}, {"set": False}),
    ]
    assert {record["event"] for record in told} == {"secret.changed"}
    assert "hush" not in str(told)


async def test_one_wrong_item_keeps_all_from_being_stored(
    settings: StoredSettings, database: Database
) -> None:
    with pytest.raises(SchemaError):
        await settings.change_secret_values(CALLER, [("A", Secret("x")), ("1", Secret("y"))])
    assert await settings.list_secret_values() == ()
    assert await records(database) == []
