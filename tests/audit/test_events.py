"""The closed list of events."""

import pytest

from bennu.audit.events import AuditEvent, EventName


def test_names_follow_the_grammar() -> None:
    for name in EventName:
        area, _, what = str(name).partition(".")
        assert area.isidentifier(), name
        assert what, name


@pytest.mark.parametrize("field", ["password", "secret", "token", "digest", "client_secret"])
def test_a_record_cannot_carry_a_secret(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        AuditEvent(EventName.USER_CHANGED, after={field: "x"})
