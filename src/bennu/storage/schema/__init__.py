"""Every table; the one place that others take tables from.

The pages of this folder are also the data map that a GDPR reader asks for. A table is declared on
the page of its feature and named here.

Spec: lines 164-170 (what is encrypted), 261-266 (personal data).
"""

from bennu.storage.schema.annotations import (
    annotation_configs,
    document_annotations,
    project_annotation_configs,
    session_annotations,
    span_annotations,
    trace_annotations,
    waiting_annotations,
)
from bennu.storage.schema.audit import audit_checkpoints, audit_events, audit_head
from bennu.storage.schema.columns import metadata
from bennu.storage.schema.itself import meta, security_epoch
from bennu.storage.schema.people import grants, groups, memberships, roles, users
from bennu.storage.schema.privacy import (
    applied_erasures,
    leases,
    legal_holds,
    privacy_jobs,
    retention_policies,
    retention_sweeps,
)
from bennu.storage.schema.secrets import (
    purpose_keys,
    secret_sightings,
    secret_values,
    stored_settings,
)
from bennu.storage.schema.traces import projects, spans, trace_sessions, traces
from bennu.storage.schema.ways_in import (
    api_keys,
    credentials,
    known_addresses,
    sessions,
    sign_in_failures,
    used_once,
)

__all__ = [
    "annotation_configs",
    "api_keys",
    "applied_erasures",
    "audit_checkpoints",
    "audit_events",
    "audit_head",
    "credentials",
    "document_annotations",
    "grants",
    "groups",
    "known_addresses",
    "leases",
    "legal_holds",
    "memberships",
    "meta",
    "metadata",
    "privacy_jobs",
    "project_annotation_configs",
    "projects",
    "purpose_keys",
    "retention_policies",
    "retention_sweeps",
    "roles",
    "secret_sightings",
    "secret_values",
    "security_epoch",
    "session_annotations",
    "sessions",
    "sign_in_failures",
    "span_annotations",
    "spans",
    "stored_settings",
    "trace_annotations",
    "trace_sessions",
    "traces",
    "used_once",
    "users",
    "waiting_annotations",
]
