"""Identity providers from the environment."""

from pathlib import Path

import jmespath
import pytest

from bennu.auth.oauth2.settings import ProviderSettings
from fakes.settings import names_of_problems, names_of_warnings, problems_of, read_settings

URL = "https://idp.example.com/.well-known/openid-configuration"
BASE = {"CLIENT_ID": "phoenix", "CLIENT_SECRET": "hunter2", "OIDC_CONFIG_URL": URL}


def variables(provider: str = "IDP", without: str = "", **more: str) -> dict[str, str]:
    values = {name: value for name, value in {**BASE, **more}.items() if name != without}
    return {f"PHOENIX_OAUTH2_{provider}_{name}": value for name, value in values.items()}


def read_provider(**more: str) -> ProviderSettings:
    (provider,) = read_settings(variables(**more)).oauth2
    return provider


def test_the_defaults_are_those_of_the_contract_and_pkce_is_on() -> None:
    provider = read_provider()
    assert (provider.name, provider.client_id) == ("idp", "phoenix")
    assert provider.client_secret is not None
    assert provider.client_secret.reveal() == "hunter2"
    assert "hunter2" not in repr(provider)
    assert provider.oidc_config_url == URL
    assert provider.display_name == "Idp"
    assert (provider.allow_sign_up, provider.auto_login, provider.use_pkce) == (True, False, True)
    assert provider.scopes == ("openid", "email", "profile")
    assert provider.email_attribute_path == "email"
    assert provider.token_endpoint_auth_method == "client_secret_basic"
    assert (provider.role_attribute_strict, provider.role_resync) == (False, True)


def test_everything_is_read() -> None:
    provider = read_provider(
        DISPLAY_NAME="Our IdP",
        ALLOW_SIGN_UP="false",
        AUTO_LOGIN="true",
        SCOPES="offline_access email User.Read",
        EMAIL_ATTRIBUTE_PATH="preferred_username",
        GROUPS_ATTRIBUTE_PATH="resource_access.phoenix.roles",
        ALLOWED_GROUPS="Admins, Power Users",
        ROLE_ATTRIBUTE_PATH="roles[0]",
        ROLE_MAPPING="admin:ADMIN, urn:x:user:member",
        ROLE_ATTRIBUTE_STRICT="true",
        ROLE_RESYNC="false",
        USE_PKCE="false",
        TOKEN_ENDPOINT_AUTH_METHOD="client_secret_post",
    )
    assert provider.display_name == "Our IdP"
    assert (provider.allow_sign_up, provider.auto_login, provider.use_pkce) == (False, True, False)
    assert provider.scopes == ("openid", "email", "profile", "offline_access", "User.Read")
    assert provider.email_attribute_path == "preferred_username"
    assert provider.groups_attribute_path == "resource_access.phoenix.roles"
    assert provider.allowed_groups == ("Admins", "Power Users")
    assert provider.role_attribute_path == "roles[0]"
    assert provider.role_mapping == (("admin", "ADMIN"), ("urn:x:user", "MEMBER"))
    assert (provider.role_attribute_strict, provider.role_resync) == (True, False)
    assert provider.token_endpoint_auth_method == "client_secret_post"


@pytest.mark.parametrize(
    "claim", ["cognito:groups", "https://example.com/groups", "my-groups", '"cognito:groups"']
)
def test_the_name_of_a_claim_is_taken_literally(claim: str) -> None:
    path = read_provider(GROUPS_ATTRIBUTE_PATH=f"'{claim}'").groups_attribute_path
    assert jmespath.search(path, {claim.strip('"'): ["Admins"]}) == ["Admins"]


def test_several_providers_stand_in_alphabetical_order() -> None:
    values = {**variables("MICROSOFT_ENTRA_ID"), **variables("AWS_COGNITO")}
    found = read_settings(values).oauth2
    assert [(p.name, p.display_name) for p in found] == [
        ("aws_cognito", "AWS Cognito"),
        ("microsoft_entra_id", "Microsoft Entra ID"),
    ]


@pytest.mark.parametrize("method", ["none", "client_assertion_jwt", "private_key_jwt"])
def test_some_methods_work_without_a_secret(method: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    more = {
        "client_assertion_jwt": {"CLIENT_ASSERTION_FILE": str(path)},
        "private_key_jwt": {"PRIVATE_KEY_FILE": str(path)},
    }.get(method, {})
    values = variables(without="CLIENT_SECRET", TOKEN_ENDPOINT_AUTH_METHOD=method, **more)
    (provider,) = read_settings(values).oauth2
    assert provider.client_secret is None
    assert provider.use_pkce


def test_without_a_secret_pkce_cannot_be_turned_off() -> None:
    values = variables(without="CLIENT_SECRET", TOKEN_ENDPOINT_AUTH_METHOD="none", USE_PKCE="false")
    assert read_settings(values).oauth2[0].use_pkce


def test_the_path_of_an_assertion_may_stand_in_another_variable() -> None:
    values = variables(
        without="CLIENT_SECRET",
        TOKEN_ENDPOINT_AUTH_METHOD="client_assertion_jwt",
        CLIENT_ASSERTION_FILE_ENV_VAR="AZURE_FEDERATED_TOKEN_FILE",
    )
    read = read_settings(values, AZURE_FEDERATED_TOKEN_FILE="/run/token")
    assert read.oauth2[0].client_assertion_file == Path("/run/token")
    name = "PHOENIX_OAUTH2_IDP_CLIENT_ASSERTION_FILE_ENV_VAR"
    assert names_of_problems(values) == [name]
    assert names_of_problems(values, AZURE_FEDERATED_TOKEN_FILE="token") == [name]


@pytest.mark.parametrize("missing", ["CLIENT_ID", "CLIENT_SECRET", "OIDC_CONFIG_URL"])
def test_what_every_provider_needs_is_named(missing: str) -> None:
    assert names_of_problems(variables(without=missing)) == [f"PHOENIX_OAUTH2_IDP_{missing}"]


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("hunter2\n")
    values = variables(without="CLIENT_SECRET", CLIENT_SECRET_FILE=str(path))
    (provider,) = read_settings(values).oauth2
    assert provider.client_secret is not None
    assert provider.client_secret.reveal() == "hunter2"


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"OIDC_CONFIG_URL": "http://idp.example.com/x"}, "OIDC_CONFIG_URL"),
        ({"OIDC_CONFIG_URL": "idp.example.com"}, "OIDC_CONFIG_URL"),
        ({"OIDC_CONFIG_URL": "https://x/{tenant-id}/y"}, "OIDC_CONFIG_URL"),
        ({"OIDC_CONFIG_URL": "https://a:b@x/y"}, "OIDC_CONFIG_URL"),
        ({"EMAIL_ATTRIBUTE_PATH": "a.["}, "EMAIL_ATTRIBUTE_PATH"),
        ({"GROUPS_ATTRIBUTE_PATH": "a b"}, "GROUPS_ATTRIBUTE_PATH"),
        ({"ALLOWED_GROUPS": "a"}, "GROUPS_ATTRIBUTE_PATH"),
        ({"GROUPS_ATTRIBUTE_PATH": "a", "ALLOWED_GROUPS": ","}, "ALLOWED_GROUPS"),
        ({"ROLE_MAPPING": "a:ADMIN"}, "ROLE_MAPPING"),
        ({"ROLE_MAPPING": "admin", "ROLE_ATTRIBUTE_PATH": "r"}, "ROLE_MAPPING"),
        ({"ROLE_MAPPING": "a:SYSTEM", "ROLE_ATTRIBUTE_PATH": "r"}, "ROLE_MAPPING"),
        ({"ROLE_MAPPING": ":ADMIN", "ROLE_ATTRIBUTE_PATH": "r"}, "ROLE_MAPPING"),
        ({"ROLE_ATTRIBUTE_STRICT": "true"}, "ROLE_ATTRIBUTE_STRICT"),
        ({"ROLE_RESYNC": "false"}, "ROLE_RESYNC"),
        ({"TOKEN_ENDPOINT_AUTH_METHOD": "basic"}, "TOKEN_ENDPOINT_AUTH_METHOD"),
        ({"TOKEN_ENDPOINT_AUTH_METHOD": "client_assertion_jwt"}, "CLIENT_ASSERTION_FILE"),
        ({"TOKEN_ENDPOINT_AUTH_METHOD": "private_key_jwt"}, "PRIVATE_KEY_FILE"),
        ({"CLIENT_ASSERTION_FILE": "token"}, "CLIENT_ASSERTION_FILE"),
        (
            {"CLIENT_ASSERTION_FILE": "/x", "CLIENT_ASSERTION_FILE_ENV_VAR": "X"},
            "CLIENT_ASSERTION_FILE_ENV_VAR",
        ),
        ({"AUTO_LOGIN": "1"}, "AUTO_LOGIN"),
    ],
)
def test_a_wrong_value_names_its_variable(more: dict[str, str], name: str) -> None:
    assert names_of_problems(variables(**more)) == [f"PHOENIX_OAUTH2_IDP_{name}"]


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1:9000", "[::1]:9000"])
def test_a_provider_on_this_machine_may_do_without_tls(host: str) -> None:
    assert read_provider(OIDC_CONFIG_URL=f"http://{host}/x").oidc_config_url == f"http://{host}/x"


def test_blanks_inside_an_address_are_left_out_and_remarked() -> None:
    values = variables(OIDC_CONFIG_URL="https://login.example.com/ tenant/v2.0/x")
    assert (
        read_settings(values).oauth2[0].oidc_config_url == "https://login.example.com/tenant/v2.0/x"
    )
    assert names_of_warnings(values) == ["PHOENIX_OAUTH2_IDP_OIDC_CONFIG_URL"]


def test_one_provider_at_most_signs_in_by_itself() -> None:
    values = {**variables("A", AUTO_LOGIN="true"), **variables("B", AUTO_LOGIN="true")}
    assert names_of_problems(values) == ["PHOENIX_OAUTH2_B_AUTO_LOGIN"]


@pytest.mark.parametrize("name", ["AUTHORIZE", "TOKEN", "REVOKE", "REGISTER", "CONSENT"])
def test_a_name_that_is_a_path_of_the_contract_is_refused(name: str) -> None:
    assert names_of_problems(variables(name)) == [f"PHOENIX_OAUTH2_{name}_CLIENT_ID"]


def test_no_problem_shows_a_secret() -> None:
    values = variables(CLIENT_SECRET_FILE="/nowhere", SCOPES="x")
    assert "hunter2" not in str(problems_of(values))
