"""How a provider's name is found in a variable."""

import pytest

from bennu.auth.oauth2.variables import provider_names, split_provider_variable


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("PHOENIX_OAUTH2_GOOGLE_CLIENT_ID", ("GOOGLE", "CLIENT_ID")),
        ("PHOENIX_OAUTH2_AWS_COGNITO_SCOPES", ("AWS_COGNITO", "SCOPES")),
        ("PHOENIX_OAUTH2_X_CLIENT_SECRET_FILE", ("X", "CLIENT_SECRET_FILE")),
        ("PHOENIX_OAUTH2_X_CLIENT_ASSERTION_FILE_ENV_VAR", ("X", "CLIENT_ASSERTION_FILE_ENV_VAR")),
        ("PHOENIX_OAUTH2_MY_CLIENT_ID_CLIENT_ID", ("MY_CLIENT_ID", "CLIENT_ID")),
        ("PHOENIX_OAUTH2_MY_SCOPES_ROLE_MAPPING", ("MY_SCOPES", "ROLE_MAPPING")),
        ("PHOENIX_OAUTH2_CLIENT_ID", None),
        ("PHOENIX_OAUTH2_GOOGLE_COLOUR", None),
        ("PHOENIX_OAUTH2_ALLOWED_REDIRECT_HOSTS", None),
        ("PHOENIX_OAUTH2_GRANT_EXPIRY_DAYS", None),
        ("OTHER_GOOGLE_CLIENT_ID", None),
    ],
)
def test_the_longest_known_suffix_is_taken(name: str, wanted: tuple[str, str] | None) -> None:
    assert split_provider_variable(name) == wanted


def test_providers_are_found_once_each() -> None:
    names = ["PHOENIX_OAUTH2_B_SCOPES", "PHOENIX_OAUTH2_A_B_CLIENT_ID", "PHOENIX_OAUTH2_B_USE_PKCE"]
    assert provider_names(names) == ("A_B", "B")
