"""Write docs/routes.md from the table of routes; ``--check`` only compares.

What docs/permissions.md leaves out of each route: its limit, what it leaves in the audit trail,
and the reason where a route that changes something leaves nothing.
"""

import sys
from pathlib import Path
from typing import Final

from tools.generate_permissions import application_routes
from tools.generated_page import write_or_compare

from bennu.httpio.route import Limit, Route
from bennu.network.rate_rules import BUILT_IN

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "routes.md"
_INTRODUCTION: Final = """\
# Routes

This page is generated from the source by `make docs`. Every request is answered by one of these
routes; there is no other. Who may call which is tried cell by cell in
[permissions.md](permissions.md#every-route), what they take and answer stands in
[rest.md](rest.md). Paths under `/v1` are served under `/api/v1` too.

- **needs**: a permission; or `open` (nothing), `signed_in` (a credential), `person` (a session of a
  person, no key), `account` (a credential, and authentication is on).
- **limit**: the built-in limit of signing in and of resets. Rules of `PHOENIX_RATE_LIMITS` can
  limit every route ([network.md](operations/network.md#rate-limits)).
- **audit events**: what a success leaves in the audit trail, in the same transaction; or why there
  is none. Refusals are `auth.denied`.

"""
_TABLES: Final = (
    ("REST interface", "What programs use; described in `/openapi.json`."),
    ("Pages and files", "What browsers use: pages, their forms, what they load, probes."),
)


def routes_page() -> str:
    """Return the whole page."""
    routes = sorted(application_routes(), key=lambda route: (route.path, route.method))
    parts = [_INTRODUCTION.rstrip("\n")]
    for (heading, meaning), hidden in zip(_TABLES, (False, True), strict=True):
        parts.append(f"\n## {heading}\n\n{meaning}\n")
        parts.append(
            "| route | what | needs | limit | audit events |\n| --- | --- | --- | --- | --- |"
        )
        parts.extend(_row(route) for route in routes if route.hidden is hidden)
    return "\n".join(parts) + "\n"


def _row(route: Route) -> str:
    cells = (
        f"`{route.method} {route.path}`",
        route.summary.replace("|", "\\|"),
        f"`{route.permission}`",
        _limit(route.limit),
        _events(route),
    )
    return f"| {' | '.join(cells)} |"


def _limit(limit: Limit) -> str:
    built_in = BUILT_IN.get(limit)
    return "" if built_in is None else built_in.in_words


def _events(route: Route) -> str:
    if route.events:
        return ", ".join(f"`{event}`" for event in route.events)
    return f"none: {route.no_event}" if route.no_event else ""


if __name__ == "__main__":
    sys.exit(write_or_compare(PAGE, routes_page(), sys.argv[1:]))
