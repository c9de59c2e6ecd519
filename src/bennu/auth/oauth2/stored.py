"""Providers that admins store over REST, by the very rules of the environment.

A stored provider is a set of texts as they would stand in the environment; so there is one
parser, one set of rules and one list of names for both.

Spec: lines 91-133, 166.
"""

from collections.abc import Mapping

from bennu.auth.oauth2.settings import ProviderSettings
from bennu.auth.oauth2.variables import PREFIX, provider_names
from bennu.kernel.env import Env, Problem, Sourced
from bennu.stored_settings.model import Provider, SettingSource


def check_stored_provider(variables: Mapping[str, str]) -> tuple[Problem, ...]:
    """Return what the parser of the environment finds wrong with a provider."""
    env = _env_of(variables)
    for name in provider_names(variables):
        ProviderSettings.from_env(env, name)
    return tuple(env.problems)


def stored_provider_settings(provider: Provider) -> ProviderSettings:
    """Return the settings by which people sign in through a stored provider."""
    return ProviderSettings.from_env(_env_of(provider.variables()), provider.name.upper())


def environment_provider(settings: ProviderSettings) -> Provider:
    """Return a provider of the environment the way stored ones are shown."""
    texts = {
        "client_id": settings.client_id,
        "oidc_config_url": settings.oidc_config_url,
        "display_name": settings.display_name,
        "token_endpoint_auth_method": settings.token_endpoint_auth_method,
        "scopes": " ".join(settings.scopes),
        "email_attribute_path": settings.email_attribute_path,
        "groups_attribute_path": settings.groups_attribute_path,
        "allowed_groups": ",".join(settings.allowed_groups),
        "role_attribute_path": settings.role_attribute_path,
        "role_mapping": ",".join(f"{theirs}:{role}" for theirs, role in settings.role_mapping),
    }
    flags = {
        "allow_sign_up": settings.allow_sign_up,
        "auto_login": settings.auto_login,
        "use_pkce": settings.use_pkce,
        "role_attribute_strict": settings.role_attribute_strict,
        "role_resync": settings.role_resync,
    }
    fields = {name: text for name, text in texts.items() if text}
    fields |= {name: "true" if flag else "false" for name, flag in flags.items()}
    return Provider(settings.name, fields, settings.client_secret, SettingSource.ENVIRONMENT)


def _env_of(variables: Mapping[str, str]) -> Env:
    known = {name: text for name, text in variables.items() if name.startswith(PREFIX)}
    return Env({name: Sourced(text, "request") for name, text in known.items()})
