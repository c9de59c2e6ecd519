"""``/v1/settings/smtp``, ``/v1/settings/oauth2_providers`` and ``PUT /v1/secrets``.

Answers never hold a secret, only whether one is set.
"""

from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, json_of, path_value
from bennu.httpio.respond import empty_answer, json_answer
from bennu.httpio.route import Route
from bennu.kernel.errors import FieldProblem, NotFoundError, SchemaError
from bennu.kernel.secret import Secret
from bennu.stored_settings.flow import KEEP_SECRET, NewSecret, StoredSettings
from bennu.stored_settings.model import (
    PROVIDER_FLAGS,
    PROVIDER_TEXTS,
    SMTP_DEFAULT_PORT,
    SMTP_DEFAULT_SENDER,
    MailServer,
)

_SMTP_PATH: Final = "/v1/settings/smtp"
_PROVIDERS_PATH: Final = "/v1/settings/oauth2_providers"
#: Up to 1,000 values of 64 KiB would be more than anybody sends at once.
_SECRETS_LIMIT_BYTES: Final = 8 * 1_048_576


class MailServerBody(msgspec.Struct, forbid_unknown_fields=True):
    """A mail server; an absent password keeps the stored one, null removes it."""

    hostname: str
    port: int = SMTP_DEFAULT_PORT
    username: str | None = ""
    password: str | UnsetType | None = UNSET
    mail_from: str | None = SMTP_DEFAULT_SENDER
    validate_certs: bool = True


class MailServerShown(msgspec.Struct):
    """A mail server without its password."""

    hostname: str
    port: int
    username: str
    mail_from: str
    validate_certs: bool
    password_set: bool
    source: str


class ProviderBody(msgspec.Struct, forbid_unknown_fields=True):
    """An identity provider; an absent client secret keeps the stored one, null removes it."""

    client_id: str
    oidc_config_url: str
    client_secret: str | UnsetType | None = UNSET
    display_name: str | None = None
    allow_sign_up: bool | None = None
    auto_login: bool | None = None
    use_pkce: bool | None = None
    token_endpoint_auth_method: str | None = None
    scopes: str | list[str] | None = None
    email_attribute_path: str | None = None
    groups_attribute_path: str | None = None
    allowed_groups: str | list[str] | None = None
    role_attribute_path: str | None = None
    role_mapping: str | dict[str, str] | None = None
    role_attribute_strict: bool | None = None
    role_resync: bool | None = None


class ProviderShown(msgspec.Struct, omit_defaults=True):
    """An identity provider without its client secret; only what is set."""

    name: str
    client_secret_set: bool
    source: str
    client_id: str = ""
    oidc_config_url: str = ""
    display_name: str = ""
    token_endpoint_auth_method: str = ""
    scopes: str = ""
    email_attribute_path: str = ""
    groups_attribute_path: str = ""
    allowed_groups: str = ""
    role_attribute_path: str = ""
    role_mapping: str = ""
    allow_sign_up: bool | None = None
    auto_login: bool | None = None
    use_pkce: bool | None = None
    role_attribute_strict: bool | None = None
    role_resync: bool | None = None


class MailServerAnswer(msgspec.Struct):
    """One mail server."""

    data: MailServerShown


class ProviderAnswer(msgspec.Struct):
    """One provider."""

    data: ProviderShown


class ProvidersAnswer(msgspec.Struct):
    """All providers, in order of name."""

    data: list[ProviderShown]


class SecretKeyValue(msgspec.Struct):
    """One secret value; null deletes it."""

    key: str
    value: str | None


class SecretsBody(msgspec.Struct):
    """Secret values to keep or to delete."""

    secrets: list[SecretKeyValue]


class SecretsDone(msgspec.Struct):
    """Names only."""

    upserted_keys: list[str]
    deleted_keys: list[str]


class SecretsAnswer(msgspec.Struct):
    """What a change of secret values did."""

    data: SecretsDone


class _Handlers:
    """Decode, call the flow, encode."""

    def __init__(self, settings: StoredSettings) -> None:
        self._settings = settings

    async def get_mail_server(self, request: Request) -> Response:  # noqa: ARG002 - a handler's shape
        found = await self._settings.find_mail_server()
        if found is None:
            raise NotFoundError("No mail server is configured")
        return json_answer({"data": found.shown()})

    async def put_mail_server(self, request: Request) -> Response:
        body = await json_of(request, MailServerBody)
        server = MailServer(
            hostname=body.hostname.strip(),
            port=body.port,
            username=body.username or "",
            mail_from=body.mail_from or SMTP_DEFAULT_SENDER,
            validate_certs=body.validate_certs,
        )
        stored = await self._settings.change_mail_server(
            caller_of(request), server, _new_secret(body.password)
        )
        return json_answer({"data": stored.shown()})

    async def delete_mail_server(self, request: Request) -> Response:
        await self._settings.delete_mail_server(caller_of(request))
        return empty_answer()

    async def get_providers(self, request: Request) -> Response:  # noqa: ARG002 - a handler's shape
        found = await self._settings.find_providers()
        return json_answer({"data": [provider.shown() for provider in found]})

    async def put_provider(self, request: Request) -> Response:
        body = await json_of(request, ProviderBody)
        stored = await self._settings.change_provider(
            caller_of(request),
            path_value(request, "name"),
            provider_fields(body),
            _new_secret(body.client_secret),
        )
        return json_answer({"data": stored.shown()})

    async def delete_provider(self, request: Request) -> Response:
        await self._settings.delete_provider(caller_of(request), path_value(request, "name"))
        return empty_answer()

    async def put_secrets(self, request: Request) -> Response:
        body = await json_of(request, SecretsBody, _SECRETS_LIMIT_BYTES)
        changes = [
            (item.key, None if item.value is None else Secret(item.value)) for item in body.secrets
        ]
        done = await self._settings.change_secret_values(caller_of(request), changes)
        shown = {"upserted_keys": list(done.upserted), "deleted_keys": list(done.deleted)}
        return json_answer({"data": shown})


def _new_secret(text: str | UnsetType | None) -> NewSecret:
    if isinstance(text, UnsetType):
        return KEEP_SECRET
    return Secret(text) if text else None


def provider_fields(body: ProviderBody) -> dict[str, str]:
    """Return what is set of a provider as texts, the way the environment would hold them.

    Raises:
        SchemaError: an item of a list holds what separates items.
    """
    fields: dict[str, str] = {}
    for name in PROVIDER_TEXTS:
        text = _text_of(name, getattr(body, name))
        if text:
            fields[name] = text
    for name in PROVIDER_FLAGS:
        flag: bool | None = getattr(body, name)
        if flag is not None:
            fields[name] = "true" if flag else "false"
    return fields


def _text_of(name: str, value: str | list[str] | dict[str, str] | None) -> str:
    if isinstance(value, dict):
        value = [f"{key}:{role}" for key, role in value.items()]
    if not isinstance(value, list):
        return (value or "").strip()
    separator = " " if name == "scopes" else ","
    if any(separator in item or not item.strip() for item in value):
        text = f"items must not be empty or hold {separator!r}"
        raise SchemaError(FieldProblem(("body", name), text))
    return separator.join(value)


def stored_settings_routes(settings: StoredSettings) -> tuple[Route, ...]:
    """Return the routes of stored settings and secret values."""
    handlers = _Handlers(settings)
    return (*_mail_server_routes(handlers), *_provider_routes(handlers), _secrets_route(handlers))


def _mail_server_routes(handlers: _Handlers) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path=_SMTP_PATH,
            handler=handlers.get_mail_server,
            permission=Permission.SETTINGS_MANAGE,
            summary="Show the mail server in use, without its password",
            response=MailServerAnswer,
            errors=(HTTPStatus.NOT_FOUND,),
            tags=("settings",),
        ),
        Route(
            method="PUT",
            path=_SMTP_PATH,
            handler=handlers.put_mail_server,
            permission=Permission.SETTINGS_MANAGE,
            summary="Store a mail server",
            request=MailServerBody,
            response=MailServerAnswer,
            events=(EventName.SETTINGS_CHANGED,),
            errors=(HTTPStatus.CONFLICT,),
            tags=("settings",),
        ),
        Route(
            method="DELETE",
            path=_SMTP_PATH,
            handler=handlers.delete_mail_server,
            permission=Permission.SETTINGS_MANAGE,
            summary="Delete the stored mail server",
            status=HTTPStatus.NO_CONTENT,
            events=(EventName.SETTINGS_CHANGED,),
            errors=(HTTPStatus.NOT_FOUND,),
            tags=("settings",),
        ),
    )


def _provider_routes(handlers: _Handlers) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path=_PROVIDERS_PATH,
            handler=handlers.get_providers,
            permission=Permission.SETTINGS_MANAGE,
            summary="List the identity providers, without their client secrets",
            response=ProvidersAnswer,
            tags=("settings",),
        ),
        Route(
            method="PUT",
            path=_PROVIDERS_PATH + "/{name}",
            handler=handlers.put_provider,
            permission=Permission.SETTINGS_MANAGE,
            summary="Store an identity provider",
            request=ProviderBody,
            response=ProviderAnswer,
            events=(EventName.SETTINGS_CHANGED,),
            errors=(HTTPStatus.CONFLICT,),
            tags=("settings",),
        ),
        Route(
            method="DELETE",
            path=_PROVIDERS_PATH + "/{name}",
            handler=handlers.delete_provider,
            permission=Permission.SETTINGS_MANAGE,
            summary="Delete a stored identity provider",
            status=HTTPStatus.NO_CONTENT,
            events=(EventName.SETTINGS_CHANGED,),
            errors=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
            tags=("settings",),
        ),
    )


def _secrets_route(handlers: _Handlers) -> Route:
    return Route(
        method="PUT",
        path="/v1/secrets",
        handler=handlers.put_secrets,
        permission=Permission.SECRETS_MANAGE,
        summary="Keep or delete secret values; they never come back",
        request=SecretsBody,
        response=SecretsAnswer,
        events=(EventName.SECRET_CHANGED,),
        tags=("secrets",),
    )
