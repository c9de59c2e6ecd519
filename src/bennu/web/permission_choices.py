"""The catalog of permissions as a form shows it: by area, each with a sentence. Pure.

Spec: line 140 (select permissions).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bennu.access import Permission

#: What each permission lets its holder do, for people.
MEANINGS: Final[Mapping[Permission, str]] = MappingProxyType(
    {
        Permission.TRACES_INGEST: "Send traces",
        Permission.TRACES_READ: "Read traces, spans and sessions",
        Permission.TRACES_WRITE: "Delete and move traces, spans and sessions",
        Permission.ANNOTATIONS_READ: "Read annotations and notes",
        Permission.ANNOTATIONS_WRITE: "Write annotations and notes",
        Permission.PROJECTS_READ: "See projects",
        Permission.PROJECTS_CREATE: "Make projects",
        Permission.PROJECTS_UPDATE: "Change projects",
        Permission.PROJECTS_DELETE: "Delete projects with all their traces",
        Permission.USERS_READ: "See accounts",
        Permission.USERS_MANAGE: "Make, change and delete accounts",
        Permission.ROLES_MANAGE: "Define roles",
        Permission.API_KEYS_MANAGE: "See, revoke and identify all keys; make service accounts",
        Permission.SECRETS_MANAGE: "Store secret values",
        Permission.SETTINGS_MANAGE: "Change mail and sign-in settings",
        Permission.RETENTION_MANAGE: "Decide how long traces are kept",
        Permission.AUDIT_READ: "Read the audit log",
        Permission.PRIVACY_EXPORT: "Export the data of a person",
        Permission.PRIVACY_ERASE: "Erase the data of a person",
    }
)
_AREAS: Final = (
    ("Traces", ("traces", "annotations", "projects")),
    ("Accounts", ("users", "roles", "api_keys")),
    ("Server", ("secrets", "settings", "retention", "audit", "privacy")),
)
INGEST_ONLY: Final = frozenset({Permission.TRACES_INGEST})


@dataclass(frozen=True, slots=True)
class Choice:
    """One checkbox."""

    name: str
    meaning: str
    is_ticked: bool


def permission_choices(
    offered: Iterable[Permission], ticked: Iterable[str]
) -> tuple[tuple[str, tuple[Choice, ...]], ...]:
    """Return the checkboxes by area, in the order of the catalog; empty areas are left out."""
    allowed, chosen = frozenset(offered), {str(name) for name in ticked}
    groups = (
        (
            title,
            tuple(
                Choice(p, MEANINGS[p], p in chosen)
                for p in Permission
                if p in allowed and p.partition(":")[0] in areas
            ),
        )
        for title, areas in _AREAS
    )
    return tuple((title, choices) for title, choices in groups if choices)
