"""Rules for what may be stored."""

import pytest

from bennu.kernel.env import Problem
from bennu.kernel.secret import Secret
from bennu.stored_settings.model import (
    MailServer,
    Provider,
    mail_server_problems,
    provider_name_problems,
    provider_problems,
    secret_change_problems,
)

PASSWORD = Secret("hush-hush")


@pytest.mark.parametrize(
    ("server", "field"),
    [
        (MailServer(""), "hostname"),
        (MailServer("mail example"), "hostname"),
        (MailServer("mail\r\nexample"), "hostname"),
        (MailServer("m", port=0), "port"),
        (MailServer("m", port=65_536), "port"),
        (MailServer("m", username="u"), "password"),
        (MailServer("m", password=PASSWORD), "username"),
        (MailServer("m", username="u\0", password=PASSWORD), "username"),
        (MailServer("m", username="u", password=Secret("a\nb")), "password"),
        (MailServer("m", mail_from="nobody"), "mail_from"),
        (MailServer("m", mail_from="a@b\r\nBcc: c@d"), "mail_from"),
        (MailServer("m", mail_from="A\nB <a@b>"), "mail_from"),
    ],
)
def test_a_wrong_mail_server_names_its_field(server: MailServer, field: str) -> None:
    (problem,) = mail_server_problems(server)
    assert problem.loc == ("body", field)
    assert PASSWORD.reveal() not in problem.msg


@pytest.mark.parametrize(
    "server",
    [
        MailServer("localhost"),
        MailServer("[::1]", port=25, mail_from="Bennu <bennu@example.com>"),
        MailServer("smtp.example.com", username="u", password=PASSWORD, validate_certs=False),
    ],
)
def test_a_good_mail_server_passes_and_shows_no_password(server: MailServer) -> None:
    assert mail_server_problems(server) == ()
    assert "password" not in server.plain()
    assert server.shown()["password_set"] is bool(server.password)


@pytest.mark.parametrize("name", ["", "Google", "a-b", "a b", "a/b", "ä", "x" * 65, "a\n"])
def test_names_of_providers_fit_addresses_and_variables(name: str) -> None:
    (problem,) = provider_name_problems(name)
    assert problem.loc == ("path", "name")
    assert provider_name_problems("aws_cognito2") == ()


def test_a_problem_of_a_variable_becomes_one_of_a_field() -> None:
    provider = Provider("my_idp", {"client_id": "x"}, Secret("s"))
    assert provider.variables() == {
        "PHOENIX_OAUTH2_MY_IDP_CLIENT_ID": "x",
        "PHOENIX_OAUTH2_MY_IDP_CLIENT_SECRET": "s",
    }
    wrong = Problem("PHOENIX_OAUTH2_MY_IDP_OIDC_CONFIG_URL", "***", "an address", "request")
    (problem,) = provider_problems(provider, lambda _: (wrong,))
    assert (problem.loc, problem.msg) == (("body", "oidc_config_url"), "an address")
    long = Provider("p", {"scopes": "x" * 5_000})
    (problem,) = provider_problems(long, lambda _: ())
    assert problem.loc == ("body", "scopes")


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "Ä", "x" * 257, "A\n"])
def test_names_of_secret_values(name: str) -> None:
    (problem,) = secret_change_problems([("GOOD_1", None), (name, Secret("v"))])
    assert problem.loc == ("body", "secrets", 1, "key")


def test_secret_values_are_bounded_and_never_echoed() -> None:
    value = "v" * 65_537
    (problem,) = secret_change_problems([("_A", Secret(value))])
    assert problem.loc == ("body", "secrets", 0, "value")
    assert problem.seen is None
    assert "vvv" not in problem.msg
    (problem,) = secret_change_problems([("A", None)] * 1_001)
    assert problem.loc == ("body", "secrets")
    assert secret_change_problems([("A", Secret("v" * 65_536)), ("a1_", Secret(""))]) == ()
