"""Who may do what: principals, the one role and permission table, and ``require``.

Spec: lines 152-155 (user and system keys), 270 (access controls).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from bennu.kernel.errors import DeniedError, NotFoundError

VIEWERS_CANNOT: Final = "Viewers cannot perform this action."
ONLY_ADMINS: Final = "Only admin or system users can perform this action."


class Permission(StrEnum):
    """The catalog: every single thing that can be allowed, as ``area:action``."""

    TRACES_INGEST = "traces:ingest"
    TRACES_READ = "traces:read"
    TRACES_WRITE = "traces:write"
    ANNOTATIONS_READ = "annotations:read"
    ANNOTATIONS_WRITE = "annotations:write"
    PROJECTS_READ = "projects:read"
    PROJECTS_CREATE = "projects:create"
    PROJECTS_UPDATE = "projects:update"
    PROJECTS_DELETE = "projects:delete"
    USERS_READ = "users:read"
    USERS_MANAGE = "users:manage"
    ROLES_MANAGE = "roles:manage"
    API_KEYS_MANAGE = "api_keys:manage"
    SECRETS_MANAGE = "secrets:manage"
    SETTINGS_MANAGE = "settings:manage"
    RETENTION_MANAGE = "retention:manage"
    AUDIT_READ = "audit:read"
    PRIVACY_EXPORT = "privacy:export"
    PRIVACY_ERASE = "privacy:erase"


#: What each permission allows, for the catalog, the forms and the docs.
PERMISSION_MEANINGS: Final[Mapping[Permission, str]] = MappingProxyType(
    {
        Permission.TRACES_INGEST: "send spans",
        Permission.TRACES_READ: "read spans, traces and sessions",
        Permission.TRACES_WRITE: "delete spans, traces and sessions",
        Permission.ANNOTATIONS_READ: "read annotations",
        Permission.ANNOTATIONS_WRITE: "write and delete annotations",
        Permission.PROJECTS_READ: "see projects",
        Permission.PROJECTS_CREATE: "make projects",
        Permission.PROJECTS_UPDATE: "change projects",
        Permission.PROJECTS_DELETE: "delete projects with all that they hold",
        Permission.USERS_READ: "see accounts",
        Permission.USERS_MANAGE: "make, change and delete accounts, and end their sessions",
        Permission.ROLES_MANAGE: "define roles",
        Permission.API_KEYS_MANAGE: "make system keys; see, identify and revoke everybody's keys",
        Permission.SECRETS_MANAGE: "keep and delete secret values",
        Permission.SETTINGS_MANAGE: "change the mail server and identity providers",
        Permission.RETENTION_MANAGE: "say how long traces are kept",
        Permission.AUDIT_READ: "read the audit trail",
        Permission.PRIVACY_EXPORT: "export what belongs to a person",
        Permission.PRIVACY_ERASE: "erase what belongs to a person",
    }
)

_READ = frozenset({Permission.TRACES_READ, Permission.ANNOTATIONS_READ, Permission.PROJECTS_READ})
_WRITE = frozenset(
    {
        Permission.TRACES_INGEST,
        Permission.TRACES_WRITE,
        Permission.ANNOTATIONS_WRITE,
        Permission.PROJECTS_CREATE,
    }
)

_CHANGES = _WRITE | {Permission.PROJECTS_UPDATE, Permission.PROJECTS_DELETE}

#: What a credential that is restricted to projects can have: all that happens inside a project.
#: With anything else it could make itself a way around the restriction.
PROJECT_PERMISSIONS: Final = frozenset(
    {
        Permission.TRACES_INGEST,
        Permission.TRACES_READ,
        Permission.TRACES_WRITE,
        Permission.ANNOTATIONS_READ,
        Permission.ANNOTATIONS_WRITE,
        Permission.PROJECTS_READ,
        Permission.PROJECTS_UPDATE,
        Permission.PROJECTS_DELETE,
    }
)

ADMIN: Final = "ADMIN"
MEMBER: Final = "MEMBER"
VIEWER: Final = "VIEWER"
SYSTEM: Final = "SYSTEM"

#: The built-in roles. SYSTEM is what a system key has unless it was given another role.
BUILT_IN_ROLES: Final[Mapping[str, frozenset[Permission]]] = MappingProxyType(
    {
        ADMIN: frozenset(Permission),
        SYSTEM: _READ | _WRITE,
        MEMBER: _READ | _WRITE,
        VIEWER: _READ,
    }
)


class PrincipalKind(StrEnum):
    """What kind of caller this is."""

    ANONYMOUS = "anonymous"
    USER = "user"
    USER_KEY = "user_key"
    SYSTEM_KEY = "system_key"
    ADMIN_SECRET = "admin_secret"  # noqa: S105 - the name of a kind, not a secret
    CERTIFICATE = "certificate"
    SERVER = "server"
    CONSOLE = "console"


_KEYS: Final = frozenset(
    {PrincipalKind.USER_KEY, PrincipalKind.SYSTEM_KEY, PrincipalKind.CERTIFICATE}
)


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller and all that it may do, as it was when its credential was checked.

    Args:
        kind: what kind of caller.
        public_id: its public id, such as that of a user or of a system key; "" for none.
        name: for people to read; never written to a log line.
        role: the name of its role.
        permissions: everything it may do.
        user_id: row of the user it acts for, or None.
        credential_id: public id or clear part of the credential; "" for none.
        session_id: row of the session, or None when it is no session.
        project_ids: rows of the projects it is restricted to, or None for all.
        must_change_password: only changing the password is allowed until it was changed.
    """

    kind: PrincipalKind
    public_id: str = ""
    name: str = ""
    role: str = ""
    permissions: frozenset[Permission] = frozenset()
    user_id: int | None = None
    credential_id: str = ""
    session_id: int | None = None
    project_ids: frozenset[int] | None = None
    must_change_password: bool = False

    @property
    def is_session(self) -> bool:
        """Whether a person signed in; keys and secrets are not."""
        return self.session_id is not None

    @property
    def is_key(self) -> bool:
        """Whether an API key calls, or a certificate that stands for one."""
        return self.kind in _KEYS

    def may(self, permission: Permission) -> bool:
        """Whether this caller has the permission somewhere."""
        return permission in self.permissions

    def may_see_project(self, project_id: int) -> bool:
        """Whether the caller is not restricted to other projects."""
        return self.project_ids is None or project_id in self.project_ids


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal and the request it came with: what an audit record says of the actor.

    Args:
        principal: who.
        address: the client's IP address, "" when there is none.
        user_agent: as sent, at most 512 characters.
        request_id: the id that log lines and audit records of this request share.
    """

    principal: Principal
    address: str = ""
    user_agent: str = ""
    request_id: str = ""


#: With authentication off everybody may do everything that needs no account.
EVERYBODY: Final = Principal(
    kind=PrincipalKind.ANONYMOUS, role=ADMIN, permissions=frozenset(Permission)
)
#: Who acts when the server itself does (start, sweeps).
SERVER: Final = Principal(
    kind=PrincipalKind.SERVER, name="server", role=ADMIN, permissions=frozenset(Permission)
)
#: Who acts when somebody with access to the machine uses the command line.
CONSOLE: Final = Principal(
    kind=PrincipalKind.CONSOLE, name="console", role=ADMIN, permissions=frozenset(Permission)
)


def require(principal: Principal, permission: Permission, project_id: int | None = None) -> None:
    """Refuse unless the principal has the permission, and may see the project if one is given.

    Raises:
        DeniedError: the permission is missing.
        NotFoundError: the project is not one that the caller may see; a 404, so that a
            restricted key cannot find out which projects exist.
    """
    if permission not in principal.permissions:
        raise DeniedError(
            VIEWERS_CANNOT if principal.role == VIEWER and permission in _CHANGES else ONLY_ADMINS,
            detail=f"missing permission {permission}",
        )
    if project_id is not None and not principal.may_see_project(project_id):
        raise NotFoundError("Project not found")
