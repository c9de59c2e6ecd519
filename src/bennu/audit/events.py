"""The closed list of audit events, and what a record of one may say.

Spec: lines 256-260. Source: OWASP Application Logging Vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class EventName(StrEnum):
    """Every event: ``area.what``, in the past tense."""

    SIGN_IN_SUCCEEDED = "auth.sign_in.succeeded"
    SIGN_IN_FAILED = "auth.sign_in.failed"
    SIGN_IN_THROTTLED = "auth.sign_in.throttled"
    SIGN_OUT = "auth.sign_out"
    SESSION_REFRESHED_TWICE = "auth.session.refreshed_twice"
    SESSION_ENDED = "auth.session.ended"
    PASSWORD_CHANGED = "auth.password.changed"  # noqa: S105 - the name of an event
    PASSWORD_RESET_REQUESTED = "auth.password.reset_requested"  # noqa: S105 - the name of an event
    PASSWORD_RESET = "auth.password.reset"  # noqa: S105 - the name of an event
    DENIED = "auth.denied"
    API_KEY_CREATED = "api_key.created"
    API_KEY_ROTATED = "api_key.rotated"
    API_KEY_REVOKED = "api_key.revoked"
    API_KEY_IDENTIFIED = "api_key.identified"
    USER_CREATED = "user.created"
    USER_CHANGED = "user.changed"
    USER_DELETED = "user.deleted"
    USER_ERASED = "user.erased"
    ROLE_CREATED = "role.created"
    ROLE_CHANGED = "role.changed"
    ROLE_DELETED = "role.deleted"
    ROLE_ASSIGNED = "role.assigned"
    SECRET_CHANGED = "secret.changed"  # noqa: S105 - the name of an event
    SECRET_ROTATED = "secret.rotated"  # noqa: S105 - the name of an event
    SETTINGS_CHANGED = "settings.changed"
    CERTIFICATE_CHANGED = "tls.certificate.changed"
    RETENTION_CHANGED = "retention.changed"
    RETENTION_SWEPT = "retention.swept"
    HOLD_SET = "hold.set"
    HOLD_RELEASED = "hold.released"
    PRIVACY_EXPORTED = "privacy.exported"
    PRIVACY_ERASED = "privacy.erased"
    RATE_LIMIT_EXCEEDED = "rate_limit.exceeded"
    AUDIT_READ = "audit.read"
    LDAP_SYNCED = "ldap.synced"
    PROJECT_CREATED = "project.created"
    PROJECT_CHANGED = "project.changed"
    PROJECT_DELETED = "project.deleted"
    TRACE_DELETED = "trace.deleted"
    TRACE_TRANSFERRED = "trace.transferred"
    SPAN_DELETED = "span.deleted"
    SESSION_DELETED = "session.deleted"


#: Events that strangers can cause in numbers: the first is recorded at once, the rest of that
#: minute as one further record with a count.
FOLDABLE: Final = frozenset(
    {
        EventName.SIGN_IN_FAILED,
        EventName.SIGN_IN_THROTTLED,
        EventName.DENIED,
        EventName.RATE_LIMIT_EXCEEDED,
        EventName.AUDIT_READ,
        EventName.PASSWORD_RESET_REQUESTED,
    }
)

#: Names that a before or after must not carry: whoever writes one is about to leak a secret.
_FORBIDDEN_FIELDS: Final = frozenset(
    {"password", "secret", "token", "key", "digest", "client_secret", "password_hash"}
)


class Outcome(StrEnum):
    """How it ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Target:
    """What was acted on; ``name`` is kept apart as personal and never reaches a log line."""

    kind: str
    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One thing that happened.

    Args:
        name: from the closed list.
        outcome: how it ended.
        reason: a short fixed word for failures, such as ``wrong_password``.
        target: what was acted on.
        before: changed fields as they were; no secrets.
        after: changed fields as they are now; no secrets.
    """

    name: EventName
    outcome: Outcome = Outcome.SUCCEEDED
    reason: str = ""
    target: Target | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse to carry a secret."""
        for fields in (self.before, self.after):
            if fields is not None and (leaked := _FORBIDDEN_FIELDS & fields.keys()):
                raise ValueError(f"an audit record must not hold {', '.join(sorted(leaked))}")
