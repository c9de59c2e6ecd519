"""Wires what pages try and examine: providers, the directory, best practices.

Spec: lines 24-133, 226-250, 279-285.
"""

import asyncio
from collections.abc import Mapping, Sequence

from bennu.app_providers import trial_of
from bennu.auth.ldap.configured import require_ldap_library
from bennu.auth.ldap.settings import LdapSettings
from bennu.auth.oauth2.configured import ConfiguredProviders
from bennu.auth.oauth2.trial import Step
from bennu.doctor.files import check_files
from bennu.doctor.practices import check_practices
from bennu.kernel.clock import Clock, SystemClock
from bennu.kernel.errors import NotFoundError
from bennu.kernel.secret import Secret
from bennu.settings import Settings
from bennu.stored_settings.flow import StoredSettings
from bennu.web.pages_security import Examination
from bennu.web.pages_sign_in_settings import SignInFlows


def wire_trials(
    settings: Settings, clock: Clock, stored: StoredSettings, configured: ConfiguredProviders
) -> SignInFlows:
    """Return what the page about sign-in shows and tries."""

    async def try_provider(name: str) -> Sequence[Step]:
        found = await configured.find(name)
        if found is None:
            raise NotFoundError("There is no usable identity provider of that name")
        return await trial_of(settings, found, clock).run(None)

    async def try_directory(login_name: str, password: Secret | None) -> Sequence[object]:
        ldap = settings.ldap
        if ldap is None:
            raise NotFoundError("No directory is configured")
        return await asyncio.to_thread(_directory_steps, ldap, clock, login_name, password)

    shown = None if settings.ldap is None else _directory_shown(settings.ldap)
    return SignInFlows(stored, try_provider, shown, try_directory)


def _directory_steps(
    ldap: LdapSettings, clock: Clock, login_name: str, password: Secret | None
) -> Sequence[object]:
    require_ldap_library()
    from bennu.auth.ldap.diagnosis import Diagnosis  # noqa: PLC0415 - needs the extra

    return Diagnosis(ldap, clock).diagnose(login_name, password).steps


def _directory_shown(ldap: LdapSettings) -> dict[str, str]:
    """Return what may be shown of the directory, by variable; never a password."""
    roles = [f"{mapping.group_dn} → {mapping.role}" for mapping in ldap.group_role_mappings]
    shown = {
        "PHOENIX_LDAP_HOST": ", ".join(f"{server.host}:{server.port}" for server in ldap.servers),
        "PHOENIX_LDAP_TLS_MODE": ldap.tls_mode,
        "PHOENIX_LDAP_TLS_VERIFY": str(ldap.tls_verify).lower(),
        "PHOENIX_LDAP_BIND_DN": ldap.bind_dn,
        "PHOENIX_LDAP_USER_SEARCH_BASE_DNS": "; ".join(ldap.user_search_base_dns),
        "PHOENIX_LDAP_USER_SEARCH_FILTER": ldap.user_search_filter,
        "PHOENIX_LDAP_GROUP_ROLE_MAPPINGS": "; ".join(roles),
        "PHOENIX_LDAP_ALLOW_SIGN_UP": str(ldap.allow_sign_up).lower(),
    }
    return {name: text for name, text in shown.items() if text}


def examination_of(settings: Settings) -> Examination:
    """Return the checks of ``bennu doctor`` that ask nobody else."""

    def look() -> list[Mapping[str, object]]:
        found = [*check_practices(settings), *check_files(settings, None, SystemClock())]
        return [finding.row() for finding in found]

    async def examine() -> Sequence[Mapping[str, object]]:
        return await asyncio.to_thread(look)

    return examine
