"""Settings, Security: the best practices as checks, each with its reason and the setting to change.

Spec: lines 226-250.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.httpio.route import Route
from bennu.web.pages import Pages

#: Rows of the examination: check, state, seen, variable, why, fix, spec_line.
Examination = Callable[[], Awaitable[Sequence[Mapping[str, object]]]]
_STATES: Final = ("fail", "warn", "ok", "skip")


class _SecurityPages:
    def __init__(self, pages: Pages, examine: Examination) -> None:
        self._pages, self._examine = pages, examine

    async def checks(self, request: Request) -> Response:
        """Show every check, what is unsafe first."""
        rows = await self._examine()
        counts = {state: sum(row["state"] == state for row in rows) for state in _STATES}
        shown = sorted(rows, key=lambda row: _STATES.index(str(row["state"])))
        return self._pages.show(request, "security.html", rows=shown, counts=counts)


def security_page_routes(pages: Pages, examine: Examination) -> tuple[Route, ...]:
    """Return the route of the page of best practices."""
    of = _SecurityPages(pages, examine)
    route = Route(
        method="GET",
        path="/settings/security",
        handler=of.checks,
        permission=Permission.SETTINGS_MANAGE,
        summary="The page of best practices",
    )
    return (pages.as_page(route),)
