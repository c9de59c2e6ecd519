"""What stands around every page: who is signed in, where one can go, which colours. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bennu.access import Permission, Principal, PrincipalKind

THEME_COOKIE: Final = "bennu-theme"


class Theme(StrEnum):
    """Which colours: as the system says, or as chosen."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation.

    Args:
        path: of its page.
        title: as shown.
        icon: name in ``macros/icons.html``.
        permission: needed to see it; None for anybody who is signed in.
        needs_account: only where somebody signed in.
    """

    path: str
    title: str
    icon: str
    permission: Permission | None = None
    needs_account: bool = False


TRACES: Final = (Place("/projects", "Projects", "projects", Permission.PROJECTS_READ),)
SETTINGS: Final = (
    Place("/settings/api-keys", "API Keys", "key", needs_account=True),
    Place("/settings/users", "Users", "users", Permission.USERS_READ, needs_account=True),
    Place("/settings/roles", "Roles", "shield", Permission.ROLES_MANAGE, needs_account=True),
    Place("/settings/sign-in", "Sign-in", "door", Permission.SETTINGS_MANAGE),
    Place("/settings/secrets", "Secrets and mail", "lock", Permission.SECRETS_MANAGE),
    Place("/settings/retention", "Retention", "clock", Permission.RETENTION_MANAGE),
    Place("/settings/audit", "Audit log", "list", Permission.AUDIT_READ),
    Place("/settings/security", "Security", "check", Permission.SETTINGS_MANAGE),
)
ACCOUNT: Final = (
    Place("/account", "Profile", "person", needs_account=True),
    Place("/account/password", "Password", "dots", needs_account=True),
    Place("/account/sessions", "Sessions", "screen", needs_account=True),
    Place("/account/exports", "My data", "inbox", needs_account=True),
)


@dataclass(frozen=True, slots=True)
class Shell:
    """Everything that the frame of a page needs.

    Args:
        who: name of the signed-in person, "" for nobody.
        is_open: authentication is off, so that nobody signs in and everybody may do everything.
        role: of that person.
        groups: title and entries of each part of the navigation.
        theme: chosen colours.
        path: of this page, to mark it in the navigation.
        form_token: for the forms of this page.
        must_change_password: nothing else is offered until it was changed.
    """

    who: str
    is_open: bool
    role: str
    groups: tuple[tuple[str, tuple[Place, ...]], ...]
    theme: Theme
    path: str
    form_token: str
    must_change_password: bool

    def is_current(self, place: Place) -> bool:
        """Whether this page is the entry's own or stands below it."""
        if self.path == place.path:
            return True
        return place.path != "/account" and self.path.startswith(place.path + "/")


def theme_of(cookies: Mapping[str, str]) -> Theme:
    """Return the colours that were chosen; anything unknown is the system's."""
    chosen = cookies.get(THEME_COOKIE, "")
    return Theme(chosen) if chosen in set(Theme) else Theme.SYSTEM


def navigation_for(principal: Principal) -> tuple[tuple[str, tuple[Place, ...]], ...]:
    """Return the parts of the navigation that this caller can use, without empty ones."""
    if principal.must_change_password or not principal.permissions:
        return ()
    groups = (("Traces", TRACES), ("Settings", SETTINGS), ("Account", ACCOUNT))
    seen = ((title, tuple(p for p in places if _may_see(principal, p))) for title, places in groups)
    return tuple((title, places) for title, places in seen if places)


def _may_see(principal: Principal, place: Place) -> bool:
    if place.needs_account and principal.kind is PrincipalKind.ANONYMOUS:
        return False
    return place.permission is None or principal.may(place.permission)
