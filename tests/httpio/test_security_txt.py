"""The file that says whom to tell of a vulnerability. Source: RFC 9116, section 2.5."""

from datetime import UTC, datetime, timedelta

import pytest

from bennu.httpio.security_txt import SecurityContactSettings
from fakes.settings import names_of_problems, names_of_warnings, read_settings

NOON = datetime(2026, 11, 25, 12, 30, 5, 7, tzinfo=UTC)
POLICY = "https://example.com/security-policy"


def test_all_fields_are_written_the_contacts_in_their_order() -> None:
    contact = SecurityContactSettings(
        ("mailto:security@example.com", "https://example.com/report", "tel:+1-201-555-0123"),
        POLICY,
    )
    assert contact.text(NOON, "https://traces.example.com") == (
        "Contact: mailto:security@example.com\n"
        "Contact: https://example.com/report\n"
        "Contact: tel:+1-201-555-0123\n"
        "Expires: 2027-05-24T00:00:00Z\n"
        "Canonical: https://traces.example.com/.well-known/security.txt\n"
        "Preferred-Languages: en\n"
        f"Policy: {POLICY}\n"
    )


def test_it_expires_within_the_year_and_is_the_same_all_day() -> None:
    contact = SecurityContactSettings(("mailto:a@example.com",))
    later = NOON + timedelta(hours=11)
    assert contact.text(NOON, None) == contact.text(later, None)
    assert contact.text(NOON, None) != contact.text(later + timedelta(hours=1), None)


@pytest.mark.parametrize("root_url", [None, "http://traces.example.com"])
def test_an_address_that_is_not_https_is_not_canonical(root_url: str | None) -> None:
    assert "Canonical" not in SecurityContactSettings(("tel:+1",)).text(NOON, root_url)


def test_contacts_are_read_as_a_list() -> None:
    listed = "mailto:a@example.com, https://example.com/report"
    read = read_settings(PHOENIX_SECURITY_CONTACT=listed, PHOENIX_SECURITY_POLICY_URL=POLICY)
    assert read.security_contact == SecurityContactSettings(
        ("mailto:a@example.com", "https://example.com/report"), POLICY
    )
    assert read_settings().security_contact == SecurityContactSettings()


@pytest.mark.parametrize(
    "wrong",
    [
        "security@example.com",
        "mailto:security",
        "mailto:a@example.com?cc=b@example.com\nExpires: never",
        "http://example.com/report",
        "https://",
        "https://user@example.com/",
        "https://example.com:70000/",
        "https://example.com/ö",
        "https://example.com/a b",
        "https://example.com/\rContact: mailto:b@example.com",
        "tel:me",
        "mailto:a@example.com, javascript:x",
    ],
)
def test_what_is_no_contact_is_refused(wrong: str) -> None:
    assert names_of_problems({"PHOENIX_SECURITY_CONTACT": wrong}) == ["PHOENIX_SECURITY_CONTACT"]


def test_a_policy_is_an_https_page_and_needs_a_contact() -> None:
    name = "PHOENIX_SECURITY_POLICY_URL"
    assert names_of_problems({name: "http://example.com/"}) == [name]
    assert names_of_warnings({name: POLICY}) == [name]
    assert names_of_warnings({name: POLICY}, PHOENIX_SECURITY_CONTACT="tel:+1") == []
