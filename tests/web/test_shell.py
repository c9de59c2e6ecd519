"""Nobody is led to a page that would refuse them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bennu.access import BUILT_IN_ROLES, EVERYBODY, Principal, PrincipalKind
from bennu.web import pages
from bennu.web.shell import Shell, Theme, navigation_for, theme_of

NOBODY = Principal(PrincipalKind.ANONYMOUS)


def person(role: str) -> Principal:
    return Principal(
        PrincipalKind.USER, name="ada", role=role, permissions=BUILT_IN_ROLES[role], session_id=1
    )


def paths_for(principal: Principal) -> list[str]:
    return [place.path for _, places in navigation_for(principal) for place in places]


def test_an_admin_is_offered_everything() -> None:
    paths = paths_for(person("ADMIN"))
    assert {"/projects", "/settings/users", "/settings/audit", "/account"} <= set(paths)


def test_a_viewer_is_offered_what_a_viewer_may() -> None:
    assert paths_for(person("VIEWER")) == [
        "/projects",
        "/settings/api-keys",
        "/account",
        "/account/password",
        "/account/sessions",
        "/account/exports",
    ]


def test_without_authentication_there_are_no_accounts() -> None:
    paths = paths_for(EVERYBODY)
    assert "/projects" in paths
    assert not [path for path in paths if path.startswith("/account") or "users" in path]


def test_nobody_and_who_must_change_the_password_are_offered_nothing() -> None:
    assert paths_for(NOBODY) == []
    assert paths_for(replace(person("ADMIN"), must_change_password=True)) == []


@pytest.mark.parametrize(
    ("path", "current"),
    [
        ("/projects", ["/projects"]),
        ("/projects/abc/traces/def", ["/projects"]),
        ("/account/password", ["/account/password"]),
        ("/projectsx", []),
    ],
)
def test_the_navigation_marks_where_one_is(path: str, current: list[str]) -> None:
    shell = Shell(
        "ada", False, "ADMIN", navigation_for(person("ADMIN")), Theme.SYSTEM, path, "t", False
    )
    marked = [p.path for _, places in shell.groups for p in places if shell.is_current(p)]
    assert marked == current


@pytest.mark.parametrize(
    ("cookie", "theme"), [("dark", "dark"), ("light", "light"), ("x", "system"), ("", "system")]
)
def test_the_theme_is_one_of_three(cookie: str, theme: str) -> None:
    assert theme_of({"bennu-theme": cookie}) == theme
    assert theme_of({}) == "system"


@pytest.mark.asvs("7.4.4")
def test_every_page_behind_the_door_offers_signing_out() -> None:
    """Pages extend page.html, which has the form twice: for wide and for narrow windows."""
    templates = Path(pages.__file__).parent / "templates"
    doors = {"bare.html", "door.html", "page.html", "refusal.html"}
    public = {"sign_in.html", "signed_out.html", "forgot_password.html", "reset_password.html"}
    inside = [path for path in templates.glob("*.html") if path.name not in doors | public]
    assert len(inside) > 15
    for path in inside:
        assert path.read_text().startswith('{% extends "page.html" %}'), path.name
        assert not re.search(r"block (body|header)", path.read_text()), path.name
    page = (templates / "page.html").read_text()
    who = page[page.index("macro who()") : page.index("endmacro", page.index("macro who()"))]
    assert """action="{{ href('/logout') }}">""" in who
    assert "Sign out</button>" in who
    assert page.count("{{ who() }}") == 2
