"""The one table of permissions and roles, and the one check."""

import pytest

from bennu.access import (
    ADMIN,
    BUILT_IN_ROLES,
    CONSOLE,
    EVERYBODY,
    MEMBER,
    ONLY_ADMINS,
    PERMISSION_MEANINGS,
    PROJECT_PERMISSIONS,
    SERVER,
    SYSTEM,
    VIEWER,
    VIEWERS_CANNOT,
    Permission,
    Principal,
    PrincipalKind,
    require,
)
from bennu.kernel.errors import DeniedError, NotFoundError
from fakes.principals import key_for_projects, user_with_role

#: What decides about other people or the server itself; nobody but an admin has it.
ADMINISTRATION = frozenset(
    {
        Permission.USERS_READ,
        Permission.USERS_MANAGE,
        Permission.ROLES_MANAGE,
        Permission.API_KEYS_MANAGE,
        Permission.SECRETS_MANAGE,
        Permission.SETTINGS_MANAGE,
        Permission.RETENTION_MANAGE,
        Permission.AUDIT_READ,
        Permission.PRIVACY_EXPORT,
        Permission.PRIVACY_ERASE,
    }
)


def test_every_permission_is_named_alike_and_explained() -> None:
    for permission in Permission:
        area, _, action = permission.partition(":")
        assert area.replace("_", "").isalpha()
        assert action.isalpha()
    assert set(PERMISSION_MEANINGS) == set(Permission)


def test_roles_grow_from_viewer_to_admin() -> None:
    viewer, member, system, admin = (
        BUILT_IN_ROLES[role] for role in (VIEWER, MEMBER, SYSTEM, ADMIN)
    )
    assert viewer < member < admin
    assert system == member
    assert admin == set(Permission)
    assert not (member | system) & ADMINISTRATION
    assert all(permission.endswith(":read") for permission in viewer)


def test_a_member_does_not_delete_or_change_projects() -> None:
    assert not BUILT_IN_ROLES[MEMBER] & {Permission.PROJECTS_DELETE, Permission.PROJECTS_UPDATE}


def test_what_a_project_can_be_restricted_to_makes_nothing_outside_of_it() -> None:
    assert not PROJECT_PERMISSIONS & (ADMINISTRATION | {Permission.PROJECTS_CREATE})


@pytest.mark.parametrize("role", sorted(BUILT_IN_ROLES))
@pytest.mark.parametrize("permission", list(Permission))
def test_a_permission_is_needed_and_suffices(role: str, permission: Permission) -> None:
    principal = user_with_role(role)
    assert principal.may(permission) is (permission in BUILT_IN_ROLES[role])
    if principal.may(permission):
        require(principal, permission)
        require(principal, permission, project_id=7)
        return
    with pytest.raises(DeniedError) as refused:
        require(principal, permission)
    assert refused.value.detail == f"missing permission {permission}"


@pytest.mark.parametrize(
    ("role", "permission", "text"),
    [
        (VIEWER, Permission.TRACES_INGEST, VIEWERS_CANNOT),
        (VIEWER, Permission.PROJECTS_DELETE, VIEWERS_CANNOT),
        (VIEWER, Permission.USERS_READ, ONLY_ADMINS),
        (MEMBER, Permission.PROJECTS_DELETE, ONLY_ADMINS),
        (SYSTEM, Permission.USERS_READ, ONLY_ADMINS),
    ],
)
def test_a_refusal_reads_as_clients_expect(role: str, permission: Permission, text: str) -> None:
    with pytest.raises(DeniedError, match=f"^{text}$"):
        require(user_with_role(role), permission)


def test_a_project_that_one_may_not_see_is_not_there() -> None:
    key = key_for_projects(1, 2)
    require(key, Permission.TRACES_READ, 1)
    with pytest.raises(NotFoundError, match=r"^Project not found$"):
        require(key, Permission.TRACES_READ, 3)
    with pytest.raises(DeniedError):
        require(key, Permission.USERS_READ, 3)
    nowhere = key_for_projects()
    assert not nowhere.may_see_project(1)


def test_only_a_signed_in_person_is_a_session() -> None:
    assert Principal(PrincipalKind.USER, session_id=1).is_session
    assert not any(p.is_session for p in (EVERYBODY, SERVER, CONSOLE, key_for_projects(1)))
    assert key_for_projects(1).is_key
    assert not any(p.is_key for p in (EVERYBODY, SERVER, CONSOLE, user_with_role(ADMIN)))


def test_nobody_in_particular_may_do_nothing() -> None:
    stranger = Principal(PrincipalKind.ANONYMOUS)
    assert not any(stranger.may(permission) for permission in Permission)
