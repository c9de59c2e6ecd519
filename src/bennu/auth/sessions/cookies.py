"""The cookies of a session: their names and attributes.

Spec: lines 232-233. Source: RFC 6265bis section 4.1.3 (``__Host-``).
"""

from typing import Final

from starlette.responses import Response

from bennu.auth.sessions.flow import TokenPair
from bennu.auth.settings import AuthSettings

ACCESS_COOKIE: Final = "phoenix-access-token"
REFRESH_COOKIE: Final = "phoenix-refresh-token"


class SessionCookies:
    """Sets, deletes and names the cookies as the settings say."""

    def __init__(self, settings: AuthSettings) -> None:
        prefix = "__Host-" if settings.cookie_prefix == "host" else ""
        self.access_name: Final = prefix + ACCESS_COOKIE
        self.refresh_name: Final = prefix + REFRESH_COOKIE
        self._path = "/" if prefix else settings.cookies_path
        self._secure = settings.secure_cookies or bool(prefix)
        self._ages = (
            (self.access_name, settings.access_lifetime),
            (self.refresh_name, settings.refresh_lifetime),
        )

    def set_on(self, response: Response, pair: TokenPair) -> None:
        """Hand a session's credentials to the browser, out of reach of scripts."""
        values = (pair.access, pair.refresh)
        for (name, lifetime), value in zip(self._ages, values, strict=True):
            response.set_cookie(
                name,
                value.reveal(),
                max_age=int(lifetime.total_seconds()),
                path=self._path,
                secure=self._secure,
                httponly=True,
                samesite="strict",
            )

    def delete_on(self, response: Response) -> None:
        """Take the credentials back from the browser."""
        for name, _ in self._ages:
            response.delete_cookie(
                name, path=self._path, secure=self._secure, httponly=True, samesite="strict"
            )
