"""Settings, Secrets and mail: secret values by name only, and the mail server.

No value ever comes back: what is stored is shown as "set", and an empty field keeps it.

Spec: lines 156-170.
"""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, path_value
from bennu.httpio.respond import status_of
from bennu.httpio.route import Route
from bennu.kernel.errors import AppError, FieldProblem, NotFoundError, SchemaError
from bennu.kernel.secret import Secret
from bennu.stored_settings.flow import KEEP_SECRET, NewSecret, StoredSettings
from bennu.stored_settings.model import SMTP_DEFAULT_PORT, SMTP_DEFAULT_SENDER, MailServer
from bennu.web.forms import Form
from bennu.web.pages import Pages, problems_of

_PATH: Final = "/settings/secrets"
_MAIL: Final = "/settings/mail"
_HIGHEST_PORT: Final = 65_535


class _SecretPages:
    def __init__(self, pages: Pages, settings: StoredSettings) -> None:
        self._pages, self._settings = pages, settings

    async def listing(self, request: Request) -> Response:
        """Names of secret values, and the mail server."""
        return await self._show(request)

    async def _show(
        self,
        request: Request,
        status: int = 200,
        *,
        error: AppError | None = None,
        mail_error: AppError | None = None,
        sent: Form | None = None,
    ) -> Response:
        may_change_mail = caller_of(request).principal.may(Permission.SETTINGS_MANAGE)
        server = await self._settings.find_mail_server() if may_change_mail else None
        return self._pages.show(
            request,
            "secrets.html",
            status,
            rows=await self._settings.list_secret_values(),
            typed_key="" if sent is None else sent.text("key"),
            may_change_mail=may_change_mail,
            mail=None if server is None else server.shown(),
            form=_mail_form(server, sent if mail_error else None),
            errors={} if error is None else problems_of(error),
            mail_errors={} if mail_error is None else problems_of(mail_error),
        )

    def _may_list(self, request: Request) -> bool:
        """Whether a refused form may show its page again, which names all secret values."""
        return caller_of(request).principal.may(Permission.SECRETS_MANAGE)

    # --- secret values -------------------------------------------------------------------------

    async def keep(self, request: Request) -> Response:
        """Keep a secret value under a name, in place of the one there is."""
        form = await self._pages.form(request)
        try:
            if not form.raw("value"):
                raise SchemaError(FieldProblem(("body", "value"), "Give the value to keep"))
            change = (form.text("key"), Secret(form.raw("value")))
            await self._settings.change_secret_values(caller_of(request), [change])
        except AppError as error:
            return await self._show(request, status_of(error), error=error, sent=form)
        return self._pages.go(_PATH, done="changed")

    async def confirm_deleting(self, request: Request) -> Response:
        """Ask, naming what will be lost."""
        name = await self._known_name(request)
        return self._pages.show(request, "secret_delete.html", name=name)

    async def delete(self, request: Request) -> Response:
        """Delete a secret value."""
        await self._pages.form(request)
        name = await self._known_name(request)
        await self._settings.change_secret_values(caller_of(request), [(name, None)])
        return self._pages.go(_PATH, done="deleted")

    async def _known_name(self, request: Request) -> str:
        name = path_value(request, "key")
        if name not in {known for known, _ in await self._settings.list_secret_values()}:
            raise NotFoundError("There is no secret value of that name")
        return name

    # --- mail server ---------------------------------------------------------------------------

    async def change_mail(self, request: Request) -> Response:
        """Store the mail server."""
        form = await self._pages.form(request)
        try:
            server = _mail_server(form)
            await self._settings.change_mail_server(caller_of(request), server, _password(form))
        except AppError as error:
            if not self._may_list(request):
                raise
            return await self._show(request, status_of(error), mail_error=error, sent=form)
        return self._pages.go(_PATH, done="changed")

    async def delete_mail(self, request: Request) -> Response:
        """Delete the stored mail server."""
        await self._pages.form(request)
        try:
            await self._settings.delete_mail_server(caller_of(request))
        except AppError as error:
            if not self._may_list(request):
                raise
            return await self._show(request, status_of(error), mail_error=error)
        return self._pages.go(_PATH, done="deleted")


def _mail_form(server: MailServer | None, sent: Form | None) -> dict[str, Any]:
    """Return what stands in the form: what was typed, else what is stored, never a password."""
    names = ("hostname", "port", "username", "mail_from")
    if sent is not None:
        typed: dict[str, Any] = {name: sent.text(name) for name in names}
        return {**typed, "validate_certs": sent.is_ticked("validate_certs")}
    if server is not None:
        return server.plain()
    return MailServer("").plain()


def _mail_server(form: Form) -> MailServer:
    port = form.text("port") or str(SMTP_DEFAULT_PORT)
    is_number = port.isascii() and port.isdecimal() and len(port) <= len(str(_HIGHEST_PORT))
    if not (is_number and 0 < int(port) <= _HIGHEST_PORT):
        raise SchemaError(FieldProblem(("body", "port"), f"From 1 to {_HIGHEST_PORT}"))
    return MailServer(
        hostname=form.text("hostname"),
        port=int(port),
        username=form.text("username"),
        mail_from=form.text("mail_from") or SMTP_DEFAULT_SENDER,
        validate_certs=form.is_ticked("validate_certs"),
    )


def _password(form: Form) -> NewSecret:
    if form.is_ticked("no_password"):
        return None
    return Secret(form.raw("password")) if form.raw("password") else KEEP_SECRET


def secret_page_routes(pages: Pages, settings: StoredSettings) -> tuple[Route, ...]:
    """Return the routes of secret values and of the mail server."""
    of = _SecretPages(pages, settings)
    return tuple(pages.as_page(route) for route in (*_value_routes(of), *_mail_routes(of)))


def _value_routes(of: _SecretPages) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path=_PATH,
            handler=of.listing,
            permission=Permission.SECRETS_MANAGE,
            summary="The page of secret values and the mail server",
        ),
        Route(
            method="POST",
            path=_PATH,
            handler=of.keep,
            permission=Permission.SECRETS_MANAGE,
            summary="Keep a secret value by the form of the page",
            status=303,
            events=(EventName.SECRET_CHANGED,),
        ),
        Route(
            method="GET",
            path=_PATH + "/{key}/delete",
            handler=of.confirm_deleting,
            permission=Permission.SECRETS_MANAGE,
            summary="The page that asks before a secret value is deleted",
        ),
        Route(
            method="POST",
            path=_PATH + "/{key}/delete",
            handler=of.delete,
            permission=Permission.SECRETS_MANAGE,
            summary="Delete a secret value by the form of the page",
            status=303,
            events=(EventName.SECRET_CHANGED,),
        ),
    )


def _mail_routes(of: _SecretPages) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path=_MAIL,
            handler=of.change_mail,
            permission=Permission.SETTINGS_MANAGE,
            summary="Store the mail server by the form of the page",
            status=303,
            events=(EventName.SETTINGS_CHANGED,),
        ),
        Route(
            method="POST",
            path=_MAIL + "/delete",
            handler=of.delete_mail,
            permission=Permission.SETTINGS_MANAGE,
            summary="Delete the stored mail server by the form of the page",
            status=303,
            events=(EventName.SETTINGS_CHANGED,),
        ),
    )
