"""The names of a provider's settings, and how a provider's name is found in them.

Spec: lines 91-133. Contract: section 1d.
"""

from collections.abc import Iterable
from typing import Final

from bennu.kernel.env import Variable

PREFIX: Final = "PHOENIX_OAUTH2_"
SECRET_SUFFIX: Final = "CLIENT_SECRET"  # noqa: S105 - part of a name, not a secret
#: Settings of the authorization server of the reference; they look like those of a provider.
NOT_OF_A_PROVIDER: Final = frozenset(
    {
        "PHOENIX_OAUTH2_GRANT_EXPIRY_DAYS",
        "PHOENIX_OAUTH2_CONSENT_ORIGIN_CHECK",
        "PHOENIX_OAUTH2_DYNAMIC_CLIENT_REGISTRATION",
        "PHOENIX_OAUTH2_ALLOWED_REDIRECT_HOSTS",
        "PHOENIX_OAUTH2_DCR_RATE_LIMIT_PER_HOUR",
    }
)


def _of(
    suffix: str, kind: str, default: str, meaning: str, spec_line: int | None = None
) -> Variable:
    name = f"{PREFIX}{{PROVIDER}}_{suffix}"
    return Variable(name, kind, default, meaning, spec_line, secret=suffix == SECRET_SUFFIX)


VARIABLES: Final = (
    _of("CLIENT_ID", "text", "", "Bennu's name at the provider; required.", 94),
    _of(
        SECRET_SUFFIX,
        "text",
        "",
        "Bennu's secret at the provider; required unless TOKEN_ENDPOINT_AUTH_METHOD works "
        "without one.",
        95,
    ),
    _of(
        "OIDC_CONFIG_URL",
        "URL",
        "",
        "The provider's discovery document; required, https unless on loopback.",
        96,
    ),
    _of("DISPLAY_NAME", "text", "the name in title case", "What the sign-in button says.", 97),
    _of(
        "ALLOW_SIGN_UP",
        "flag",
        "true",
        "Whether people without an account get one at their first sign-in.",
        98,
    ),
    _of(
        "AUTO_LOGIN",
        "flag",
        "false",
        "Whether the sign-in page goes to this provider at once; one provider at most.",
        99,
    ),
    _of(
        "SCOPES",
        "list split by blanks",
        "openid email profile",
        "Scopes asked for besides these three.",
        105,
    ),
    _of(
        "EMAIL_ATTRIBUTE_PATH",
        "JMESPath or claim name",
        "email",
        "Where the email stands in the claims.",
        106,
    ),
    _of(
        "GROUPS_ATTRIBUTE_PATH",
        "JMESPath or claim name",
        "",
        "Where the groups stand in the claims.",
        130,
    ),
    _of(
        "ALLOWED_GROUPS",
        "comma list",
        "",
        "Groups that may sign in; without it a groups path restricts nobody.",
        132,
    ),
    _of(
        "ROLE_ATTRIBUTE_PATH",
        "JMESPath or claim name",
        "",
        "Where the role stands in the claims.",
        120,
    ),
    _of(
        "ROLE_MAPPING",
        "comma list",
        "",
        "The provider's words for roles, as `admin:ADMIN,user:MEMBER`.",
        121,
    ),
    _of(
        "ROLE_ATTRIBUTE_STRICT",
        "flag",
        "false",
        "Whether people without a known role are refused instead of made VIEWER.",
    ),
    _of(
        "ROLE_RESYNC",
        "flag",
        "true",
        "Whether the role follows the provider at every sign-in.",
    ),
    _of(
        "USE_PKCE",
        "flag",
        "true",
        "Whether the code is bound to this browser (RFC 7636); always so without a secret.",
        123,
    ),
    _of(
        "TOKEN_ENDPOINT_AUTH_METHOD",
        "client_secret_basic, client_secret_post, none, client_assertion_jwt or private_key_jwt",
        "client_secret_basic",
        "How Bennu shows the provider who it is.",
        125,
    ),
    _of(
        "CLIENT_ASSERTION_FILE",
        "file",
        "",
        "An absolute path; the signed assertion in it is read anew for every use.",
    ),
    _of(
        "CLIENT_ASSERTION_FILE_ENV_VAR",
        "text",
        "",
        "The variable that holds that path, such as AZURE_FEDERATED_TOKEN_FILE.",
    ),
    _of("PRIVATE_KEY_FILE", "file", "", "The key of private_key_jwt, in PEM form."),
)

SUFFIXES: Final = tuple(variable.name.partition("}_")[2] for variable in VARIABLES)
#: Longest first: ``MY_ROLE_ATTRIBUTE_PATH`` must not be read as a provider called ``MY_ROLE…``.
_ENDINGS: Final = sorted((*SUFFIXES, f"{SECRET_SUFFIX}_FILE"), key=len, reverse=True)


def split_provider_variable(name: str) -> tuple[str, str] | None:
    """Return the provider and the suffix of a variable, both as written.

    Names of providers may hold underscores: the longest known suffix is taken off the end.
    None for a variable that is no provider's, or whose suffix is not known.
    """
    if not name.startswith(PREFIX) or name in NOT_OF_A_PROVIDER:
        return None
    rest = name.removeprefix(PREFIX)
    for ending in _ENDINGS:
        provider = rest.removesuffix(f"_{ending}")
        if provider not in {rest, ""}:
            return provider, ending
    return None


def provider_names(variables: Iterable[str]) -> tuple[str, ...]:
    """Return the providers that the set variables speak of, in alphabetical order."""
    found = (split_provider_variable(name) for name in variables)
    return tuple(sorted({parts[0] for parts in found if parts is not None}))
