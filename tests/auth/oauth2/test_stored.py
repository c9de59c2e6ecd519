"""Stored providers obey the rules of the environment and mean the same. Spec: 91-133."""

from bennu.auth.oauth2.settings import ProviderSettings
from bennu.auth.oauth2.stored import (
    check_stored_provider,
    environment_provider,
    stored_provider_settings,
)
from bennu.kernel.env import Env, Sourced
from bennu.kernel.secret import Secret
from bennu.stored_settings.model import Provider, SettingSource

FIELDS = {
    "client_id": "id",
    "oidc_config_url": "https://idp.example.com/.well-known/openid-configuration",
    "scopes": "groups",
    "groups_attribute_path": "cognito:groups",
    "allowed_groups": "a,b",
    "role_attribute_path": "role",
    "role_mapping": "boss:ADMIN,rest:VIEWER",
    "role_attribute_strict": "true",
    "allow_sign_up": "false",
}
PROVIDER = Provider("my_idp", FIELDS, Secret("hush"))


def test_a_stored_provider_signs_in_as_one_of_the_environment_would() -> None:
    env = Env({name: Sourced(text, "environment") for name, text in PROVIDER.variables().items()})
    given = ProviderSettings.from_env(env, "MY_IDP")
    assert env.problems == []
    assert check_stored_provider(PROVIDER.variables()) == ()
    assert stored_provider_settings(PROVIDER) == given
    assert given.name == "my_idp"
    assert given.role_mapping == (("boss", "ADMIN"), ("rest", "VIEWER"))
    assert given.client_secret == Secret("hush")


def test_problems_name_the_variables_and_hide_the_secret() -> None:
    wrong = Provider("x", {"client_id": "id", "oidc_config_url": "ftp://x"}, Secret("hush"))
    (problem,) = check_stored_provider(wrong.variables())
    assert problem.name == "PHOENIX_OAUTH2_X_OIDC_CONFIG_URL"
    assert "hush" not in problem.as_line()


def test_a_provider_of_the_environment_is_shown_like_a_stored_one() -> None:
    shown = environment_provider(stored_provider_settings(PROVIDER))
    assert shown.source is SettingSource.ENVIRONMENT
    assert shown.client_secret == Secret("hush")
    assert shown.fields["scopes"] == "openid email profile groups"
    assert shown.fields["display_name"] == "My Idp"
    assert "hush" not in str(shown.shown())
    again = Provider("my_idp", shown.fields, shown.client_secret)
    assert stored_provider_settings(again) == stored_provider_settings(PROVIDER)
