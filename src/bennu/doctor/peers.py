"""The servers that this one talks to: directory, identity providers, mail, shared counters.

Spec: lines 91-133, 213-216, 280-285.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from bennu.auth.ldap.configured import require_ldap_library
from bennu.auth.ldap.diagnosis_report import StepResult
from bennu.auth.oauth2.trial import Step
from bennu.doctor.model import Finding, State
from bennu.kernel.clock import Clock
from bennu.kernel.errors import AppError
from bennu.mail import MailError
from bennu.settings import Settings

_SECONDS: Final = 30.0

#: Tries a provider by name; see ``bennu oauth2 test``.
TryProvider = Callable[[str], Awaitable[tuple[Step, ...]]]
#: Greets the mail server and signs in, without sending anything.
TryMail = Callable[[], Awaitable[None]]
#: Asks the shared counters for an answer.
TryCounters = Callable[[], Awaitable[None]]


async def check_directory(settings: Settings, clock: Clock) -> Sequence[Finding]:
    """Try each server of the directory up to the bind of the service account."""
    if settings.ldap is None:
        return ()
    try:
        require_ldap_library()
    except AppError as error:
        return (
            Finding("ldap", State.FAIL, error.public, "PHOENIX_LDAP_HOST", "", error.public, 281),
        )
    from bennu.auth.ldap.diagnosis import Diagnosis  # noqa: PLC0415 - needs the extra

    diagnosis = Diagnosis(settings.ldap, clock)
    report = await asyncio.to_thread(diagnosis.diagnose_servers)
    return tuple(_of_directory(step) for step in report.steps)


def _of_directory(step: StepResult) -> Finding:
    variable = step.variables[0] if step.variables else "PHOENIX_LDAP_HOST"
    return Finding(
        f"ldap_{step.step}",
        State.OK if step.ok else State.FAIL,
        step.detail,
        variable,
        "Nobody of the directory can sign in otherwise.",
        "" if step.ok else f"look at {', '.join(step.variables) or variable}",
        281,
    )


async def check_providers(settings: Settings, try_provider: TryProvider) -> Sequence[Finding]:
    """Try each identity provider of the environment."""
    found: list[Finding] = []
    for provider in settings.oauth2:
        for step in await try_provider(provider.name):
            found.append(_of_provider(provider.name, step))  # noqa: PERF401 - awaits in between
    return found


def _of_provider(name: str, step: Step) -> Finding:
    default = f"PHOENIX_OAUTH2_{name.upper()}_OIDC_CONFIG_URL"
    return Finding(
        f"oauth2_{step.step}",
        State.OK if step.ok else State.FAIL,
        f"{name}: {step.detail}",
        step.variables[0] if step.variables else default,
        "Nobody can sign in through it otherwise.",
        "" if step.ok else f"look at {', '.join(step.variables) or default}",
        92,
    )


async def check_mail(settings: Settings, try_mail: TryMail) -> Iterable[Finding]:
    """Greet the mail server, start TLS, sign in."""
    if not settings.mail.hostname:
        return (Finding("mail", State.SKIP, "no mail server", "PHOENIX_SMTP_HOSTNAME"),)
    why = "Forgotten passwords cannot be reset otherwise."
    try:
        await asyncio.wait_for(try_mail(), _SECONDS)
    except MailError as error:
        variable = _mail_variable(error.detail)
        return (Finding("mail", State.FAIL, error.detail, variable, why, f"look at {variable}"),)
    except TimeoutError:
        variable = "PHOENIX_SMTP_HOSTNAME"
        return (Finding("mail", State.FAIL, "no answer", variable, why, f"look at {variable}"),)
    return (Finding("mail", State.OK, "signs in over TLS", "PHOENIX_SMTP_HOSTNAME", why),)


def _mail_variable(detail: str) -> str:
    if "Authentication" in detail:
        return "PHOENIX_SMTP_PASSWORD"
    if "Certificate" in detail or "SSL" in detail:
        return "PHOENIX_SMTP_TLS_CA_CERT_FILE"
    return "PHOENIX_SMTP_HOSTNAME"


async def check_counters(settings: Settings, try_counters: TryCounters) -> Iterable[Finding]:
    """Ask the server that shares rate limits between processes."""
    name = "PHOENIX_RATE_LIMIT_STORAGE_URL"
    if settings.network.rate_limit_storage_url is None:
        return (Finding("rate_limit_storage", State.SKIP, "counted in this process", name),)
    why = "Each process counts for itself while it is away."
    try:
        await try_counters()
    except AppError as error:
        seen = error.detail or error.public
        return (Finding("rate_limit_storage", State.FAIL, seen, name, why, "start it", 213),)
    return (Finding("rate_limit_storage", State.OK, "answers", name, why, "", 213),)
