"""Translations between features that do not know each other; only the application calls them."""

from pathlib import Path

from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.auth.oauth2.stored import environment_provider
from bennu.mail import MailSettings
from bennu.settings import Settings
from bennu.stored_settings.flow import EnvironmentSettings
from bennu.stored_settings.model import MailServer, SettingSource
from bennu.tls.material import TlsMaterial
from bennu.tls.rotation import CertificateChange
from bennu.users.model import AuthMethod


def sign_in_of_named_admins(settings: Settings) -> AuthMethod:
    """Return how the admins of PHOENIX_ADMINS sign in: by password unless that is closed."""
    if not settings.auth.basic_auth_disabled:
        return AuthMethod.LOCAL
    return AuthMethod.OAUTH2 if settings.oauth2 else AuthMethod.LDAP


def mail_settings_of(server: MailServer, ca_file: Path | None) -> MailSettings:
    """Return a mail server, from wherever it comes, as the talker wants it."""
    return MailSettings(
        server.hostname,
        server.port,
        server.username,
        server.password,
        server.mail_from,
        server.validate_certs,
        ca_file,
    )


def settings_of_the_environment(settings: Settings) -> EnvironmentSettings:
    """Return what the environment says of things that can also be stored."""
    mail = settings.mail
    server = None
    if mail.hostname:
        server = MailServer(
            mail.hostname,
            mail.port,
            mail.username,
            mail.password,
            mail.mail_from,
            mail.validate_certs,
            SettingSource.ENVIRONMENT,
        )
    return EnvironmentSettings(server, tuple(environment_provider(p) for p in settings.oauth2))


def certificate_event(change: CertificateChange) -> AuditEvent:
    """Say what is shown to clients now; the files are those of the settings."""
    new = change.after
    shown = (new or change.before).certificate
    target = Target("certificate", shown.fingerprint, shown.subject)
    if new is None:
        return AuditEvent(EventName.CERTIFICATE_CHANGED, Outcome.FAILED, "unusable_files", target)
    return AuditEvent(
        EventName.CERTIFICATE_CHANGED,
        target=target,
        before=_certificate_fields(change.before),
        after=_certificate_fields(new),
    )


def _certificate_fields(material: TlsMaterial) -> dict[str, object]:
    certificate = material.certificate
    return {
        "fingerprint": certificate.fingerprint,
        "subject": certificate.subject,
        "not_before_utc": certificate.not_before_utc.isoformat(),
        "not_after_utc": certificate.not_after_utc.isoformat(),
        "authorities": [authority.fingerprint for authority in material.authorities],
    }
