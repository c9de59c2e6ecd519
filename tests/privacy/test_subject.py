"""Whom an export or an erasure is about. Spec: 265-266."""

import pytest

from bennu.kernel.errors import SchemaError
from bennu.privacy.subject import Subject, subject_names

USER = "VXNlcjo3"


def test_a_user_or_an_attribute() -> None:
    assert (Subject(user_id=USER).kind, Subject(user_id=USER).user_row) == ("user", 7)
    person = Subject(attribute="user.id", value="ann")
    assert person.kind == "attribute"
    assert [(m.segments, m.value) for m in person.matches()] == [(("user", "id"), "ann")]
    numbers = [Subject(attribute="a", value=value) for value in (2**63 - 1, -(2**63), str(2**63))]
    for good in (Subject(user_id=USER), person, Subject(attribute="a", value=False), *numbers):
        good.check()


def test_digits_may_be_stored_as_a_text_or_as_a_number() -> None:
    assert Subject(attribute="user.id", value="42").values() == ("42", 42)
    assert Subject(attribute="user.id", value="4.5").values() == ("4.5", 4.5)
    assert Subject(attribute="user.id", value=42).values() == (42,)
    assert Subject(attribute="user.id", value="true").values() == ("true",)
    assert Subject(attribute="user.id", value='"42"').values() == ('"42"',)
    assert len(subject_names(Subject(attribute="user.id", value="42"))) == 2


@pytest.mark.parametrize(
    ("subject", "field"),
    [
        (Subject(), "subject"),
        (Subject(user_id=USER, attribute="a", value="b"), "subject"),
        (Subject(user_id="nobody"), "user_id"),
        (Subject(user_id="UHJvamVjdDox"), "user_id"),
        (Subject(attribute="user.id"), "value"),
        (Subject(attribute="user.id", value=""), "value"),
        (Subject(attribute='a"b', value="x"), "attribute"),
        (Subject(attribute="...", value="x"), "attribute"),
        (Subject(attribute="a", value="x" * 2_001), "subject"),
        (Subject(attribute="a", value=2**63), "value"),
        (Subject(attribute="a", value=-(2**63) - 1), "value"),
    ],
)
def test_what_names_nobody_is_refused(subject: Subject, field: str) -> None:
    with pytest.raises(SchemaError) as refused:
        subject.check()
    assert refused.value.problems[0].loc[-1] == field
