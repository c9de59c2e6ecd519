"""The closed list of audit events, and what a record of one may say.

Spec: lines 256-260. Source: OWASP Application Logging Vocabulary.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from bennu.kernel.secret import Secret


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
    ANNOTATION_DELETED = "annotation.deleted"
    ANNOTATION_CONFIG_CREATED = "annotation_config.created"
    ANNOTATION_CONFIG_CHANGED = "annotation_config.changed"
    ANNOTATION_CONFIG_DELETED = "annotation_config.deleted"
    ANNOTATION_CONFIG_ASSIGNED = "annotation_config.assigned"


@dataclass(frozen=True, slots=True)
class EventRule:
    """What a record of one event may say.

    Args:
        targets: kinds of things that it is done to; a record may also name none.
        fields: names that ``before`` and ``after`` may hold; None for any that is no secret.
        is_foldable: whether strangers can cause it in numbers: then the first is recorded at
            once, the rest of that minute as one further record with a count.
        log_level: of its log line where it succeeded; what failed or was denied is a warning.
    """

    targets: frozenset[str] = frozenset()
    fields: frozenset[str] | None = frozenset()
    is_foldable: bool = False
    log_level: int = logging.INFO


def _rule(targets: str = "", fields: str = "", *, is_foldable: bool = False) -> EventRule:
    return EventRule(frozenset(targets.split()), frozenset(fields.split()), is_foldable)


_USER_FIELDS: Final = (
    "role roles active username_changed email_changed password_needs_reset auth_method provider "
    "external_id_changed groups"
)
_KEY_FIELDS: Final = "kind role permissions projects expires_at overlap_minutes"
_ROLE_FIELDS: Final = "name description permissions"
_PROJECT_FIELDS: Final = "name description retention_policy_id traces spans"
_CONFIG_FIELDS: Final = "name type"
_SWEEP_FIELDS: Final = "cutoff_utc deleted projects policy max_days max_count cron name"
_PRIVACY_FIELDS: Final = "state subject counts job_id dry_run kept"

#: One row per event: a new event is added here, with everything that it may carry.
EVENT_RULES: Final[Mapping[EventName, EventRule]] = MappingProxyType(
    {
        EventName.SIGN_IN_SUCCEEDED: _rule("session user", "method provider role"),
        EventName.SIGN_IN_FAILED: _rule("user", "method provider", is_foldable=True),
        EventName.SIGN_IN_THROTTLED: _rule("user route", "method provider", is_foldable=True),
        EventName.SIGN_OUT: _rule("session"),
        EventName.SESSION_REFRESHED_TWICE: _rule("session"),
        EventName.SESSION_ENDED: _rule("session user", "sessions provider user"),
        EventName.PASSWORD_CHANGED: _rule("user", "username_changed"),
        EventName.PASSWORD_RESET_REQUESTED: _rule("user", is_foldable=True),
        EventName.PASSWORD_RESET: _rule("user"),
        EventName.DENIED: _rule("route rpc project", is_foldable=True),
        EventName.API_KEY_CREATED: _rule("api_key", _KEY_FIELDS),
        EventName.API_KEY_ROTATED: _rule("api_key", _KEY_FIELDS),
        EventName.API_KEY_REVOKED: _rule("api_key", _KEY_FIELDS),
        EventName.API_KEY_IDENTIFIED: _rule("api_key"),
        EventName.USER_CREATED: _rule("user", _USER_FIELDS),
        EventName.USER_CHANGED: _rule("user", _USER_FIELDS),
        EventName.USER_DELETED: _rule("user", _USER_FIELDS),
        EventName.USER_ERASED: _rule("user", _PRIVACY_FIELDS),
        EventName.ROLE_CREATED: _rule("role", _ROLE_FIELDS),
        EventName.ROLE_CHANGED: _rule("role", _ROLE_FIELDS),
        EventName.ROLE_DELETED: _rule("role", _ROLE_FIELDS),
        EventName.ROLE_ASSIGNED: _rule("user group api_key", _USER_FIELDS + " scope"),
        EventName.SECRET_CHANGED: _rule("secret", "set"),
        EventName.SECRET_ROTATED: _rule(
            "secret", "values_under_other_keys resealed unopened retired_key_ids"
        ),
        # The fields are those of the setting, whose list its own feature keeps.
        EventName.SETTINGS_CHANGED: EventRule(frozenset({"settings"}), fields=None),
        EventName.CERTIFICATE_CHANGED: _rule(
            "certificate", "fingerprint subject not_before_utc not_after_utc authorities"
        ),
        EventName.RETENTION_CHANGED: _rule("retention_policy project", _SWEEP_FIELDS),
        EventName.RETENTION_SWEPT: _rule("project audit retention_policy", _SWEEP_FIELDS),
        EventName.HOLD_SET: _rule("project trace_session trace", "reason project_id"),
        EventName.HOLD_RELEASED: _rule("project trace_session trace", "reason project_id"),
        EventName.PRIVACY_EXPORTED: _rule("user subject project", _PRIVACY_FIELDS),
        EventName.PRIVACY_ERASED: _rule("user subject", _PRIVACY_FIELDS),
        EventName.RATE_LIMIT_EXCEEDED: _rule("route rpc", "limit", is_foldable=True),
        EventName.AUDIT_READ: _rule("audit", is_foldable=True),
        EventName.LDAP_SYNCED: _rule("user group directory", _USER_FIELDS + " counts"),
        EventName.PROJECT_CREATED: _rule("project", _PROJECT_FIELDS),
        EventName.PROJECT_CHANGED: _rule("project", _PROJECT_FIELDS),
        EventName.PROJECT_DELETED: _rule("project", _PROJECT_FIELDS),
        EventName.TRACE_DELETED: _rule("trace project", "trace_id project_id deleted"),
        EventName.TRACE_TRANSFERRED: _rule("trace project", "trace_id project_id moved"),
        EventName.SPAN_DELETED: _rule("span", "span_id trace_id project_id"),
        EventName.SESSION_DELETED: _rule("trace_session project", "session_id project_id deleted"),
        EventName.ANNOTATION_DELETED: _rule("project", "kind name annotator_kind deleted"),
        EventName.ANNOTATION_CONFIG_CREATED: _rule("annotation_config", _CONFIG_FIELDS),
        EventName.ANNOTATION_CONFIG_CHANGED: _rule("annotation_config", _CONFIG_FIELDS),
        EventName.ANNOTATION_CONFIG_DELETED: _rule("annotation_config", _CONFIG_FIELDS),
        EventName.ANNOTATION_CONFIG_ASSIGNED: _rule("project", "annotation_configs"),
    }
)

#: Names that a before or after must not carry: whoever writes one is about to leak a secret.
_SECRET_NAMES: Final = frozenset(
    {"password", "secret", "token", "key", "digest", "hash", "credential", "cookie"}
)
_FLAGS: Final = (bool, int, type(None))


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
        """Refuse what this event may not carry, and a secret in any event.

        Raises:
            ValueError: a mistake in the code that makes the event, not in a request.
        """
        rule = EVENT_RULES[self.name]
        if self.target is not None and self.target.kind not in rule.targets:
            raise ValueError(f"{self.name} is not done to {self.target.kind!r}: see EVENT_RULES")
        for fields in (self.before, self.after):
            if fields is None:
                continue
            if leaked := sorted(_secrets_among(fields)):
                raise ValueError(f"an audit record must not hold {', '.join(leaked)}")
            if rule.fields is not None and (unknown := sorted(fields.keys() - rule.fields)):
                raise ValueError(
                    f"{self.name} does not carry {', '.join(unknown)}: see EVENT_RULES"
                )


def _secrets_among(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names under which a secret would stand, at any depth.

    ``password`` is one whatever it holds; ``client_secret`` is one when it holds a text, and
    ``client_secret_set`` is none.
    """
    for name, value in fields.items():
        is_secret = name.rpartition("_")[2] in _SECRET_NAMES and not isinstance(value, _FLAGS)
        if name in _SECRET_NAMES or is_secret:
            yield name
        else:
            yield from _secrets_within(name, value)


def _secrets_within(name: str, value: object) -> Iterator[str]:
    if isinstance(value, Secret | bytes):
        yield name
    elif isinstance(value, Mapping):
        yield from _secrets_among(value)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _secrets_within(name, part)
