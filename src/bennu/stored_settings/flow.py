"""Changing what is stored: every change is checked, sealed and recorded in one transaction.

What the environment sets wins by name: it is shown in place of what is stored, and cannot be
changed here.

Spec: lines 164-170 (kept sealed), 256-260 (recorded).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bennu.access import Caller
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.encryption.vault import SecretChanges, StoredSetting, Vault
from bennu.kernel.errors import ConflictError, FieldProblem, NotFoundError, SchemaError
from bennu.kernel.secret import Secret
from bennu.storage.database import Connection, Database
from bennu.stored_settings.model import (
    PROVIDER_PREFIX,
    SMTP_NAME,
    MailServer,
    Provider,
    ProviderCheck,
    mail_server_problems,
    provider_name_problems,
    provider_problems,
    provider_variable,
    secret_change_problems,
)

_AUTO_LOGIN: Final = "auto_login"


class KeepSecret:
    """Stands for "the request said nothing about the secret": the stored one stays."""


KEEP_SECRET: Final = KeepSecret()
NewSecret = Secret | KeepSecret | None


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    """What the environment sets of these things; it wins by name."""

    mail_server: MailServer | None = None
    providers: tuple[Provider, ...] = ()

    def provider(self, name: str) -> Provider | None:
        """Return the provider of that name, if the environment sets one."""
        return next((provider for provider in self.providers if provider.name == name), None)


class StoredSettings:
    """The use cases around stored settings and secret values.

    Args:
        database: started.
        vault: seals the secret parts.
        audit: every change ends in a record.
        environment: what the environment sets.
        check_provider: the parser of the environment, for providers made here.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        audit: AuditLog,
        environment: EnvironmentSettings,
        check_provider: ProviderCheck,
    ) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._environment = environment
        self._check_provider = check_provider

    # --- mail server -----------------------------------------------------------------------

    async def find_mail_server(self) -> MailServer | None:
        """Return the mail server in use with its password, or None when there is none."""
        if self._environment.mail_server is not None:
            return self._environment.mail_server
        return await self._database.read(self._stored_mail_server)

    async def change_mail_server(
        self, caller: Caller, server: MailServer, password: NewSecret
    ) -> MailServer:
        """Store a mail server in place of the one there is.

        Args:
            caller: who changes it.
            server: all of it but the password.
            password: the new one, None for none, KEEP_SECRET to keep the stored one; that is
                possible only while host, port and user stay the same, so that nobody can have
                a password sent elsewhere that they do not know.

        Raises:
            ConflictError: the environment sets the mail server.
            SchemaError: names each wrong field.
        """
        if self._environment.mail_server is not None:
            raise _environment_wins("PHOENIX_SMTP_HOSTNAME")

        def work(connection: Connection) -> MailServer:
            before = self._stored_mail_server(connection)
            new = replace(server, password=_mail_password(before, server, password))
            _refuse(mail_server_problems(new))
            self._vault.keep_setting(
                connection, StoredSetting(SMTP_NAME, new.plain(), new.password)
            )
            self._record(connection, caller, SMTP_NAME, before, new)
            return new

        return await self._database.write(work)

    async def delete_mail_server(self, caller: Caller) -> None:
        """Delete the stored mail server.

        Raises:
            NotFoundError: none is stored.
        """

        def work(connection: Connection) -> None:
            before = self._stored_mail_server(connection)
            if not self._vault.delete_setting(connection, SMTP_NAME):
                raise NotFoundError("No mail server is stored")
            self._record(connection, caller, SMTP_NAME, before, None)

        await self._database.write(work)

    def _stored_mail_server(self, connection: Connection) -> MailServer | None:
        found = self._vault.stored_setting(connection, SMTP_NAME)
        return None if found is None else MailServer(**found.plain, password=found.secret)

    # --- identity providers ----------------------------------------------------------------

    async def find_providers(self) -> tuple[Provider, ...]:
        """Return the providers in use with their client secrets, in order of name."""
        return await self._database.read(self._providers)

    async def change_provider(
        self, caller: Caller, name: str, fields: Mapping[str, str], client_secret: NewSecret
    ) -> Provider:
        """Store a provider in place of the one of that name.

        Args:
            caller: who changes it.
            name: as in the address.
            fields: suffix in lower case and text, as it would stand in the environment.
            client_secret: the new one, None for none, KEEP_SECRET to keep the stored one; that
                is possible only while client id and discovery address stay the same.

        Raises:
            ConflictError: the environment sets a provider of that name.
            SchemaError: names each wrong field.
        """
        _refuse(provider_name_problems(name))
        if self._environment.provider(name) is not None:
            raise _environment_wins(provider_variable(name, "client_id"))

        def work(connection: Connection) -> Provider:
            before = self._stored_provider(connection, name)
            secret = _client_secret(before, fields, client_secret)
            new = Provider(name, dict(fields), secret)
            _refuse(provider_problems(new, self._check_provider))
            _refuse(_auto_login_problems(new, self._providers(connection)))
            stored = StoredSetting(PROVIDER_PREFIX + name, new.fields, secret)
            self._vault.keep_setting(connection, stored)
            self._record(connection, caller, PROVIDER_PREFIX + name, before, new)
            return new

        return await self._database.write(work)

    async def delete_provider(self, caller: Caller, name: str) -> None:
        """Delete a stored provider.

        Raises:
            NotFoundError: there is none of that name.
            ConflictError: there is one, and the environment sets it.
        """

        def work(connection: Connection) -> None:
            before = self._stored_provider(connection, name)
            if before is None and self._environment.provider(name) is not None:
                raise _environment_wins(provider_variable(name, "client_id"))
            if not self._vault.delete_setting(connection, PROVIDER_PREFIX + name):
                raise NotFoundError("No such provider is stored")
            self._record(connection, caller, PROVIDER_PREFIX + name, before, None)

        await self._database.write(work)

    def _providers(self, connection: Connection) -> tuple[Provider, ...]:
        found = {
            setting.name.removeprefix(PROVIDER_PREFIX): setting
            for setting in self._vault.stored_settings_under(connection, PROVIDER_PREFIX)
        }
        providers = {
            name: Provider(name, setting.plain, setting.secret) for name, setting in found.items()
        }
        providers.update({provider.name: provider for provider in self._environment.providers})
        return tuple(providers[name] for name in sorted(providers))

    def _stored_provider(self, connection: Connection, name: str) -> Provider | None:
        found = self._vault.stored_setting(connection, PROVIDER_PREFIX + name)
        return None if found is None else Provider(name, found.plain, found.secret)

    # --- secret values ---------------------------------------------------------------------

    async def change_secret_values(
        self, caller: Caller, changes: Sequence[tuple[str, Secret | None]]
    ) -> SecretChanges:
        """Keep or delete secret values; of a name given twice the last counts.

        Raises:
            SchemaError: names each wrong item by its place, never its value.
        """
        _refuse(secret_change_problems(changes))

        def work(connection: Connection) -> SecretChanges:
            done = self._vault.change_secret_values(connection, changes)
            for name in (*done.upserted, *(name for name in done.deleted if name in done.existed)):
                event = AuditEvent(
                    EventName.SECRET_CHANGED,
                    Outcome.SUCCEEDED,
                    target=Target("secret", name, name),
                    before={"set": name in done.existed},
                    after={"set": name in done.upserted},
                )
                self._audit.record(connection, event, caller)
            return done

        return await self._database.write(work)

    async def list_secret_values(self) -> tuple[tuple[str, int], ...]:
        """Return names, each with the microseconds of its last change; never values."""
        return await self._database.read(self._vault.secret_value_names)

    def _record(
        self,
        connection: Connection,
        caller: Caller,
        name: str,
        before: MailServer | Provider | None,
        after: MailServer | Provider | None,
    ) -> None:
        event = AuditEvent(
            EventName.SETTINGS_CHANGED,
            Outcome.SUCCEEDED,
            target=Target("settings", name, name),
            before=None if before is None else before.shown(),
            after=None if after is None else _after(before, after),
        )
        self._audit.record(connection, event, caller)


def _after(before: MailServer | Provider | None, after: MailServer | Provider) -> dict[str, object]:
    """Return what may be shown, and whether the secret part is another one than before."""
    return {**after.shown(), "secret_changed": _secret_of(before) != _secret_of(after)}


def _secret_of(setting: MailServer | Provider | None) -> Secret | None:
    if setting is None:
        return None
    return setting.password if isinstance(setting, MailServer) else setting.client_secret


def _refuse(problems: Sequence[FieldProblem]) -> None:
    if problems:
        raise SchemaError(*problems)


def _environment_wins(variable: str) -> ConflictError:
    return ConflictError(f"Set by the environment ({variable}); change it there")


def _mail_password(
    before: MailServer | None, server: MailServer, password: NewSecret
) -> Secret | None:
    if not isinstance(password, KeepSecret):
        return password
    if before is None or before.password is None:
        return None
    places = ((s.hostname, s.port, s.username) for s in (before, server))
    if len(set(places)) > 1:
        text = "must be given again when hostname, port or username changes"
        raise SchemaError(FieldProblem(("body", "password"), text))
    return before.password


def _client_secret(
    before: Provider | None, fields: Mapping[str, str], client_secret: NewSecret
) -> Secret | None:
    if not isinstance(client_secret, KeepSecret):
        return client_secret
    if before is None or before.client_secret is None:
        return None
    if any(before.fields.get(key) != fields.get(key) for key in ("client_id", "oidc_config_url")):
        text = "must be given again when client_id or oidc_config_url changes"
        raise SchemaError(FieldProblem(("body", "client_secret"), text))
    return before.client_secret


def _auto_login_problems(new: Provider, providers: Sequence[Provider]) -> tuple[FieldProblem, ...]:
    """Only one provider can be the one to which everybody is sent."""
    if new.fields.get(_AUTO_LOGIN) != "true":
        return ()
    others = [p.name for p in providers if p.name != new.name and p.shown().get(_AUTO_LOGIN)]
    text = f"can be true for one provider only; it is for {', '.join(others)}"
    return (FieldProblem(("body", _AUTO_LOGIN), text),) if others else ()
