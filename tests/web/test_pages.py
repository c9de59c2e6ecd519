"""Templates, addresses and where one may be led."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.kernel.errors import DeniedError, FieldProblem, SchemaError
from bennu.kernel.ids import SystemEntropy
from bennu.network.form_tokens import FormTokens
from bennu.web.assets import Assets
from bennu.web.pages import Pages, own_page_or_home, problems_of

PAGES = Pages(Assets(), FormTokens(SystemEntropy()), "/bennu")


def test_addresses_stand_under_the_root_path() -> None:
    assert PAGES.address("/projects") == "/bennu/projects"
    assert (
        PAGES.address("/login", returnUrl="/a?b=c&d") == "/bennu/login?returnUrl=%2Fa%3Fb%3Dc%26d"
    )
    assert PAGES.address("/login", returnUrl="", other=None) == "/bennu/login"
    assert PAGES.address('/projects/"<x>?#') == "/bennu/projects/%22%3Cx%3E%3F%23"


@pytest.mark.parametrize("path", ["/", "/projects", "/projects/a%2Fb?x=1&y=%20#z"])
def test_pages_of_ours_are_led_to(path: str) -> None:
    assert own_page_or_home(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "projects",
        "//evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\n/evil.example",
        "/ok\r\nset-cookie: a=b",
        "/" + "x" * 3_000,
    ],
)
def test_other_places_are_not(path: str) -> None:
    assert own_page_or_home(path) == "/"


@given(st.text())
def test_whatever_is_asked_stays_here(path: str) -> None:
    led = own_page_or_home(path)
    assert led.startswith("/")
    assert not led.startswith(("//", "/\\"))
    assert led.isprintable()


def test_problems_stand_beside_their_fields() -> None:
    problem = FieldProblem(("body", "user", "email"), "Input should be an e-mail address")
    assert problems_of(SchemaError(problem)) == {"email": "Input should be an e-mail address"}
    assert problems_of(DeniedError("No")) == {"": "No"}
