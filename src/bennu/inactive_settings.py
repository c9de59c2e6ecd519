"""Settings of the reference whose features Bennu does not have.

They are accepted and checked, so that an existing deployment file keeps working, and each one
that is set is noted as having no effect.

Contract: sections 1a, 1b, 1e, 1f.
"""

import re
from collections.abc import Callable
from typing import Final

from bennu.kernel.env import Env, Variable
from bennu.network.settings import split_http_url

_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")

_FLAGS: Final = (
    "PHOENIX_TELEMETRY_ENABLED",
    "PHOENIX_MASK_INTERNAL_SERVER_ERRORS",
    "PHOENIX_ENABLE_MCP_SERVER",
    "PHOENIX_ENABLE_MCP_CODE_MODE",
    "PHOENIX_DISABLE_AGENT_ASSISTANT",
    "PHOENIX_AGENTS_FORCE_TRACING",
    "PHOENIX_AGENTS_DISABLE_WEB_ACCESS",
    "PHOENIX_AGENTS_DISABLE_BASH",
    "PHOENIX_AGENTS_DISABLE_GITHUB",
    "PHOENIX_AGENTS_ENABLE_MCP_CODE_MODE",
    "PHOENIX_ENABLE_OAUTH2_AUTHORIZATION_SERVER",
    "PHOENIX_ENABLE_WEBSOCKETS",
    "PHOENIX_MIGRATE_INDEX_CONCURRENTLY",
)
_NUMBERS: Final = (
    "PHOENIX_OAUTH2_GRANT_EXPIRY_DAYS",
    "PHOENIX_OAUTH2_DCR_RATE_LIMIT_PER_HOUR",
    "PHOENIX_DATABASE_ALLOCATED_STORAGE_CAPACITY_GIBIBYTES",
    "PHOENIX_POSTGRES_AWS_IAM_TOKEN_LIFETIME_SECONDS",
)
_PERCENTAGES: Final = (
    "PHOENIX_DATABASE_USAGE_EMAIL_WARNING_THRESHOLD_PERCENTAGE",
    "PHOENIX_DATABASE_USAGE_INSERTION_BLOCKING_THRESHOLD_PERCENTAGE",
)
_URLS: Final = (
    "PHOENIX_MANAGEMENT_URL",
    "PHOENIX_AGENTS_COLLECTOR_ENDPOINT",
    "PHOENIX_AGENTS_GITHUB_MCP_URL",
    "PHOENIX_COLLECTOR_ENDPOINT",
    "PHOENIX_SERVER_INSTRUMENTATION_OTLP_TRACE_COLLECTOR_HTTP_ENDPOINT",
    "PHOENIX_SERVER_INSTRUMENTATION_OTLP_TRACE_COLLECTOR_GRPC_ENDPOINT",
    "PHOENIX_SERVER_INSTRUMENTATION_OTLP_LOG_COLLECTOR_HTTP_ENDPOINT",
    "PHOENIX_SERVER_INSTRUMENTATION_OTLP_LOG_COLLECTOR_GRPC_ENDPOINT",
)
_TEXTS: Final = (
    "PHOENIX_FULLSTORY_ORG",
    "PHOENIX_SCARF_SH_PIXEL_ID",
    "PHOENIX_FASTAPI_MIDDLEWARE_PATHS",
    "PHOENIX_GQL_EXTENSION_PATHS",
    "PHOENIX_GRPC_INTERCEPTOR_PATHS",
    "PHOENIX_ALLOWED_PROVIDERS",
    "PHOENIX_ALLOWED_SANDBOX_PROVIDERS",
    "PHOENIX_WASM_BINARY_PATH",
    "PHOENIX_SKILLS_PATHS",
    "PHOENIX_AGENTS_ASSISTANT_PROJECT_NAME",
    "PHOENIX_PROJECT_NAME",
    "PHOENIX_NOTEBOOK_ENV",
    "PHOENIX_OAUTH2_ALLOWED_REDIRECT_HOSTS",
)
_SECRETS: Final = (
    "PHOENIX_AGENTS_COLLECTOR_API_KEY",
    "PHOENIX_API_KEY",
    "PHOENIX_CLIENT_HEADERS",
    "PHOENIX_SQL_DATABASE_READ_REPLICA_URL",
)
_CHOICES: Final = {
    "PHOENIX_OAUTH2_CONSENT_ORIGIN_CHECK": ("strict", "off"),
    "PHOENIX_OAUTH2_DYNAMIC_CLIENT_REGISTRATION": ("disabled", "local_only", "enabled"),
}
_EMAILS: Final = ("PHOENIX_SUPPORT_EMAIL",)


def _kind_of(name: str) -> str:
    kinds = (
        ("flag", _FLAGS),
        ("number", _NUMBERS),
        ("number from 0 to 100", _PERCENTAGES),
        ("URL", _URLS),
        ("email", _EMAILS),
    )
    if name in _CHOICES:
        return " or ".join(_CHOICES[name])
    return next((kind for kind, names in kinds if name in names), "text")


_NAMES: Final = (
    *_FLAGS,
    *_NUMBERS,
    *_PERCENTAGES,
    *_URLS,
    *_TEXTS,
    *_SECRETS,
    *_CHOICES,
    *_EMAILS,
)

VARIABLES: Final = tuple(
    Variable(
        name,
        _kind_of(name),
        "",
        "No effect: a setting of Arize Phoenix for something that Bennu does not do.",
        secret=name in _SECRETS,
        has_effect=False,
    )
    for name in sorted(_NAMES)
)


def check_inactive_settings(env: Env) -> None:
    """Check the values that are set and note that they have no effect."""
    checks: dict[str, Callable[[Env, str], object]] = {
        **dict.fromkeys(_FLAGS, lambda e, n: e.flag(n, default=False)),
        **dict.fromkeys(_NUMBERS, lambda e, n: e.positive(n, 1)),
        **dict.fromkeys(_PERCENTAGES, _check_percentage),
        **dict.fromkeys(_URLS, _check_url),
        **dict.fromkeys(_EMAILS, _check_email),
        **dict.fromkeys(_CHOICES, lambda e, n: e.choice(n, "", _CHOICES[n])),
    }
    for name in _NAMES:
        if env.raw(name) is None:
            continue
        problems_before = len(env.problems)
        if name in checks:
            checks[name](env, name)
        if len(env.problems) == problems_before:
            env.warn(name, "accepted, and without effect: Bennu does not have this feature")


def _check_percentage(env: Env, name: str) -> None:
    text = env.text(name)
    if not (re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", text) and float(text) <= 100):  # noqa: PLR2004
        env.refuse(name, "a number from 0 to 100")


def _check_url(env: Env, name: str) -> None:
    if env.text(name) and split_http_url(env.text(name)) is None:
        env.refuse(name, "an http or https address")


def _check_email(env: Env, name: str) -> None:
    if _EMAIL.fullmatch(env.text(name)) is None:
        env.refuse(name, "an email address")
