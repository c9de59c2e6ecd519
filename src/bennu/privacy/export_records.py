"""The records of an export, one type per file; their JSON Schemas are made from these. Pure.

Spec: line 266. Source: JSON Schema 2020-12; GDPR, Art. 15 and 20.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

SCHEMA_VERSION: Final = 1


class Record(msgspec.Struct, forbid_unknown_fields=True):
    """One line of an export."""


class ProfileRecord(Record):
    """An account of the server."""

    id: str
    username: str
    email: str | None
    role: str
    auth_method: str
    provider: str | None
    subject: str | None
    external_id: str | None
    login_name: str | None
    profile_picture_url: str | None
    active: bool
    created_at: str
    updated_at: str
    last_sign_in_at: str | None


class ApiKeyRecord(Record):
    """An API key, never the key itself."""

    id: str
    name: str
    description: str | None
    permissions: list[str] | None
    project_ids: list[str] | None
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    last_used_address: str | None


class SessionRecord(Record):
    """A session that somebody signed in to."""

    id: str
    auth_methods: list[str]
    provider: str | None
    address: str
    user_agent: str
    authenticated_at: str
    created_at: str
    last_used_at: str
    expires_at: str


class AuditRecord(Record):
    """A record of the audit trail; names and addresses of others are left out."""

    id: str
    sequence: int
    time_utc: str
    event: str
    outcome: str
    reason: str
    actor: dict[str, Any]
    credential: dict[str, Any]
    address: str
    user_agent: str
    request_id: str
    target: dict[str, Any]
    before: Any
    after: Any
    count: int


class SpanRecord(Record):
    """A span."""

    id: str
    project_id: str
    name: str
    context: dict[str, str]
    span_kind: str
    parent_id: str | None
    start_time: str
    end_time: str
    status_code: str
    status_message: str
    attributes: dict[str, Any]
    events: list[Any]


class AnnotationRecord(Record):
    """What somebody said of a span, a trace, a session or a document; notes are among them."""

    id: str
    kind: str
    project_id: str
    target_id: str
    document_position: int | None
    name: str
    identifier: str
    annotator_kind: str
    label: str | None
    score: float | None
    explanation: str | None
    metadata: Any
    source: str
    user_id: str | None
    created_at: str
    updated_at: str


RECORD_TYPES: Final[Mapping[str, type[Record]]] = MappingProxyType(
    {
        "profile": ProfileRecord,
        "api_keys": ApiKeyRecord,
        "sessions": SessionRecord,
        "audit_events": AuditRecord,
        "spans": SpanRecord,
        "annotations": AnnotationRecord,
    }
)


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema of the lines of one file."""
    (schema,), components = msgspec.json.schema_components(
        [RECORD_TYPES[name]], ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"bennu export {name} v{SCHEMA_VERSION}",
        **schema,
        "$defs": components,
    }
