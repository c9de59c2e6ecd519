"""Settings, Sign-in: identity providers and the directory, and trying them step by step.

Spec: lines 24-133, 279-285.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, path_value
from bennu.httpio.respond import status_of
from bennu.httpio.route import Limit, Route
from bennu.kernel.errors import AppError, ConflictError, NotFoundError
from bennu.kernel.secret import Secret
from bennu.stored_settings.flow import StoredSettings
from bennu.stored_settings.model import Provider, SettingSource
from bennu.web.forms import Form
from bennu.web.pages import Pages, problems_of
from bennu.web.provider_form import (
    FLAGS,
    TEXTS,
    client_secret_of,
    fields_of,
    fields_typed,
    stored_fields,
)

_PATH: Final = "/settings/sign-in"
_ONE: Final = _PATH + "/{provider}"
_DIRECTORY_TEST: Final = "/settings/directory/test"
_NO_EVENT: Final = "nobody is signed in and nothing is changed"


@dataclass(frozen=True, slots=True)
class SignInFlows:
    """The flows behind these pages.

    Args:
        stored: providers of the environment and of the database.
        try_provider: the steps of ``bennu oauth2 test``, by name.
        directory: what is configured of the directory, by variable; None without one.
        try_directory: the steps of ``bennu ldap test``; a password of None skips a step.
    """

    stored: StoredSettings
    try_provider: Callable[[str], Awaitable[Sequence[object]]]
    directory: dict[str, str] | None
    try_directory: Callable[[str, Secret | None], Awaitable[Sequence[object]]]


class _SignInPages:
    def __init__(self, pages: Pages, flows: SignInFlows) -> None:
        self._pages, self._flows = pages, flows

    async def listing(self, request: Request) -> Response:
        """All providers and the directory."""
        return await self._show_all(request)

    async def _show_all(
        self, request: Request, *, steps: Sequence[object] = (), tried: str = ""
    ) -> Response:
        providers = await self._flows.stored.find_providers()
        return self._pages.show(
            request,
            "sign_in_settings.html",
            providers=[provider.shown() for provider in providers],
            directory=self._flows.directory,
            steps=steps,
            tried=tried,
        )

    # --- one provider --------------------------------------------------------------------------

    async def _find(self, request: Request) -> Provider:
        name = path_value(request, "provider")
        for provider in await self._flows.stored.find_providers():
            if provider.name == name:
                return provider
        raise NotFoundError("There is no identity provider of that name")

    async def new(self, request: Request) -> Response:
        """The form of a new provider."""
        return self._show_form(request, None)

    async def one(self, request: Request) -> Response:
        """The form of a stored provider."""
        return self._show_form(request, await self._find(request))

    def _show_form(
        self,
        request: Request,
        provider: Provider | None,
        status: int = 200,
        error: AppError | None = None,
        sent: Form | None = None,
    ) -> Response:
        has_secret = provider is not None and bool(provider.client_secret)
        typed = fields_of(provider) if sent is None else fields_typed(sent, has_secret=has_secret)
        is_fixed = provider is not None and provider.source is SettingSource.ENVIRONMENT
        return self._pages.show(
            request,
            "provider.html",
            status,
            name="" if provider is None else provider.name,
            is_fixed=is_fixed,
            typed=typed,
            texts=TEXTS,
            flags=FLAGS,
            errors={} if error is None else problems_of(error),
        )

    async def add(self, request: Request) -> Response:
        """Store a further provider."""
        form = await self._pages.form(request)
        name = form.text("name")
        try:
            if name in {known.name for known in await self._flows.stored.find_providers()}:
                raise ConflictError("There is a provider of that name already")
            await self._flows.stored.change_provider(
                caller_of(request), name, stored_fields(form), client_secret_of(form)
            )
        except AppError as error:
            return self._show_form(request, None, status_of(error), error, form)
        return self._pages.go(_PATH, done="created")

    async def change(self, request: Request) -> Response:
        """Store a provider in place of the one of that name."""
        form = await self._pages.form(request)
        provider = await self._find(request)
        try:
            await self._flows.stored.change_provider(
                caller_of(request), provider.name, stored_fields(form), client_secret_of(form)
            )
        except AppError as error:
            return self._show_form(request, provider, status_of(error), error, form)
        return self._pages.go(_PATH, done="changed")

    async def confirm_deleting(self, request: Request) -> Response:
        """Ask, naming what will be lost."""
        provider = await self._find(request)
        return self._pages.show(request, "provider_delete.html", provider=provider.shown())

    async def delete(self, request: Request) -> Response:
        """Delete a stored provider."""
        await self._pages.form(request)
        name = (await self._find(request)).name
        await self._flows.stored.delete_provider(caller_of(request), name)
        return self._pages.go(_PATH, done="deleted")

    # --- trying --------------------------------------------------------------------------------

    async def test_provider(self, request: Request) -> Response:
        """Try a provider and show each step."""
        await self._pages.form(request)
        provider = await self._find(request)
        steps = await self._flows.try_provider(provider.name)
        return await self._show_all(request, steps=steps, tried=provider.name)

    async def test_directory(self, request: Request) -> Response:
        """Try the directory with somebody's name and show each step."""
        form = await self._pages.form(request)
        if self._flows.directory is None:
            raise NotFoundError("No directory is configured")
        typed = form.raw("password")
        password = Secret(typed) if typed else None
        steps = await self._flows.try_directory(form.text("username"), password)
        return await self._show_all(request, steps=steps, tried="the directory")


def sign_in_settings_page_routes(pages: Pages, flows: SignInFlows) -> tuple[Route, ...]:
    """Return the routes of the settings of sign-in."""
    of = _SignInPages(pages, flows)
    table = (*_list_routes(of), *_routes_of_one(of), *_test_routes(of))
    return tuple(pages.as_page(route) for route in table)


def _list_routes(of: _SignInPages) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path=_PATH,
            handler=of.listing,
            permission=Permission.SETTINGS_MANAGE,
            summary="The page of identity providers and the directory",
        ),
        Route(
            method="GET",
            path="/settings/new-provider",
            handler=of.new,
            permission=Permission.SETTINGS_MANAGE,
            summary="The page of a new identity provider",
        ),
        Route(
            method="POST",
            path=_PATH,
            handler=of.add,
            permission=Permission.SETTINGS_MANAGE,
            summary="Store a further identity provider by the form of the page",
            status=303,
            events=(EventName.SETTINGS_CHANGED,),
        ),
    )


def _routes_of_one(of: _SignInPages) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path=_ONE,
            handler=of.one,
            permission=Permission.SETTINGS_MANAGE,
            summary="The page of one identity provider",
        ),
        Route(
            method="POST",
            path=_ONE,
            handler=of.change,
            permission=Permission.SETTINGS_MANAGE,
            summary="Change an identity provider by the form of the page",
            status=303,
            events=(EventName.SETTINGS_CHANGED,),
        ),
        Route(
            method="GET",
            path=_ONE + "/delete",
            handler=of.confirm_deleting,
            permission=Permission.SETTINGS_MANAGE,
            summary="The page that asks before an identity provider is deleted",
        ),
        Route(
            method="POST",
            path=_ONE + "/delete",
            handler=of.delete,
            permission=Permission.SETTINGS_MANAGE,
            summary="Delete an identity provider by the form of the page",
            status=303,
            events=(EventName.SETTINGS_CHANGED,),
        ),
    )


def _test_routes(of: _SignInPages) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path=_ONE + "/test",
            handler=of.test_provider,
            permission=Permission.SETTINGS_MANAGE,
            limit=Limit.SIGN_IN,
            summary="Try an identity provider step by step",
            no_event=_NO_EVENT,
        ),
        Route(
            method="POST",
            path=_DIRECTORY_TEST,
            handler=of.test_directory,
            permission=Permission.SETTINGS_MANAGE,
            limit=Limit.SIGN_IN,
            summary="Try the directory step by step",
            no_event=_NO_EVENT,
        ),
    )
