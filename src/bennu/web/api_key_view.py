"""What a page shows of an API key, and what a form says about a new one. Pure.

Spec: lines 136-141, 152-154.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final

from bennu.access import SYSTEM, Permission
from bennu.auth.api_keys.authority import key_id_of
from bennu.auth.api_keys.flow import NewApiKey
from bennu.auth.api_keys.store import SYSTEM_KEYS, ApiKey
from bennu.kernel.errors import FieldProblem, SchemaError
from bennu.network.form_tokens import FIELD_NAME
from bennu.storage.used_once import OneUse
from bennu.web.forms import Form

_SOON_MICROSECONDS: Final = 14 * 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One row of the table of keys. Times: microseconds since 1970 UTC."""

    id: str
    prefix: str
    kind: str
    name: str
    description: str
    owner: str
    permissions: tuple[str, ...] | None
    projects: tuple[str, ...] | None
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    last_used_address: str
    state: str


def key_row(key: ApiKey, project_names: Mapping[int, str], now: int) -> KeyRow:
    """Return what a row shows of a key.

    Args:
        key: as stored.
        project_names: row id to name, for those that still exist.
        now: microseconds since 1970 UTC.
    """
    projects = None
    if key.projects is not None:
        projects = tuple(
            project_names.get(row_id, "deleted project") for row_id in json.loads(key.projects)
        )
    is_system = key.kind == SYSTEM_KEYS
    return KeyRow(
        id=key_id_of(key),
        prefix=key.prefix,
        kind=key.kind,
        name=key.name,
        description=key.description or "",
        owner=f"service account, {key.role or SYSTEM}" if is_system else key.username or "",
        permissions=None if key.permissions is None else tuple(json.loads(key.permissions)),
        projects=projects,
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        last_used_address=key.last_used_address or "",
        state=_state_of(key, now),
    )


def _state_of(key: ApiKey, now: int) -> str:
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    if key.replaced_by is not None:
        return "replaced"
    if key.expires_at is not None and key.expires_at - now < _SOON_MICROSECONDS:
        return "ends soon"
    return "valid"


def new_key_of(form: Form, own: Iterable[Permission]) -> NewApiKey:
    """Read the form of a new key.

    With every box ticked the key has no restriction of its own: it follows what its owner may.

    Raises:
        SchemaError: the day of expiry is none.
    """
    ticked = form.many("permissions")
    follows_owner = set(ticked) == {str(permission) for permission in own}
    projects = tuple(name for name in form.many("projects") if name)
    return NewApiKey(
        name=form.text("name"),
        description=form.optional("description"),
        expires_at=_end_of_day(form.text("expires_at")),
        permissions=None if follows_owner and not projects else ticked,
        projects=projects or None,
        role=form.optional("role"),
        asked_by=asked_by(form),
    )


def asked_by(form: Form) -> OneUse:
    """Return the form as it was shown once, so that sending it again makes no second key."""
    return OneUse("form", form.raw(FIELD_NAME))


def _end_of_day(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(23, 59, 59), UTC)
    except ValueError:
        raise SchemaError(
            FieldProblem(("body", "expires_at"), "Input should be a day such as 2027-01-31")
        ) from None
