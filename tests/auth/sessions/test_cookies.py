"""The cookies of a session, to the letter."""

from datetime import timedelta

import pytest
from starlette.responses import Response

from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.flow import TokenPair
from bennu.auth.settings import AuthSettings
from bennu.kernel.secret import Secret

PAIR = TokenPair(Secret("access"), Secret("refresh"))


def set_cookies(settings: AuthSettings) -> list[str]:
    answer = Response()
    SessionCookies(settings).set_on(answer, PAIR)
    return [v.decode() for n, v in answer.raw_headers if n == b"set-cookie"]


@pytest.mark.asvs("3.3.1", "3.3.2", "3.3.4")
@pytest.mark.parametrize(
    ("settings", "prefix", "attributes"),
    [
        (AuthSettings(), "", "Path=/; SameSite=strict"),
        (AuthSettings(secure_cookies=True), "", "Path=/; SameSite=strict; Secure"),
        (AuthSettings(cookies_path="/bennu"), "", "Path=/bennu; SameSite=strict"),
        (AuthSettings(cookie_prefix="host"), "__Host-", "Path=/; SameSite=strict; Secure"),
        (
            AuthSettings(cookie_prefix="host", cookies_path="/bennu"),
            "__Host-",
            "Path=/; SameSite=strict; Secure",
        ),
    ],
)
def test_both_are_set_exactly_so(settings: AuthSettings, prefix: str, attributes: str) -> None:
    assert set_cookies(settings) == [
        f"{prefix}phoenix-access-token=access; HttpOnly; Max-Age=600; {attributes}",
        f"{prefix}phoenix-refresh-token=refresh; HttpOnly; Max-Age=604800; {attributes}",
    ]


def test_their_age_is_that_of_the_credentials() -> None:
    settings = AuthSettings(
        access_lifetime=timedelta(minutes=1), refresh_lifetime=timedelta(hours=1)
    )
    access, refresh = set_cookies(settings)
    assert "Max-Age=60;" in access
    assert "Max-Age=3600;" in refresh


def test_deleting_names_the_same_cookies_at_the_same_place() -> None:
    answer = Response()
    SessionCookies(AuthSettings(cookies_path="/bennu")).delete_on(answer)
    deleted = [v.decode() for n, v in answer.raw_headers if n == b"set-cookie"]
    for cookie, name in zip(deleted, ("access", "refresh"), strict=True):
        assert cookie.startswith(f'phoenix-{name}-token=""; ')
        assert "Max-Age=0" in cookie
        assert "Path=/bennu" in cookie
