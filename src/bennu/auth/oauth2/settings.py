"""Identity providers: any number of them, each from ``PHOENIX_OAUTH2_{PROVIDER}_*``.

Spec: lines 91-133. Contract: section 1d. Source: OpenID Connect Core, RFC 7636, JMESPath.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import jmespath
from jmespath.exceptions import JMESPathError

from bennu.auth.oauth2.variables import PREFIX, SECRET_SUFFIX, provider_names
from bennu.kernel.env import Env
from bennu.kernel.secret import Secret
from bennu.network.settings import split_http_url

AUTH_METHODS: Final = (
    "client_secret_basic",
    "client_secret_post",
    "none",
    "client_assertion_jwt",
    "private_key_jwt",
)
ROLES: Final = ("ADMIN", "MEMBER", "VIEWER")
_WITHOUT_SECRET: Final = frozenset({"none", "client_assertion_jwt", "private_key_jwt"})
#: Paths below ``/oauth2`` that are not a provider's.
_RESERVED: Final = frozenset({"authorize", "token", "revoke", "register", "consent"})
_DEFAULT_SCOPES: Final = ("openid", "email", "profile")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_DISPLAY_NAMES: Final = {
    "aws_cognito": "AWS Cognito",
    "microsoft_entra_id": "Microsoft Entra ID",
}
_PROVIDER_NAME: Final = re.compile(r"[A-Za-z0-9_]+")
_CLAIM_NAME: Final = re.compile(r"[\w:/.@-]+")
_VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One identity provider.

    Args:
        name: in lower case, as it stands in addresses.
        client_secret: None where the method of the token endpoint works without one.
        scopes: the three standard ones first.
        email_attribute_path: valid JMESPath, like the other paths; "" for none.
        allowed_groups: empty restricts nobody.
        role_mapping: pairs of the provider's word and a role in capitals.
        use_pkce: also true wherever there is no secret.
        client_assertion_file: absolute; read for every use.
    """

    name: str
    client_id: str
    client_secret: Secret | None
    oidc_config_url: str
    display_name: str
    allow_sign_up: bool = True
    auto_login: bool = False
    scopes: tuple[str, ...] = _DEFAULT_SCOPES
    email_attribute_path: str = "email"
    groups_attribute_path: str = ""
    allowed_groups: tuple[str, ...] = ()
    role_attribute_path: str = ""
    role_mapping: tuple[tuple[str, str], ...] = ()
    role_attribute_strict: bool = False
    role_resync: bool = True
    use_pkce: bool = True
    token_endpoint_auth_method: str = "client_secret_basic"  # noqa: S105 - the name of a method
    client_assertion_file: Path | None = None
    private_key_file: Path | None = None

    @classmethod
    def from_env(cls, env: Env, provider: str) -> Self:
        """Read one provider.

        Args:
            env: the values.
            provider: its name as written in the variables.
        """
        prefix, name = f"{PREFIX}{provider}_", provider.lower()
        method = env.choice(
            f"{prefix}TOKEN_ENDPOINT_AUTH_METHOD", "client_secret_basic", AUTH_METHODS
        )
        settings = cls(
            name=name,
            client_id=_read_required(env, f"{prefix}CLIENT_ID"),
            client_secret=env.secret(prefix + SECRET_SUFFIX),
            oidc_config_url=_read_config_url(env, f"{prefix}OIDC_CONFIG_URL"),
            display_name=env.text(f"{prefix}DISPLAY_NAME", _display_name_of(name)),
            allow_sign_up=env.flag(f"{prefix}ALLOW_SIGN_UP", default=True),
            auto_login=env.flag(f"{prefix}AUTO_LOGIN", default=False),
            scopes=_read_scopes(env, f"{prefix}SCOPES"),
            email_attribute_path=_read_path(env, f"{prefix}EMAIL_ATTRIBUTE_PATH", "email"),
            groups_attribute_path=_read_path(env, f"{prefix}GROUPS_ATTRIBUTE_PATH", ""),
            allowed_groups=env.items(f"{prefix}ALLOWED_GROUPS"),
            role_attribute_path=_read_path(env, f"{prefix}ROLE_ATTRIBUTE_PATH", ""),
            role_mapping=_read_role_mapping(env, f"{prefix}ROLE_MAPPING"),
            role_attribute_strict=env.flag(f"{prefix}ROLE_ATTRIBUTE_STRICT", default=False),
            role_resync=env.flag(f"{prefix}ROLE_RESYNC", default=True),
            use_pkce=env.flag(f"{prefix}USE_PKCE", default=True) or method == "none",
            token_endpoint_auth_method=method,
            client_assertion_file=_read_assertion_file(env, prefix),
            private_key_file=env.file(f"{prefix}PRIVATE_KEY_FILE"),
        )
        _check_proof_of_identity(settings, env, prefix)
        _check_roles_and_groups(settings, env, prefix)
        if name in _RESERVED or _PROVIDER_NAME.fullmatch(provider) is None:
            env.refuse(f"{prefix}CLIENT_ID", f"another provider name than {name}", secret=True)
        return settings


def read_providers(env: Env) -> tuple[ProviderSettings, ...]:
    """Read every provider that the variables speak of, in alphabetical order."""
    names = provider_names(env.known_names(PREFIX))
    providers = tuple(ProviderSettings.from_env(env, name) for name in names)
    automatic = [name for name, p in zip(names, providers, strict=True) if p.auto_login]
    for name in automatic[1:]:
        env.refuse(
            f"{PREFIX}{name}_AUTO_LOGIN",
            f"true for one provider only; {automatic[0].lower()} has it too",
        )
    return providers


def _display_name_of(name: str) -> str:
    return _DISPLAY_NAMES.get(name, name.replace("_", " ").title())


def _read_required(env: Env, name: str) -> str:
    if not env.is_set(name):
        env.refuse(name, "set, for every provider")
    return env.text(name)


def _read_config_url(env: Env, name: str) -> str:
    text = _read_required(env, name)
    joined = "".join(text.split())
    if joined != text:
        env.warn(name, f"read as {joined}, without the blanks inside")
    parts = split_http_url(joined)
    if joined and (parts is None or parts.username is not None or "{" in joined):
        env.refuse(name, "an address such as https://…/.well-known/openid-configuration")
    elif parts is not None and parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        env.refuse(name, "an https address; http is for localhost only")
    return joined


def _read_scopes(env: Env, name: str) -> tuple[str, ...]:
    more = env.text(name).replace(",", " ").split()
    return tuple(dict.fromkeys((*_DEFAULT_SCOPES, *more)))


def _read_path(env: Env, name: str, default: str) -> str:
    """Read a JMESPath expression; a claim name that is none is taken literally.

    Why: ``cognito:groups`` is the name of a claim and would need quotes of its own in JMESPath,
    which shells and env files take away.
    """
    text = env.text(name, default)
    if not text or _is_jmespath(text):
        return text
    if _CLAIM_NAME.fullmatch(text):
        return f'"{text}"'
    env.refuse(name, "a JMESPath expression such as resource_access.app.roles, or a claim name")
    return default


def _is_jmespath(text: str) -> bool:
    try:
        jmespath.compile(text)
    except (JMESPathError, RecursionError):
        return False
    return True


def _read_role_mapping(env: Env, name: str) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for item in env.items(name):
        theirs, _, role = (part.strip() for part in item.rpartition(":"))
        if not theirs or role.upper() not in ROLES:
            env.refuse(name, "pairs such as admin:ADMIN,user:MEMBER with ADMIN, MEMBER or VIEWER")
            return ()
        pairs.append((theirs, role.upper()))
    return tuple(pairs)


def _read_assertion_file(env: Env, prefix: str) -> Path | None:
    """Read the path, given directly or as the name of the variable that holds it.

    The file need not exist yet: platforms write it after the start, and it is read for every use.
    """
    name, indirect = f"{prefix}CLIENT_ASSERTION_FILE", f"{prefix}CLIENT_ASSERTION_FILE_ENV_VAR"
    path, holder = env.text(name), env.text(indirect)
    if path and holder:
        env.refuse(indirect, f"either {name} or {indirect}, not both")
    elif holder and (_VARIABLE_NAME.fullmatch(holder) is None or not env.text(holder)):
        env.refuse(indirect, "the name of a variable that is set")
    name = indirect if holder else name
    found = Path(path or (env.text(holder) if holder else ""))
    if (path or env.text(holder)) and not found.is_absolute():
        env.refuse(name, "an absolute path")
    return found if found.is_absolute() else None


def _check_proof_of_identity(settings: ProviderSettings, env: Env, prefix: str) -> None:
    method = settings.token_endpoint_auth_method
    if method not in _WITHOUT_SECRET and not env.is_set(prefix + SECRET_SUFFIX):
        env.refuse(
            prefix + SECRET_SUFFIX,
            "set, unless TOKEN_ENDPOINT_AUTH_METHOD is none, client_assertion_jwt or "
            "private_key_jwt",
            secret=True,
        )
    needed = {
        "client_assertion_jwt": ("CLIENT_ASSERTION_FILE", "CLIENT_ASSERTION_FILE_ENV_VAR"),
        "private_key_jwt": ("PRIVATE_KEY_FILE",),
    }.get(method, ())
    if needed and not any(env.is_set(prefix + suffix) for suffix in needed):
        env.refuse(prefix + needed[0], f"set, because TOKEN_ENDPOINT_AUTH_METHOD is {method}")


def _check_roles_and_groups(settings: ProviderSettings, env: Env, prefix: str) -> None:
    if settings.allowed_groups and not env.is_set(f"{prefix}GROUPS_ATTRIBUTE_PATH"):
        env.refuse(f"{prefix}GROUPS_ATTRIBUTE_PATH", "set, because ALLOWED_GROUPS is set")
    if env.is_set(f"{prefix}ALLOWED_GROUPS") and not settings.allowed_groups:
        env.refuse(f"{prefix}ALLOWED_GROUPS", "at least one group, or nothing at all")
    if env.is_set(f"{prefix}ROLE_ATTRIBUTE_PATH"):
        return
    for suffix, is_given in (
        ("ROLE_MAPPING", bool(settings.role_mapping)),
        ("ROLE_ATTRIBUTE_STRICT", settings.role_attribute_strict),
        ("ROLE_RESYNC", not settings.role_resync),
    ):
        if is_given:
            env.refuse(prefix + suffix, "given together with ROLE_ATTRIBUTE_PATH only")
