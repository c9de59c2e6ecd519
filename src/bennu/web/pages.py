"""How a page is made: a template and values in, an answer out; forms read, refusals shown.

Spec: lines 136-141, 210. Decision 20.
"""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bennu.access import Principal, PrincipalKind
from bennu.auth.sessions.routes import caller_or_stranger
from bennu.httpio.dispatch import refusal_answer
from bennu.httpio.respond import page_answer, status_of
from bennu.httpio.route import Route
from bennu.kernel.errors import (
    AppError,
    DeniedError,
    SchemaError,
    UnauthenticatedError,
)
from bennu.network.form_tokens import FIELD_NAME, FormTokens
from bennu.network.paths import first_part
from bennu.web import words
from bennu.web.assets import Assets
from bennu.web.forms import Form, read_form
from bennu.web.shell import Shell, navigation_for, theme_of

_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_SIGN_IN: Final = "/login"
_CHANGE_PASSWORD: Final = "/account/password"  # noqa: S105 - an address
#: What an error page says; the words of the error itself follow.
_HEADLINES: Final = {
    403: "You may not do this",
    404: "Not found",
    405: "This cannot be done here",
    409: "This cannot be done now",
    429: "Too many attempts",
    503: "Not available at the moment",
}
_STRAYS: Final = {
    404: "There is no page at this address. It may have been mistyped, or what it showed is gone.",
    405: "This page takes no such form. Open it again and go on from there.",
}
#: First parts of paths whose answers are for programs, whatever they say that they take.
_OF_PROGRAMS: Final = frozenset({"v1", "api", "auth", "static", "events", ".well-known"})


class Pages:
    """Renders templates, reads forms, answers refusals.

    Args:
        assets: files that pages load.
        tokens: of the forms.
        root_path: under which the server is served, "" for none.
    """

    def __init__(self, assets: Assets, tokens: FormTokens, root_path: str) -> None:
        self._tokens, self._root_path = tokens, root_path
        self._templates = Environment(
            loader=PackageLoader("bennu.web"),
            # Why safe: every value is escaped but what content.py made: ``Markup`` of Markdown,
            # rendered with all HTML in it escaped.
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals.update(
            href=self.address,
            root=lambda address: root_path + address,
            asset=lambda name: root_path + assets.address_of(name),
            plural=words.plural,
            token_field=FIELD_NAME,
        )
        self._templates.filters.update(
            duration=words.duration_words,
            count=words.count_words,
            time=words.time_words,
            exact=words.time_exact,
            clip=words.clipped,
        )

    def address(self, path: str, **query: object) -> str:
        """Return the address of a page under the root path; values of None are left out."""
        given = {name: str(value) for name, value in query.items() if value not in (None, "")}
        # Parts of a path may hold anything that somebody named a project.
        quoted = quote(path, safe="/%:@=+,;~-._")
        return f"{self._root_path}{quoted}" + (f"?{urlencode(given)}" if given else "")

    def show(
        self, request: Request, template: str, status: int = 200, **values: object
    ) -> Response:
        """Render a page."""
        shell = self._shell(request)
        notice = NOTICES.get(request.query_params.get("done", ""), "")
        given = {"errors": {}, **values}
        text = self._templates.get_template(template).render(shell=shell, notice=notice, **given)
        return page_answer(text, status)

    def go(self, path: str, **query: object) -> Response:
        """Lead on after a form, so that a reload repeats nothing; ``done`` names a notice."""
        return RedirectResponse(self.address(path, **query), HTTPStatus.SEE_OTHER)

    def lead(self, address: str) -> Response:
        """Lead to an address of ours that holds its query; see ``auth/return_address.py``."""
        return RedirectResponse(self._root_path + address, HTTPStatus.SEE_OTHER)

    async def form(self, request: Request) -> Form:
        """Read a form of our own.

        Raises:
            DeniedError: its token is not of this session.
            MalformedError, TooLargeError: it cannot be read.
        """
        form = await read_form(request)
        self._tokens.check_form_token(_session_of(request), form.raw(FIELD_NAME))
        return form

    def _shell(self, request: Request) -> Shell:
        principal = caller_or_stranger(request).principal
        return Shell(
            who=principal.name if principal.is_session else "",
            is_open=principal.kind is PrincipalKind.ANONYMOUS and bool(principal.permissions),
            role=principal.role if principal.is_session else "",
            groups=navigation_for(principal),
            theme=theme_of(request.cookies),
            path=_own_path(request),
            form_token=self._tokens.make_form_token(_session_of(request)),
            must_change_password=principal.must_change_password,
        )

    # --- refusals ------------------------------------------------------------------------------

    async def refuse(self, request: Request, error: AppError) -> Response:
        """Turn a refusal into a way in, into the page that must come first, or into a page."""
        if request.headers.get("authorization") is not None:
            return refusal_answer(error, request)
        request.scope["bennu.error"] = error
        if isinstance(error, UnauthenticatedError):
            return self._to_sign_in(request)
        principal: Principal = caller_or_stranger(request).principal
        if isinstance(error, DeniedError) and principal.must_change_password:
            return self.go(_CHANGE_PASSWORD)
        status = status_of(error)
        answer = self.show(
            request,
            "refusal.html",
            status,
            headline=_HEADLINES.get(status, "This did not work"),
            reason=error.public,
        )
        if error.retry_after_seconds is not None:
            answer.headers["retry-after"] = str(max(1, round(error.retry_after_seconds)))
        return answer

    def stray(self, request: Request, status: int) -> Response | None:
        """Answer people who asked for what is no address, or sent what it does not take.

        None for programs: those that do not ask for a page, or ask under their own paths.
        """
        is_program = first_part(_own_path(request)) in _OF_PROGRAMS
        if is_program or not _takes_page(request):
            return None
        reason = _STRAYS[status]
        return self.show(
            request, "refusal.html", status, headline=_HEADLINES[status], reason=reason
        )

    def _to_sign_in(self, request: Request) -> Response:
        wanted = quote(_own_path(request), safe="/:=+,;~-._")
        if request.method not in _SAFE_METHODS or wanted == "/":
            return self.go(_SIGN_IN)
        query = request.url.query
        return self.go(_SIGN_IN, returnUrl=f"{wanted}?{query}" if query else wanted)

    def as_page(self, route: Route) -> Route:
        """Return a route whose refusals are for people, kept out of the interface document."""
        return replace(
            route, hidden=True, on_refusal=self.refuse, responses_media="text/html; charset=utf-8"
        )


def problems_of(error: AppError) -> Mapping[str, str]:
    """Return what is wrong by field; "" for what belongs to no field."""
    if isinstance(error, SchemaError):
        return {str(problem.loc[-1]): problem.msg for problem in error.problems}
    return {"": error.public}


def _own_path(request: Request) -> str:
    path: str = request.scope["path"]
    root: str = request.scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root) else path


def _takes_page(request: Request) -> bool:
    if request.headers.get("authorization") is not None:
        return False
    kinds = request.headers.get("accept", "").split(",")
    return any(kind.partition(";")[0].strip().lower() == "text/html" for kind in kinds)


def _session_of(request: Request) -> str:
    principal = caller_or_stranger(request).principal
    if principal.kind is PrincipalKind.ANONYMOUS:
        return ""
    return principal.credential_id


#: What a page says after a form that led to it, by the word in its address.
NOTICES: Final[Mapping[str, str]] = {
    "signed-out": "You are signed out.",
    "password-changed": "The password was changed. Sign in with the new one.",
    "reset-sent": "If an account with that address exists, a message is on its way to it.",
    "annotated": "Your annotation is kept.",
    "export-asked": "The export is under way.",
    "created": "Created.",
    "changed": "Changed.",
    "deleted": "Deleted.",
    "revoked": "Revoked. The next request with that key is refused.",
    "ended": "Ended. The next request of that session is refused.",
}
