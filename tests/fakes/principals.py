"""Callers for tests."""

from bennu.access import BUILT_IN_ROLES, MEMBER, Principal, PrincipalKind


def user_with_role(role: str) -> Principal:
    """A user with the permissions of a built-in role."""
    return Principal(
        kind=PrincipalKind.USER,
        public_id="user:1",
        role=role,
        permissions=BUILT_IN_ROLES[role],
        user_id=1,
    )


def key_for_projects(*project_rows: int, role: str = MEMBER) -> Principal:
    """A system key that is restricted to projects."""
    return Principal(
        kind=PrincipalKind.SYSTEM_KEY,
        public_id="key:1",
        role=role,
        permissions=BUILT_IN_ROLES[role],
        project_ids=frozenset(project_rows),
    )
