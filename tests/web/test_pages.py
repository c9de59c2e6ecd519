"""Templates, addresses and where one may be led."""

import pytest
from starlette.requests import Request

from bennu.access import EVERYBODY, Caller, Principal, PrincipalKind
from bennu.httpio.request import CALLER
from bennu.kernel.errors import DeniedError, FieldProblem, SchemaError
from bennu.kernel.ids import SystemEntropy
from bennu.network.form_tokens import FormTokens
from bennu.web.assets import Assets
from bennu.web.pages import Pages, problems_of

TOKENS = FormTokens(SystemEntropy())
TOKENS.use_key(b"k" * 32)
PAGES = Pages(Assets(), TOKENS, "/bennu")


def test_addresses_stand_under_the_root_path() -> None:
    assert PAGES.address("/projects") == "/bennu/projects"
    assert (
        PAGES.address("/login", returnUrl="/a?b=c&d") == "/bennu/login?returnUrl=%2Fa%3Fb%3Dc%26d"
    )
    assert PAGES.address("/login", returnUrl="", other=None) == "/bennu/login"
    assert PAGES.address('/projects/"<x>?#') == "/bennu/projects/%22%3Cx%3E%3F%23"


def test_problems_stand_beside_their_fields() -> None:
    problem = FieldProblem(("body", "user", "email"), "Input should be an e-mail address")
    assert problems_of(SchemaError(problem)) == {"email": "Input should be an e-mail address"}
    assert problems_of(DeniedError("No")) == {"": "No"}


@pytest.mark.parametrize(
    ("principal", "is_told"), [(EVERYBODY, True), (Principal(PrincipalKind.ANONYMOUS), False)]
)
def test_only_who_may_do_everything_is_told_so(principal: Principal, is_told: bool) -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    request = Request({**scope, CALLER: Caller(principal, "127.0.0.1", "", "r")})
    page = PAGES.show(request, "refusal.html", 403, headline="No", reason="No")
    assert (b"Authentication is off" in bytes(page.body)) is is_told


def asked(path: str, accept: str, **headers: str) -> Request:
    given = {"accept": accept, **headers}
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    scope = {"type": "http", "method": "GET", "path": f"/bennu{path}", "root_path": "/bennu"}
    caller = Caller(Principal(PrincipalKind.ANONYMOUS), "127.0.0.1", "", "r")
    return Request({**scope, "query_string": b"", "headers": raw, CALLER: caller})


BROWSER = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(("status", "told"), [(404, "no page at this address"), (405, "no such")])
def test_a_browser_is_told_in_a_page_that_there_is_nothing(status: int, told: str) -> None:
    page = PAGES.stray(asked("/nowhere/<b>", BROWSER), status)
    assert page is not None
    assert page.status_code == status
    text = bytes(page.body).decode()
    assert told in text
    assert 'href="/bennu/"' in text
    assert "<b>" not in text


@pytest.mark.parametrize(
    "request_",
    [
        asked("/nowhere", "*/*"),
        asked("/nowhere", "application/json"),
        asked("/nowhere", BROWSER, authorization="Bearer x"),
        *(asked(f"/{part}/x", BROWSER) for part in ("v1", "api", "auth", "static", ".well-known")),
        asked("/v1", BROWSER),
    ],
)
def test_programs_are_told_as_ever(request_: Request) -> None:
    assert PAGES.stray(request_, 404) is None
