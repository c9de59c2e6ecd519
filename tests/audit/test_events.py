"""The closed list of events, and what a record of each may say."""

from pathlib import Path
from typing import Any

import pytest

from bennu.audit.events import EVENT_RULES, AuditEvent, EventName, Target
from bennu.kernel.secret import Secret


def test_names_follow_the_grammar() -> None:
    for name in EventName:
        area, _, what = str(name).partition(".")
        assert area.isidentifier(), name
        assert what, name


def test_the_page_for_operators_names_every_area() -> None:
    page = Path(__file__).parents[2] / "docs" / "operations" / "audit.md"
    told = page.read_text("utf-8")
    for name in EventName:
        assert f"`{str(name).partition('.')[0]}.*`" in told, name


def test_every_event_says_what_it_may_carry() -> None:
    assert set(EVENT_RULES) == set(EventName)


def test_only_what_strangers_can_cause_and_reading_are_folded() -> None:
    assert {str(name) for name, rule in EVENT_RULES.items() if rule.is_foldable} == {
        "auth.sign_in.failed",
        "auth.sign_in.throttled",
        "auth.password.reset_requested",
        "auth.denied",
        "rate_limit.exceeded",
        "audit.read",
    }


@pytest.mark.asvs("16.2.5")
@pytest.mark.parametrize(
    "fields",
    [
        {"password": "x"},
        {"secret": None},
        {"token": True},
        {"client_secret": "x"},
        {"password_hash": "x"},
        {"smtp": {"password": "x"}},
        {"providers": [{"name": "a"}, {"client_secret": "x"}]},
        {"anything": Secret("x")},
        {"anything": [Secret("x")]},
        {"anything": b"x"},
    ],
)
def test_no_event_can_carry_a_secret(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must not hold"):
        AuditEvent(EventName.SETTINGS_CHANGED, before=fields)
    with pytest.raises(ValueError, match="must not hold"):
        AuditEvent(EventName.SETTINGS_CHANGED, after=fields)


def test_that_there_is_a_secret_may_be_said() -> None:
    fields = {"client_secret_set": True, "password_set": False, "token_endpoint_auth_method": "x"}
    assert AuditEvent(EventName.SETTINGS_CHANGED, after=fields).after == fields


def test_an_event_carries_its_own_fields_only() -> None:
    AuditEvent(EventName.USER_CHANGED, before={"role": "MEMBER"}, after={"role": "ADMIN"})
    with pytest.raises(ValueError, match=r"user\.changed does not carry colour, shape"):
        AuditEvent(EventName.USER_CHANGED, after={"shape": 1, "colour": 2, "role": "ADMIN"})


def test_an_event_is_done_to_its_own_kind_of_target() -> None:
    AuditEvent(EventName.USER_CHANGED, target=Target("user"))
    with pytest.raises(ValueError, match=r"user\.changed is not done to 'project'"):
        AuditEvent(EventName.USER_CHANGED, target=Target("project"))
