"""Every permission can be chosen and is explained."""

from bennu.access import BUILT_IN_ROLES, Permission
from bennu.web.permission_choices import MEANINGS, permission_choices


def test_every_permission_has_a_meaning_and_a_place() -> None:
    assert set(MEANINGS) == set(Permission)
    shown = [c.name for _, group in permission_choices(Permission, ()) for c in group]
    assert sorted(shown) == sorted(Permission)


def test_only_what_is_offered_is_shown_and_only_what_is_ticked_is_ticked() -> None:
    groups = permission_choices(BUILT_IN_ROLES["VIEWER"], ["traces:read"])
    assert [title for title, _ in groups] == ["Traces"]
    ticked = [choice.name for _, group in groups for choice in group if choice.is_ticked]
    assert ticked == ["traces:read"]
