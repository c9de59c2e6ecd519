"""Wires sign-in through the directory; a part of the composition root.

Spec: lines 24-90.
"""

from dataclasses import dataclass
from typing import Final

from bennu.audit.log import AuditLog
from bennu.auth.answer_boundary import LDAP_BOUNDARY_SECONDS, AnswerBoundary
from bennu.auth.ldap.configured import ConfiguredDirectory
from bennu.auth.ldap.flow import LdapSignIn
from bennu.auth.ldap.routes import ldap_routes
from bennu.auth.ldap.sync import DirectorySync
from bennu.auth.lockout import Lockout
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.flow import Sessions
from bennu.auth.sign_in_guard import SignInGuard
from bennu.httpio.route import Route
from bennu.kernel.errors import UnavailableError
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.tasks import Repeated
from bennu.settings import Settings
from bennu.storage.database import Database

_FIRST_SYNC_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class DirectoryParts:
    """What the application serves of sign-in through the directory.

    Args:
        configured: started and stopped with the application.
        sign_in: the flow, for pages; None when no directory is configured.
        routes: none when no directory is configured.
        repeated: what runs beside requests.
    """

    configured: ConfiguredDirectory
    sign_in: LdapSignIn | None
    routes: tuple[Route, ...]
    repeated: tuple[Repeated, ...] = ()


def wire_directory(
    settings: Settings, database: Database, audit: AuditLog, sessions: Sessions, lockout: Lockout
) -> DirectoryParts:
    """Build the flow and the route of the directory."""
    configured = ConfiguredDirectory(settings.ldap, database.clock, SystemEntropy())
    if not configured.is_configured:
        return DirectoryParts(configured, None, ())
    boundary = AnswerBoundary(LDAP_BOUNDARY_SECONDS, database.clock)
    guard = SignInGuard(lockout, boundary, "ldap")
    sign_in = LdapSignIn(database, audit, sessions, guard, configured)
    routes = ldap_routes(sign_in, SessionCookies(settings.auth))
    every_seconds = settings.ldap.sync_interval.total_seconds() if settings.ldap else 0
    if not every_seconds:
        return DirectoryParts(configured, sign_in, routes)
    sync = DirectorySync(database, audit, configured)

    async def sync_or_alarm() -> None:
        report = await sync.sync_with_directory()
        if report.refusal:
            # Counted as a failure of the task, so that monitoring sees it.
            raise UnavailableError("The directory was not compared", detail=report.refusal)

    first = min(every_seconds, _FIRST_SYNC_SECONDS)
    repeated = (Repeated("ldap.sync", sync_or_alarm, every_seconds, first),)
    return DirectoryParts(configured, sign_in, routes, repeated)
