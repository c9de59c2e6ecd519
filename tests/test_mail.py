"""The mail server's settings."""

import pytest

from fakes.settings import names_of_problems, names_of_warnings, read_settings

GOOD = {
    "PHOENIX_SMTP_HOSTNAME": "mail.example.com",
    "PHOENIX_SMTP_USERNAME": "phoenix",
    "PHOENIX_SMTP_PASSWORD": "hunter2",
}


def test_without_a_host_name_no_mail_is_sent() -> None:
    mail = read_settings().mail
    assert (mail.hostname, mail.port, mail.validate_certs) == ("", 587, True)


def test_everything_is_read() -> None:
    mail = read_settings(
        GOOD, PHOENIX_SMTP_PORT="465", PHOENIX_SMTP_MAIL_FROM="Bennu <bennu@example.com>"
    ).mail
    assert (mail.hostname, mail.port, mail.username) == ("mail.example.com", 465, "phoenix")
    assert mail.password is not None
    assert mail.password.reveal() == "hunter2"
    assert mail.mail_from == "Bennu <bennu@example.com>"
    assert "hunter2" not in repr(mail)


@pytest.mark.parametrize("name", ["PHOENIX_SMTP_USERNAME", "PHOENIX_SMTP_PASSWORD"])
def test_a_host_name_needs_an_account(name: str) -> None:
    assert names_of_problems({k: v for k, v in GOOD.items() if k != name}) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PHOENIX_SMTP_PORT", "0"),
        ("PHOENIX_SMTP_MAIL_FROM", "nobody"),
        ("PHOENIX_SMTP_MAIL_FROM", "a@b\nBcc: c@d"),
        ("PHOENIX_SMTP_HOSTNAME", "smtp://mail"),
        ("PHOENIX_SMTP_VALIDATE_CERTS", "0"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    assert names_of_problems({**GOOD, name: value}) == [name]


def test_an_unchecked_certificate_is_warned_about() -> None:
    assert names_of_warnings(GOOD, PHOENIX_SMTP_VALIDATE_CERTS="false") == [
        "PHOENIX_SMTP_VALIDATE_CERTS"
    ]
