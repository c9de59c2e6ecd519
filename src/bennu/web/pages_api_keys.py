"""Settings, API Keys: make one, see it once, copy it; list, rotate and revoke.

Spec: lines 136-141, 152-154.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from bennu.access import SYSTEM, Caller, Permission
from bennu.audit.events import EventName
from bennu.auth.api_keys.authority import KIND_NAMES
from bennu.auth.api_keys.flow import ApiKeys
from bennu.auth.api_keys.making import MadeApiKey
from bennu.auth.api_keys.rotation import KeyRotation
from bennu.auth.api_keys.store import SYSTEM_KEYS, USER_KEYS, ApiKey
from bennu.httpio.dispatch import origin_of
from bennu.httpio.request import caller_of, path_value
from bennu.httpio.respond import status_of
from bennu.httpio.route import Door, Route
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import AppError, FieldProblem, NotFoundError, SchemaError
from bennu.kernel.ids import parse_global_id
from bennu.roles.flow import Roles
from bennu.storage.used_once import UsedUpError
from bennu.traces.projects.flow import Projects
from bennu.traces.projects.store import Project
from bennu.web.api_key_view import KeyRow, asked_by, key_row, new_key_of
from bennu.web.forms import Form
from bennu.web.pages import Pages, problems_of
from bennu.web.permission_choices import INGEST_ONLY, permission_choices

_PATH = "/settings/api-keys"
_MOST_PROJECTS = 1_000
_OVERLAPS = ((0, "at once"), (60, "in an hour"), (1_440, "in a day"), (10_080, "in a week"))


@dataclass(frozen=True, slots=True)
class KeyFlows:
    """The flows behind these pages."""

    keys: ApiKeys
    rotation: KeyRotation
    roles: Roles
    projects: Projects
    clock: Clock


class _ApiKeyPages:
    def __init__(self, pages: Pages, flows: KeyFlows) -> None:
        self._pages, self._flows = pages, flows

    async def listing(self, request: Request) -> Response:
        """All keys that the caller may see; the form for a new one when it is asked for."""
        is_asked = "new" in request.query_params
        return await self._show(request, form=await self._form(request) if is_asked else None)

    async def _show(
        self,
        request: Request,
        status: int = 200,
        *,
        form: dict[str, Any] | None = None,
        made: MadeApiKey | None = None,
    ) -> Response:
        caller = caller_of(request)
        return self._pages.show(
            request,
            "api_keys.html",
            status,
            rows=await self._rows(caller),
            form=form,
            made=made,
            origin=origin_of(request),
            errors={} if form is None else form["errors"],
        )

    async def _rows(self, caller: Caller) -> list[KeyRow]:
        keys = self._flows.keys
        if caller.principal.may(Permission.API_KEYS_MANAGE):
            found = await keys.list_keys(USER_KEYS) + await keys.list_keys(SYSTEM_KEYS)
        else:
            found = await keys.list_own_keys(caller)
        newest = sorted(found, key=lambda key: (-key.created_at, -key.row_id))
        return await self._shown(caller, newest)

    async def _shown(self, caller: Caller, keys: Sequence[ApiKey]) -> list[KeyRow]:
        names = {project.row_id: project.name for project in await self._projects(caller)}
        now = to_microseconds(self._flows.clock.now_utc())
        return [key_row(key, names, now) for key in keys]

    async def _projects(self, caller: Caller) -> tuple[Project, ...]:
        if not caller.principal.may(Permission.PROJECTS_READ):
            return ()
        page = await self._flows.projects.page_of_projects(caller, _MOST_PROJECTS, None, "")
        return page.projects

    async def _form(
        self, request: Request, sent: Form | None = None, error: AppError | None = None
    ) -> dict[str, Any]:
        """Return what the form of a new key shows: at first everything that one may is ticked."""
        caller = caller_of(request)
        own = caller.principal.permissions
        given = sent or Form({"kind": [request.query_params.get("kind", USER_KEYS)]})
        ingest_only = request.query_params.get("preset") == "ingest"
        ticked = given.many("permissions") if sent else INGEST_ONLY if ingest_only else own
        is_system = given.text("kind") == SYSTEM_KEYS
        return {
            "kind": SYSTEM_KEYS if is_system else USER_KEYS,
            "may_choose_kind": caller.principal.may(Permission.API_KEYS_MANAGE),
            "roles": [role.name for role in await self._flows.roles.list_roles()],
            "role": given.text("role") or SYSTEM,
            "name": given.text("name"),
            "description": given.text("description"),
            "expires_at": given.text("expires_at"),
            "groups": permission_choices(own, ticked),
            "projects": await self._projects(caller),
            "chosen_projects": given.many("projects"),
            "errors": {} if error is None else problems_of(error),
        }

    async def create(self, request: Request) -> Response:
        """Make a key and show it, this once."""
        caller = caller_of(request)
        form = await self._pages.form(request)
        is_system = form.text("kind") == SYSTEM_KEYS
        create = (
            self._flows.keys.create_system_key if is_system else self._flows.keys.create_user_key
        )
        try:
            made = await create(caller, new_key_of(form, caller.principal.permissions))
        except UsedUpError as error:
            return self._made_already(request, error)
        except AppError as error:
            shown = await self._form(request, form, error)
            return await self._show(request, status_of(error), form=shown)
        return await self._show(request, 201, made=made)

    def _made_already(self, request: Request, error: AppError) -> Response:
        """Tell what a reload of the page with the new key cannot show any more."""
        return self._pages.show(request, "api_key_made.html", status_of(error))

    # --- one key -------------------------------------------------------------------------------

    async def _row_of(self, request: Request) -> KeyRow:
        caller, identifier = caller_of(request), path_value(request, "key_id")
        key = await self._flows.keys.get_key(caller, identifier, _kind_of(identifier))
        (row,) = await self._shown(caller, [key])
        return row

    async def confirm_revoking(self, request: Request) -> Response:
        """Ask, naming what will be lost."""
        return self._pages.show(request, "api_key_revoke.html", key=await self._row_of(request))

    async def revoke(self, request: Request) -> Response:
        """Revoke a key."""
        await self._pages.form(request)
        identifier = path_value(request, "key_id")
        await self._flows.keys.revoke_key(caller_of(request), identifier, _kind_of(identifier))
        return self._pages.go(_PATH, done="revoked")

    async def rotation_form(self, request: Request) -> Response:
        """Ask how long the old key goes on."""
        return await self._show_rotation(request)

    async def _show_rotation(
        self, request: Request, status: int = 200, error: AppError | None = None
    ) -> Response:
        return self._pages.show(
            request,
            "api_key_rotate.html",
            status,
            key=await self._row_of(request),
            overlaps=_OVERLAPS,
            errors={} if error is None else problems_of(error),
        )

    async def rotate(self, request: Request) -> Response:
        """Make the successor of a key and show it, this once."""
        form = await self._pages.form(request)
        identifier = path_value(request, "key_id")
        try:
            made = await self._flows.rotation.rotate_key(
                caller_of(request),
                identifier,
                _kind_of(identifier),
                _overlap_of(form),
                asked_by(form),
            )
        except UsedUpError as error:
            return self._made_already(request, error)
        except AppError as error:
            return await self._show_rotation(request, status_of(error), error)
        return await self._show(request, 201, made=made)


def _kind_of(identifier: str) -> str:
    parsed = parse_global_id(identifier)
    for kind, name in KIND_NAMES.items():
        if parsed is not None and parsed[0] == name:
            return kind
    raise NotFoundError("There is no such API key")


def _overlap_of(form: Form) -> timedelta:
    text = form.text("overlap_minutes")
    if text not in {str(minutes) for minutes, _ in _OVERLAPS}:
        raise SchemaError(FieldProblem(("body", "overlap_minutes"), "Choose one of the list"))
    return timedelta(minutes=int(text))


def api_key_page_routes(pages: Pages, flows: KeyFlows) -> tuple[Route, ...]:
    """Return the routes of the pages of API keys."""
    of = _ApiKeyPages(pages, flows)
    table = (
        Route(
            method="GET",
            path=_PATH,
            handler=of.listing,
            permission=Door.PERSON,
            summary="The page of API keys",
        ),
        Route(
            method="POST",
            path=_PATH,
            handler=of.create,
            permission=Door.PERSON,
            summary="Make an API key by the form of the page",
            status=201,
            events=(EventName.API_KEY_CREATED,),
        ),
        *_routes_of_one(of),
    )
    return tuple(pages.as_page(route) for route in table)


def _routes_of_one(of: _ApiKeyPages) -> tuple[Route, ...]:
    revoke, rotate = _PATH + "/{key_id}/revoke", _PATH + "/{key_id}/rotate"
    return (
        Route(
            method="GET",
            path=revoke,
            handler=of.confirm_revoking,
            permission=Door.PERSON,
            summary="The page that asks before an API key is revoked",
        ),
        Route(
            method="POST",
            path=revoke,
            handler=of.revoke,
            permission=Door.PERSON,
            summary="Revoke an API key by the form of the page",
            status=303,
            events=(EventName.API_KEY_REVOKED,),
        ),
        Route(
            method="GET",
            path=rotate,
            handler=of.rotation_form,
            permission=Door.PERSON,
            summary="The page that asks how an API key is rotated",
        ),
        Route(
            method="POST",
            path=rotate,
            handler=of.rotate,
            permission=Door.PERSON,
            summary="Rotate an API key by the form of the page",
            status=201,
            events=(EventName.API_KEY_ROTATED,),
        ),
    )
