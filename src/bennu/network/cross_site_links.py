"""Links on other websites to our pages open signed in, although session cookies are strict.

A browser does not send ``SameSite=strict`` cookies when somebody follows a link from a wiki or a
mail to one of our pages; the page would ask a person who is signed in to sign in again. So the
first answer to such a request is an empty page that opens the same address again, this time from
our own site, with the cookies. A short-lived cookie of no meaning keeps that from repeating.

Spec: lines 209-211, 232-233. Source: RFC 6265bis section 8.8.2; Fetch Metadata.
"""

from collections.abc import Awaitable, Iterable
from typing import Final

from bennu.httpio.respond import page_answer
from bennu.httpio.route import Door, Route
from bennu.network.asgi import AsgiApp, Receive, Scope, Send, route_path
from bennu.network.paths import PathSet, first_part

HTML: Final = "text/html"
_MARK: Final = b"phoenix-opened-again"
_SET_MARK: Final = f"{_MARK.decode()}=1; Max-Age=10; Path=/; HttpOnly; SameSite=Lax"
_LINK: Final = frozenset(
    {
        (b"sec-fetch-site", b"cross-site"),
        (b"sec-fetch-mode", b"navigate"),
        (b"sec-fetch-dest", b"document"),
    }
)
_PAGE: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta http-equiv="refresh" content="0"><title>Bennu</title></head>'
    '<body><p><a href="">Continue</a></p></body></html>'
)


def signed_in_pages(routes: Iterable[Route]) -> tuple[tuple[str, str], ...]:
    """Return method and path of the pages that need a session."""
    return tuple(
        (route.method, route.path)
        for route in routes
        if route.method == "GET"
        and route.responses_media.startswith(HTML)
        and route.permission != Door.OPEN
    )


class CrossSiteLinks:
    """ASGI layer in front of the gate.

    Args:
        app: what follows.
        pages: as ``signed_in_pages`` returns them.
        cookies: names of the cookies that carry a session.
    """

    def __init__(
        self, app: AsgiApp, pages: Iterable[tuple[str, str]], cookies: Iterable[str]
    ) -> None:
        listed = tuple(pages)
        self._app, self._pages = app, PathSet(listed)
        self._areas = frozenset(first_part(path) for _, path in listed)
        self._cookies = (*(name.encode() for name in cookies), _MARK)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a link from another site that came without cookies; pass on everything else."""
        if scope["type"] == "http" and scope["method"] == "GET":
            path = route_path(scope)
            is_page = first_part(path) in self._areas and self._pages.holds("GET", path)
            if is_page and self._is_link(scope):
                answer = page_answer(_PAGE, headers={"set-cookie": _SET_MARK})
                return answer(scope, receive, send)
        return self._app(scope, receive, send)

    def _is_link(self, scope: Scope) -> bool:
        headers = scope["headers"]
        return _LINK.issubset(headers) and not any(
            name == b"cookie" and any(cookie in value for cookie in self._cookies)
            for name, value in headers
        )
