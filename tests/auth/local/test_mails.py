"""The texts of mails about accounts."""

from datetime import timedelta

from bennu.auth.local.mails import reset_mail, welcome_mail
from bennu.kernel.secret import Secret
from bennu.users.model import User

URL = "https://bennu.example.com"
ADA = User(1, "ada@example.com", "Ada", "MEMBER", "LOCAL", "sealed", True, True, False, 0, 0)


def test_a_reset_mail_holds_the_link_and_how_long_it_works() -> None:
    mail = reset_mail(ADA, URL, Secret("t0ken"), timedelta(minutes=15), "192.0.2.1")
    assert mail.to == "ada@example.com"
    assert f"\n{URL}/reset-password-with-token?token=t0ken\n" in mail.text
    assert "15 minutes" in mail.text
    assert "192.0.2.1" in mail.text


def test_a_welcome_says_how_to_sign_in_and_holds_no_password() -> None:
    assert "first password" in welcome_mail(ADA, URL).text
    invited = User(*(*_fields(ADA)[:5], None, *_fields(ADA)[6:]))
    assert f"{URL}/forgot-password" in welcome_mail(invited, URL).text
    remote = User(*(*_fields(ADA)[:4], "LDAP", None, *_fields(ADA)[6:]))
    assert "organisation" in welcome_mail(remote, URL).text


def _fields(user: User) -> tuple[object, ...]:
    return tuple(getattr(user, name) for name in User.__slots__)
