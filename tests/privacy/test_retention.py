"""From policy and time to what is past it. Spec: 262-264."""

from datetime import UTC, datetime, timedelta

import pytest

from bennu.kernel.errors import SchemaError
from bennu.privacy.retention import Policy, PolicyDraft, Rule, cutoff_of, default_draft

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_rule_says_what_is_kept_in_the_form_of_the_contract() -> None:
    assert Rule().shown() == {"type": "max_days", "max_days": 0.0}
    assert Rule(max_days=90).shown() == {"type": "max_days", "max_days": 90.0}
    assert Rule(max_count=5).shown() == {"type": "max_count", "max_count": 5}
    both = {"type": "max_days_or_count", "max_days": 1.5, "max_count": 5}
    assert Rule(1.5, 5).shown() == both


def test_the_cutoff_lies_so_many_days_back_and_days_may_be_fractions() -> None:
    assert cutoff_of(Rule(max_days=1.5), NOW) == NOW - timedelta(days=1, hours=12)
    assert cutoff_of(Rule(max_count=5), NOW) is None
    assert cutoff_of(Rule(), NOW) is None


def test_a_policy_is_due_at_its_hours_and_one_missed_counts() -> None:
    policy = Policy(1, "p", "0 0 * * 0", Rule(max_days=1))
    assert policy.is_due(NOW, None)
    sunday = datetime(2025, 12, 28, tzinfo=UTC)
    assert policy.is_due(NOW, sunday - HOUR)
    assert policy.is_due(NOW, sunday - timedelta(days=30))
    assert not policy.is_due(NOW, sunday)
    assert not policy.is_due(NOW, NOW)


def test_a_policy_that_keeps_everything_is_never_due() -> None:
    assert not Policy(1, "p", "0 * * * *", Rule()).is_due(NOW, None)
    assert default_draft(0).rule.keeps_everything
    assert default_draft(90).rule == Rule(max_days=90.0)


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        (PolicyDraft(" ", "0 * * * *", Rule()), "name"),
        (PolicyDraft("n" * 201, "0 * * * *", Rule()), "name"),
        (PolicyDraft("n", "0 * * * *", Rule(max_days=-1)), "max_days"),
        (PolicyDraft("n", "0 * * * *", Rule(max_days=float("nan"))), "max_days"),
        (PolicyDraft("n", "0 * * * *", Rule(max_days=36_501)), "max_days"),
        (PolicyDraft("n", "0 * * * *", Rule(max_count=-1)), "max_count"),
    ],
)
def test_what_no_policy_can_be_names_the_field(draft: PolicyDraft, field: str) -> None:
    with pytest.raises(SchemaError) as refused:
        draft.check("body")
    assert refused.value.problems[0].loc[-1] == field
