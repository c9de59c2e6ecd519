"""The composition root: settings in; HTTP application, gRPC services and background work out.

The one file that knows everyone. It builds stores, then flows, then routes, by calling
constructors, and decides nothing else.
"""

import logging
import os
import secrets
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from bennu.access import SERVER, Caller, Principal
from bennu.app_accounts import AccountBasis, wire_accounts
from bennu.app_directory import wire_directory
from bennu.app_monitoring import Watched, metrics_application, metrics_of
from bennu.app_privacy import wire_privacy
from bennu.app_providers import wire_providers
from bennu.app_site import SiteBasis, wire_site
from bennu.app_translations import (
    certificate_event,
    mail_settings_of,
    settings_of_the_environment,
    sign_in_of_named_admins,
)
from bennu.audit.log import AuditLog
from bennu.audit.pruning import AuditPruning
from bennu.audit.reading import AuditReading
from bennu.audit.routes import audit_routes
from bennu.auth.api_keys.last_use import LastUses
from bennu.auth.authenticate import Authenticator
from bennu.auth.gates import CALLER_OF_CALL, GrpcGate, HttpGate, principal_of
from bennu.auth.local.passwords import Passwords, common_passwords
from bennu.auth.lockout import Lockout
from bennu.auth.oauth2.stored import check_stored_provider
from bennu.auth.sessions.activity import SessionActivity
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.flow import Sessions
from bennu.auth.sessions.routes import session_routes
from bennu.doctor.model import State
from bennu.doctor.practices import check_practices
from bennu.encryption.cipher import Cipher
from bennu.encryption.vault import Vault, verify_secret
from bennu.front import Front
from bennu.httpio.discovery import discovery_routes
from bennu.httpio.route import Route
from bennu.kernel.clock import SystemClock
from bennu.kernel.errors import AppError
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.log_lines import JsonLines
from bennu.kernel.secret import Secret
from bennu.kernel.tasks import BackgroundTasks, Repeated
from bennu.mail import MailSettings, Outbox, SmtpTalker
from bennu.monitoring.health import Readiness, health_routes
from bennu.network.asgi import AsgiApp, Scope
from bennu.network.form_tokens import FORM_TOKEN_PURPOSE, FormTokens
from bennu.secrets_in_use import environment_secrets, exposed_file_warnings, key_source_of
from bennu.settings import Settings
from bennu.storage.database import Database
from bennu.storage.epoch import read_security_epoch
from bennu.storage.migrate import migrate
from bennu.stored_settings.flow import StoredSettings
from bennu.stored_settings.routes import stored_settings_routes
from bennu.tls.identity import CertificateAccounts
from bennu.tls.rotation import CertificateChange
from bennu.traces.annotations.settling import WaitingAnnotations
from bennu.traces.ingest.buffer import IngestBuffer
from bennu.traces.ingest.grpc_service import TraceService
from bennu.traces.wiring import wired_trace_routes
from bennu.users.first_accounts import FirstAccounts
from bennu.users.model import FIRST_ADMIN_EMAIL
from bennu.web.pages_exports import ExportFlows
from bennu.web.renewal import SessionRenewal

logger: Final = logging.getLogger("bennu.app")

FOLD_TICK_SECONDS: Final = 5
SWEEP_SECONDS: Final = 3_600
_FIRST_SWEEP_SECONDS: Final = 5
_GENERATED_PASSWORD_BYTES: Final = 18


class Application:
    """Everything of one server process, wired."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock, self._entropy = SystemClock(), SystemEntropy()
        self._database = Database(settings.storage, self._clock)
        self._waiting = WaitingAnnotations(self._database, self._clock)
        self._tasks: BackgroundTasks | None = None
        self._first_password: Secret | None = None
        self._cipher = Cipher(key_source_of(settings, self._entropy).key_material().keyring())
        self._vault = Vault(self._cipher, self._clock, self._entropy)
        self._audit = AuditLog(self._database, self._clock, self._entropy, self._vault)
        self._passwords = Passwords(
            settings.auth, common_passwords(), threads=(os.cpu_count() or 2) - 1
        )
        self._lockout = Lockout(
            self._database, self._clock, self._vault, self._audit, settings.auth
        )
        self._sessions = Sessions(
            self._database, self._clock, self._entropy, self._cipher, self._audit, settings.auth
        )
        self._directory = wire_directory(
            settings, self._database, self._audit, self._sessions, self._lockout
        )
        self._privacy = wire_privacy(settings, self._database, self._audit, self._vault)
        self._key_uses = LastUses(self._database, self._clock)
        self._activity = SessionActivity(self._database, self._clock, settings.auth)
        self._stored = StoredSettings(
            self._database,
            self._vault,
            self._audit,
            settings_of_the_environment(settings),
            check_stored_provider,
        )
        self._outbox = Outbox(self._mail_server, SmtpTalker(self._clock, self._entropy).send)
        self._buffer = IngestBuffer(self._database, settings.traces, self._clock)
        self._form_tokens = FormTokens(self._entropy)
        self.readiness = Readiness({"database": self._database_state, "queue": self._queue_state})
        authenticator = Authenticator(
            self._database,
            self._clock,
            self._cipher,
            settings.auth,
            CertificateAccounts(settings.tls.client_cert_mappings),
        )
        self._authenticator = authenticator if settings.auth.enabled else None
        self.routes = self._routes()
        metrics = metrics_of(settings)
        self.front = Front(settings, self._clock, self._entropy, self._audit, metrics)
        self.asgi = self.front.http_application(self.routes, self._gated, self._stray)
        self.watched = Watched(
            self._database, self._vault, self._audit, self._buffer, self.front.connections
        )
        self.watched.retention = self._privacy.sweep.numbers
        self.metrics_asgi = metrics_application(settings, metrics, self._clock, self.watched)

    def _routes(self) -> tuple[Route, ...]:
        """Build the flows and the one table of routes; what is asked most stands first."""
        settings, database = self._settings, self._database
        accounts = wire_accounts(self._account_basis())
        providers = wire_providers(
            settings, database, self._cipher, self._audit, self._sessions, self._stored
        )
        basis = SiteBasis(
            settings,
            database,
            self._audit,
            self._vault,
            self._sessions,
            self._entropy,
            self._form_tokens,
            accounts,
            self._directory,
            providers,
            self._stored,
            self._privacy.policies,
            ExportFlows(self._privacy.jobs, self._privacy.exports),
            self._look_again,
        )
        site = wire_site(basis)
        self._stray, self._streams = site.stray, site.streams
        return (
            *wired_trace_routes(
                database, self._audit, self._entropy, self._buffer, settings.traces
            ),
            *health_routes(self.readiness),
            *accounts.routes,
            *self._directory.routes,
            *session_routes(self._sessions, accounts.cookies, providers.next_address),
            *providers.routes,
            *stored_settings_routes(self._stored),
            *audit_routes(AuditReading(database, self._audit, self._vault)),
            *self._privacy.routes,
            *discovery_routes(lambda: self.routes, settings.security_contact, self._clock),
            *site.routes,
        )

    def _account_basis(self) -> AccountBasis:
        return AccountBasis(
            self._settings,
            self._database,
            self._entropy,
            self._cipher,
            self._audit,
            self._passwords,
            self._lockout,
            self._sessions,
            self._key_uses,
            self._activity,
            self._outbox,
            self._privacy.erase_user,
        )

    def _gated(self, app: AsgiApp) -> AsgiApp:
        """Put in front of an application what finds out who is calling."""
        cookies = SessionCookies(self._settings.auth)
        noted = self._note_use, self.front.note_refusal
        gate = HttpGate(app, self._authenticator, cookies.access_name, *noted)
        return SessionRenewal(gate, self._sessions, cookies)

    async def _look_again(self, scope: Scope) -> Principal:
        """Say who is calling as of now, for streams that outlive their request."""
        cookie = SessionCookies(self._settings.auth).access_name.encode()
        return await principal_of(scope, self._authenticator, cookie)

    def _note_use(self, principal: Principal, address: str) -> None:
        self._key_uses.note_use(principal, address)
        self._activity.note_use(principal)

    async def note_certificate_change(self, change: CertificateChange) -> None:
        """Record that another certificate is served, or that a new one cannot be.

        Raises:
            UnavailableError: it cannot be recorded now.
        """
        await self._audit.note(certificate_event(change), Caller(SERVER))

    # --- gRPC ------------------------------------------------------------------------------

    def grpc_interceptors(self) -> Sequence[Any]:
        """Return what every call passes first."""
        front = self.front
        noted = self._note_use, front.addresses.of_call, front.note_refusal
        return (GrpcGate(self._authenticator, self._entropy, *noted),)

    def add_grpc_services(self, server: Any) -> None:  # noqa: ANN401 - grpc has no types
        """Add the services to a server that was not started yet."""
        front = self.front
        service = TraceService(
            self._buffer, CALLER_OF_CALL.get, front.admit_export, front.note_denied_export
        )
        server.add_generic_rpc_handlers((service.handler(),))

    # --- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the database, bring it up to date, prove the secret, make the first accounts.

        Raises:
            AppError: the database or a secret does not allow a start.
        """
        for problem in self._settings.warnings:
            fields = {"variable": problem.name, "why": problem.allowed}
            logger.warning("settings.warning", extra=fields)
        for finding in check_practices(self._settings):
            if finding.state is State.FAIL:
                seen = {"variable": finding.variable, "why": finding.seen, "fix": finding.fix}
                logger.warning("doctor.failed", extra=seen)
        for text in exposed_file_warnings(self._settings):
            logger.warning("files.open_to_others", extra={"why": text})
        self._directory.configured.start()
        await self._database.start()
        await migrate(self._database, self._settings.storage)
        await self._database.write(lambda c: verify_secret(c, self._cipher))
        await self._audit.start()
        self._form_tokens.use_key(
            await self._database.write(lambda c: self._vault.purpose_key(c, FORM_TOKEN_PURPOSE))
        )
        secrets_given = environment_secrets(self._settings)
        await self._database.write(lambda c: self._vault.record_sightings(c, secrets_given))
        await self._make_first_accounts()
        await self._privacy.start()
        self._tasks = tasks = BackgroundTasks(self._repeated())
        self._tasks.start()
        self.watched.task_failures = lambda: tasks.failures
        self._outbox.start()

    async def _make_first_accounts(self) -> None:
        auth = self._settings.auth
        accounts = FirstAccounts(
            self._database, self._clock, self._cipher, self._audit, self._passwords
        )
        password = None
        if auth.enabled:
            password = auth.initial_admin_password or Secret(
                secrets.token_urlsafe(_GENERATED_PASSWORD_BYTES)
            )
        admins = tuple((admin.username, admin.email) for admin in auth.admins)
        method = sign_in_of_named_admins(self._settings)
        was_made = await accounts.make_first_accounts(password, admins, method)
        if was_made and not auth.basic_auth_disabled:
            self._first_password = password

    def _repeated(self) -> tuple[Repeated, ...]:
        """Return what runs beside requests; see kernel/tasks.py."""
        audit, tick = self._audit, FOLD_TICK_SECONDS
        retention = timedelta(days=self._settings.audit.retention_days)
        pruning = AuditPruning(self._database, self._clock, audit, retention)
        beat = min(tick, self._activity.every_seconds / 2)
        hourly, first = SWEEP_SECONDS, _FIRST_SWEEP_SECONDS
        return (
            Repeated("audit.folding", audit.flush_folded, tick, tick),
            Repeated("annotations.waiting", self._waiting.settle, tick, tick),
            Repeated("audit.pruning", pruning.prune_old_records, hourly, first),
            Repeated("audit.checkpoint", audit.keep_checkpoint, hourly, first),
            Repeated("auth.sessions", self._sessions.sweep_expired_sessions, hourly, first),
            Repeated("auth.session_use", self._activity.write_uses, beat, beat),
            Repeated("api_keys.last_use", self._key_uses.write_uses, tick, tick),
            Repeated("auth.failures", self._lockout.sweep_failures, hourly, first),
            *self._directory.repeated,
            *self._privacy.repeated,
        )

    def announce(self) -> None:
        """Print the address, and once the user and the first password."""
        network = self._settings.network
        scheme = "https" if self._settings.tls.http else "http"
        fields = {
            "address": f"{scheme}://{network.host}:{network.port}{network.root_path}",
            "grpc": f"{network.host}:{network.grpc_port}",
            "authentication": "on" if self._settings.auth.enabled else "off",
        }
        logger.warning("server.started", extra=fields)
        if self._first_password is not None:
            shown = "localhost" if network.host in {"0.0.0.0", "::"} else network.host  # noqa: S104
            address = f"{scheme}://{shown}:{network.port}{network.root_path}"
            # Printed once and not logged: the log may be kept, this password must be changed.
            sys.stdout.write(self._first_words(address, self._first_password))
            sys.stdout.flush()
            self._first_password = None

    def _first_words(self, address: str, password: Secret) -> str:
        """Tell the first admin how to sign in, in the form that the rest of the output has."""
        if not self._settings.logs.structured:
            return (
                f"\n  Address   {address}\n"
                f"  User      {FIRST_ADMIN_EMAIL}\n"
                f"  Password  {password.reveal()}\n\n"
                "  The password is good for one thing: changing it at the first sign-in.\n\n"
            )
        record = logging.makeLogRecord(
            {"name": logger.name, "levelname": "WARNING", "msg": "server.first_sign_in"}
        )
        vars(record).update(address=address, user=FIRST_ADMIN_EMAIL)
        if self._settings.auth.initial_admin_password is None:
            # One that was given is known, and a collector of lines need not keep it.
            vars(record).update(password=password.reveal())
        return JsonLines().format(record) + "\n"

    def stop_accepting(self) -> None:
        """Tell probes that this process ends."""
        self.readiness.is_stopping = True
        self._streams.stop()

    async def _mail_server(self) -> MailSettings | None:
        """Return the mail server in use, of the environment or stored."""
        found = await self._stored.find_mail_server()
        return None if found is None else mail_settings_of(found, self._settings.mail.ca_file)

    async def stop(self) -> None:
        """Finish what was taken and close the database."""
        was_started = self._tasks is not None
        if self._tasks is not None:
            await self._tasks.stop()
        await self._outbox.stop()
        try:
            await self._buffer.drain()
            if was_started:
                await self._audit.flush_folded(all_bursts=True)
                await self._key_uses.write_uses(all_uses=True)
                await self._activity.write_uses(all_uses=True)
        finally:
            self._passwords.stop()
            self._directory.configured.stop()
            await self.front.stop()
            await self._database.stop()

    # --- probes ----------------------------------------------------------------------------

    async def _database_state(self) -> str:
        try:
            await self._database.read(read_security_epoch, tiny=True)
        except AppError:
            return "database unreachable"
        return ""

    async def _queue_state(self) -> str:
        return "ingest queue full" if self._buffer.is_at_capacity else ""
