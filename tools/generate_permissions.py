"""Write docs/permissions.md from the table of routes; ``--check`` only compares.

The page is what tests/attack/test_permission_matrix.py expects of a running application, so a new
or changed route shows in it. Expectations follow from what a route declares.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bennu.access import (
    ADMIN,
    BUILT_IN_ROLES,
    MEMBER,
    PERMISSION_MEANINGS,
    SYSTEM,
    VIEWER,
    Permission,
)
from bennu.app import Application
from bennu.httpio.route import Door, Route
from bennu.kernel.env_file import env_of
from bennu.settings import Settings

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "permissions.md"
#: The application whose routes are listed: everything that can be switched on, is.
ENVIRONMENT: Final[Mapping[str, str]] = {
    "PHOENIX_ENABLE_AUTH": "true",
    "PHOENIX_SECRET": "a-secret-for-the-matrix-0123456789-abc",
    "PHOENIX_ADMIN_SECRET": "another-for-the-matrix-0123456789-abc",
    "PHOENIX_SQL_DATABASE_URL": "sqlite:///:memory:",
    "PHOENIX_DISABLE_RATE_LIMIT": "true",
    "PHOENIX_LDAP_HOST": "127.0.0.1",
    "PHOENIX_LDAP_USER_SEARCH_BASE_DNS": "DC=example,DC=com",
}
YES, OPEN, UNKNOWN, DENIED = "yes", "open", "401", "403"


@dataclass(frozen=True, slots=True)
class CallerColumn:
    """One kind of caller: a column of the table.

    Args:
        name: the heading.
        meaning: who that is.
        permissions: what it may do; None for a caller without a credential.
        is_session: whether a person signed in.
        must_change_password: whether it may only change its password.
    """

    name: str
    meaning: str
    permissions: frozenset[Permission] | None
    is_session: bool = False
    must_change_password: bool = False


_ALL: Final = BUILT_IN_ROLES[ADMIN]
RESTRICTED: Final = frozenset({Permission.TRACES_READ, Permission.PROJECTS_READ})
COLUMNS: Final = (
    CallerColumn("none", "no credential, or one that is not valid", None),
    CallerColumn(VIEWER, "a signed-in viewer", BUILT_IN_ROLES[VIEWER], is_session=True),
    CallerColumn(MEMBER, "a signed-in member", BUILT_IN_ROLES[MEMBER], is_session=True),
    CallerColumn(ADMIN, "a signed-in admin", _ALL, is_session=True),
    CallerColumn(
        "SYSTEM key",
        "a system key with the role that it has by default",
        BUILT_IN_ROLES[SYSTEM],
    ),
    CallerColumn("user key", "an API key of an admin, without restriction", _ALL),
    CallerColumn(
        "restricted key",
        "an API key of an admin with `projects:read` and `traces:read`, for one project",
        RESTRICTED,
    ),
    CallerColumn(
        "ingest-only key",
        "an API key of an admin with `traces:ingest` only",
        frozenset({Permission.TRACES_INGEST}),
    ),
    CallerColumn("admin secret", "`PHOENIX_ADMIN_SECRET`", _ALL),
    CallerColumn(
        "must change",
        "a signed-in admin who must change the password first",
        _ALL,
        is_session=True,
        must_change_password=True,
    ),
)
_KEYS: Final = ("SYSTEM key", "user key", "restricted key", "ingest-only key")
#: The one method of gRPC, as a row of the same table.
EXPORT_RPC: Final = "opentelemetry.proto.collector.trace.v1.TraceService/Export"

_DOORS: Final = {
    Door.OPEN: "nothing",
    Door.SIGNED_IN: "a credential",
    Door.PERSON: "a signed-in person",
    Door.ACCOUNT: "a credential",
}
_INTRODUCTION: Final = """\
# Who may do what

This page is generated from the source by `make docs`, and `make test` tries every cell of the last
table on a running application: a route that is not in it does not pass.

A caller needs the permission that a route asks for. People and system keys have the permissions of
their role; an API key has those of its owner, or the part of them that it was made with. Keys may
be restricted to projects besides: then other projects are not there for them (404), an export to
one is refused (403), and of their permissions only those over traces, annotations and existing
projects count. A key can list the keys of its owner, without the keys themselves; it makes and
changes none.
"""
_MATRIX: Final = """
## Every route

`yes`: the permission suffices, and what follows depends on the request. `open`: answered without a
credential. `401`: who is calling is not known. `403`: refused. Paths under `/v1` are served under
`/api/v1` too.

"""


def application_routes() -> tuple[Route, ...]:
    """Return the table of routes of an application."""
    return Application(Settings.from_env(env_of(ENVIRONMENT))).routes


def expected(route: Route, column: CallerColumn) -> str:
    """Say how a caller fares at a route."""
    if route.permission is Door.OPEN:
        return OPEN
    if column.permissions is None:
        return UNKNOWN
    is_refused = (
        (column.must_change_password and not route.before_password_change)
        or (bool(route.refuses_keys) and column.name in _KEYS)
        or (route.permission is Door.PERSON and not column.is_session)
        or (isinstance(route.permission, Permission) and route.permission not in column.permissions)
    )
    return DENIED if is_refused else YES


def permissions_page() -> str:
    """Return the whole page."""
    parts = [
        _INTRODUCTION,
        *_catalog(),
        "\n## Callers\n",
        "| caller | who that is |",
        "| --- | --- |",
    ]
    parts += [f"| {column.name} | {column.meaning} |" for column in COLUMNS]
    parts += [_MATRIX + _row("route", "needs", *(column.name for column in COLUMNS))]
    parts.append("| --- " * (len(COLUMNS) + 2) + "|")
    routes = sorted(application_routes(), key=lambda route: (route.path, route.method))
    for route in routes:
        cells = (expected(route, column) for column in COLUMNS)
        parts.append(_row(f"`{route.method} {route.path}`", _needs(route), *cells))
    parts.append(_row(f"`gRPC {EXPORT_RPC}`", f"`{Permission.TRACES_INGEST}`", *_rpc_cells()))
    return "\n".join(parts) + "\n"


def _catalog() -> list[str]:
    """Return the permissions and which built-in role has them."""
    roles = (VIEWER, MEMBER, SYSTEM, ADMIN)
    lines = ["\n## Permissions\n", _row("permission", "allows to", *roles)]
    lines.append("| --- " * (len(roles) + 2) + "|")
    for permission in Permission:
        has = ("yes" if permission in BUILT_IN_ROLES[role] else "" for role in roles)
        lines.append(_row(f"`{permission}`", PERMISSION_MEANINGS[permission], *has))
    return lines


def _needs(route: Route) -> str:
    is_door = isinstance(route.permission, Door)
    needs = _DOORS[Door(route.permission)] if is_door else f"`{route.permission}`"
    return f"{needs}, no API key" if route.refuses_keys and needs != _DOORS[Door.PERSON] else needs


def _rpc_cells() -> list[str]:
    cells = []
    for column in COLUMNS:
        if column.permissions is None:
            cells.append(UNKNOWN)
        elif column.must_change_password or Permission.TRACES_INGEST not in column.permissions:
            cells.append(DENIED)
        else:
            cells.append(YES)
    return cells


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> int:
    """Write the page, or compare it; 1 when it is stale."""
    page = permissions_page()
    if arguments == ["--check"]:
        is_current = PAGE.is_file() and PAGE.read_text("utf-8") == page
        if not is_current:
            sys.stderr.write(f"{PAGE} is stale: run `make docs`\n")
        return 0 if is_current else 1
    PAGE.write_text(page, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
