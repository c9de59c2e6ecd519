"""What the sign-in page offers. Spec: lines 1-7, 97-99."""

from typing import Any

import pytest

from bennu.auth.ways_in import WaysIn, sign_in_path, signed_out_path, ways_in
from fakes.provider_world import provider_settings

URL = "https://idp.example/.well-known/openid-configuration"
PLAIN = provider_settings(URL, "plain")
AUTO = provider_settings(URL, "auto", auto_login=True)
SECOND_AUTO = provider_settings(URL, "zweite", auto_login=True)


def offered(*providers: Any, has_password: bool = True, **query: str) -> WaysIn:
    return ways_in(providers, query, has_password=has_password, has_directory=False)


def test_every_provider_is_offered_in_order_of_its_name() -> None:
    found = offered(SECOND_AUTO, PLAIN, returnUrl="/projects?a=b")
    assert [p.name for p in found.providers] == ["plain", "zweite"]
    assert found.providers[0].display_name == "Plain"
    assert found.providers[0].path == "/oauth2/plain/login?returnUrl=%2Fprojects%3Fa%3Db"
    assert (found.password, found.directory) == (True, False)
    assert found.return_to == "/projects?a=b"


@pytest.mark.parametrize("has_password", [True, False])
def test_one_provider_with_auto_login_is_gone_to(has_password: bool) -> None:
    found = offered(AUTO, PLAIN, has_password=has_password, returnUrl="/projects")
    assert found.redirect_to == "/oauth2/auto/login?returnUrl=%2Fprojects"
    assert offered(AUTO).redirect_to == "/oauth2/auto/login"


@pytest.mark.asvs("7.6.2")
@pytest.mark.parametrize(
    ("providers", "query"),
    [
        ((), {}),
        ((PLAIN,), {}),
        ((AUTO, SECOND_AUTO), {}),
        ((AUTO,), {"local": "1"}),
        ((AUTO,), {"local": "true"}),
        ((AUTO,), {"error": "auth_failed"}),
    ],
)
def test_else_the_page_is_shown(providers: tuple[Any, ...], query: dict[str, str]) -> None:
    assert offered(*providers, **query).redirect_to is None


def test_a_place_elsewhere_is_forgotten() -> None:
    assert offered(PLAIN, returnUrl="//evil.example").return_to == "/"


def test_after_signing_out_nobody_is_sent_on() -> None:
    assert signed_out_path((PLAIN,), has_password=True) == "/login"
    assert signed_out_path((AUTO,), has_password=True) == "/logout"
    assert signed_out_path((PLAIN,), has_password=False) == "/logout"
    assert sign_in_path("plain", "/") == "/oauth2/plain/login"
