"""What admins do with retention policies; every change ends in an audit record.

Spec: lines 262-264. Source: contract, section 11; PATCH /v1/projects/{p}/retention.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from bennu.access import SERVER, Caller, Permission, require
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.kernel.clock import from_microseconds, to_microseconds
from bennu.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from bennu.kernel.ids import row_id_of
from bennu.privacy.expired import count_expired, expiry_of
from bennu.privacy.retention import (
    DEFAULT_NAME,
    DEFAULT_ROW,
    POLICY,
    Policy,
    PolicyDraft,
    Rule,
    cutoff_of,
    default_draft,
)
from bennu.privacy.store import (
    all_policies,
    assign_policy,
    change_policy_row,
    count_projects_by_policy,
    default_days_seen,
    delete_policy_row,
    find_policy,
    insert_policy,
    make_due,
    note_default_days,
    policy_name_is_taken,
    project_policy_row,
    projects_under,
)
from bennu.storage.database import Database
from bennu.traces.projects.flow import visible_project
from bennu.traces.projects.store import Project

NOT_RESTRICTED: Final = "A key that is restricted to projects cannot manage retention."


@dataclass(frozen=True, slots=True)
class PolicyShown:
    """A policy and how many projects follow it."""

    policy: Policy
    project_count: int


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a sweep would delete in one project at this moment.

    Args:
        project: which.
        policy: that it follows.
        cutoff_at: microseconds since 1970 UTC; None where only the number counts.
        traces: past their time and not held.
        spans: in those.
        held_traces: past their time and kept by a legal hold.
    """

    project: Project
    policy: Policy
    cutoff_at: int | None
    traces: int
    spans: int
    held_traces: int


class RetentionPolicies:
    """The use cases around retention policies."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database, self._audit, self._clock = database, audit, database.clock

    def _now(self) -> int:
        return to_microseconds(self._clock.now_utc())

    # --- the variable ----------------------------------------------------------------------

    async def follow_variable(self, default_days: int) -> None:
        """Make the default policy, or change it when the variable has another value than before.

        What an admin changed since then stays as long as the variable stays the same.
        """

        def work(connection: Connection) -> None:
            seen, now = default_days_seen(connection), self._now()
            if seen == str(default_days):
                return
            draft = default_draft(default_days)
            old = find_policy(connection, DEFAULT_ROW)
            if old is None:
                insert_policy(connection, draft, now, DEFAULT_ROW)
            else:
                change_policy_row(connection, DEFAULT_ROW, draft, now)
            note_default_days(connection, str(default_days))
            before = None if old is None else _fields(old)
            found = Policy(DEFAULT_ROW, draft.name, draft.cron_expression, draft.rule)
            self._audit.record(connection, _changed(found, before, _fields(found)), Caller(SERVER))

        await self._database.write(work)

    # --- reading ---------------------------------------------------------------------------

    async def list_policies(self, caller: Caller) -> list[PolicyShown]:
        """Return every policy, the default first.

        Raises:
            DeniedError: the permission is missing.
        """
        _require(caller)

        def work(connection: Connection) -> list[PolicyShown]:
            counts = count_projects_by_policy(connection)
            found = all_policies(connection)
            return [PolicyShown(policy, counts.get(policy.row_id, 0)) for policy in found]

        return await self._database.read(work)

    async def one_policy(self, caller: Caller, identifier: str) -> PolicyShown:
        """Return one policy.

        Raises:
            InvalidError: the text is no id of a policy.
            NotFoundError: there is none.
        """
        wanted = _row_of(identifier)
        for shown in await self.list_policies(caller):
            if shown.policy.row_id == wanted:
                return shown
        raise _not_found(identifier)

    async def policy_of_project(
        self, caller: Caller, project: str
    ) -> tuple[Project, Policy | None, Policy]:
        """Return a project, its own policy if it has one, and the one that it follows.

        Raises:
            NotFoundError: there is no such project that the caller may see.
        """

        def work(connection: Connection) -> tuple[Project, Policy | None, Policy]:
            place = visible_project(connection, caller, project, Permission.PROJECTS_READ)
            row = project_policy_row(connection, place.row_id)
            own = None if row is None else find_policy(connection, row)
            followed = own or find_policy(connection, DEFAULT_ROW)
            if followed is None:
                raise NotFoundError("There is no default policy yet")
            return place, own, followed

        return await self._database.read(work)

    async def foresee(self, caller: Caller) -> list[Foreseen]:
        """Return what sweeps would delete now, project by project; nothing is changed.

        Raises:
            DeniedError: the permission is missing.
        """
        _require(caller)
        return await self._database.read(self.foresee_in)

    def foresee_in(self, connection: Connection) -> list[Foreseen]:
        """Return the same within a transaction, for commands."""
        now = self._clock.now_utc()
        found: list[Foreseen] = []
        for policy in all_policies(connection):
            cutoff = cutoff_of(policy.rule, now)
            cutoff_at = None if cutoff is None else to_microseconds(cutoff)
            before_ns = None if cutoff_at is None else cutoff_at * 1_000
            for project in projects_under(connection, policy.row_id):
                count = policy.rule.max_count
                expiry = expiry_of(connection, project.row_id, before_ns, count)
                numbers = count_expired(connection, expiry)
                found.append(Foreseen(project, policy, cutoff_at, *numbers))
        return found

    # --- changing --------------------------------------------------------------------------

    async def create_policy(self, caller: Caller, draft: PolicyDraft) -> PolicyShown:
        """Make a policy.

        Raises:
            InvalidError: a field is wrong.
            ConflictError: the name is taken.
        """
        _require(caller)
        draft.check("body")

        def work(connection: Connection) -> PolicyShown:
            _refuse_taken(connection, draft.name, None)
            made = insert_policy(connection, draft, self._now())
            self._audit.record(connection, _changed(made, None, _fields(made)), caller)
            return PolicyShown(made, 0)

        return await self._database.write(work)

    async def change_policy(
        self, caller: Caller, identifier: str, changes: Mapping[str, Any]
    ) -> PolicyShown:
        """Change a policy; a sweep under it starts at once.

        Args:
            caller: who.
            identifier: of the policy.
            changes: those of ``name``, ``cron_expression`` and ``rule`` that change.

        Raises:
            InvalidError: a field is wrong.
            NotFoundError: there is no such policy.
            ConflictError: the name is taken.
            DeniedError: the default policy keeps its name.
        """
        _require(caller)

        def work(connection: Connection) -> PolicyShown:
            old = _found(connection, identifier)
            draft = PolicyDraft(
                changes.get("name", old.name),
                changes.get("cron_expression", old.cron_expression),
                changes.get("rule", old.rule),
            )
            draft.check("body")
            if old.is_default and draft.name != DEFAULT_NAME:
                raise DeniedError("The default policy cannot be renamed")
            _refuse_taken(connection, draft.name, old.row_id)
            change_policy_row(connection, old.row_id, draft, self._now())
            changed = find_policy(connection, old.row_id) or old
            count = count_projects_by_policy(connection).get(old.row_id, 0)
            event = _changed(changed, _fields(old), _fields(changed))
            self._audit.record(connection, event, caller)
            return PolicyShown(changed, count)

        return await self._database.write(work)

    async def delete_policy(self, caller: Caller, identifier: str) -> None:
        """Delete a policy; its projects follow the default one again.

        Raises:
            NotFoundError: there is no such policy.
            DeniedError: it is the default one.
        """
        _require(caller)

        def work(connection: Connection) -> None:
            old = _found(connection, identifier)
            if old.is_default:
                raise DeniedError("The default policy cannot be deleted")
            delete_policy_row(connection, old.row_id)
            self._audit.record(connection, _changed(old, _fields(old), None), caller)

        await self._database.write(work)

    async def assign_policy(
        self, caller: Caller, project: str, identifier: str | None
    ) -> tuple[Project, Policy | None]:
        """Let a project follow a policy, or the default one; a sweep of it starts at once.

        Raises:
            NotFoundError: there is no such project or policy.
            InvalidError: the text is no id of a policy.
        """
        _require(caller)

        def work(connection: Connection) -> tuple[Project, Policy | None]:
            place = visible_project(connection, caller, project, Permission.RETENTION_MANAGE)
            policy = None if identifier is None else _found(connection, identifier)
            old_row = project_policy_row(connection, place.row_id)
            old = None if old_row is None else find_policy(connection, old_row)
            row = None if policy is None else policy.row_id
            assign_policy(connection, place.row_id, row)
            make_due(connection, DEFAULT_ROW if row is None else row)
            event = AuditEvent(
                EventName.RETENTION_CHANGED,
                target=Target("project", place.public_id, place.name),
                before={"policy": None if old is None else old.public_id},
                after={"policy": None if policy is None else policy.public_id},
            )
            self._audit.record(connection, event, caller)
            return place, policy

        return await self._database.write(work)

    def next_run_of(self, policy: Policy) -> int | None:
        """Return when a policy runs next, microseconds since 1970 UTC; None for never."""
        if policy.rule.keeps_everything:
            return None
        now = self._clock.now_utc()
        last = None if policy.last_run_at is None else from_microseconds(policy.last_run_at)
        if policy.is_due(now, last):
            return to_microseconds(now)
        return to_microseconds(policy.schedule.next_after(now))


def rule_of(max_days: float | None, max_count: int | None) -> Rule:
    """Return a rule out of what may be absent."""
    return Rule(max_days or 0, max_count or 0)


def _require(caller: Caller) -> None:
    require(caller.principal, Permission.RETENTION_MANAGE)
    if caller.principal.project_ids is not None:
        raise DeniedError(NOT_RESTRICTED, detail="restricted to projects")


def _row_of(identifier: str) -> int:
    row_id = row_id_of(identifier, POLICY)
    if row_id is None:
        raise InvalidError("Invalid retention policy id")
    return row_id


def _found(connection: Connection, identifier: str) -> Policy:
    policy = find_policy(connection, _row_of(identifier))
    if policy is None:
        raise _not_found(identifier)
    return policy


def _not_found(identifier: str) -> NotFoundError:
    return NotFoundError(f"Retention policy with ID {identifier[:200]} not found")


def _refuse_taken(connection: Connection, name: str, except_row: int | None) -> None:
    if policy_name_is_taken(connection, name, except_row):
        raise ConflictError("A retention policy of this name exists already")


def _fields(policy: Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "cron": policy.cron_expression,
        "max_days": policy.rule.max_days,
        "max_count": policy.rule.max_count,
    }


def _changed(
    policy: Policy, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> AuditEvent:
    target = Target("retention_policy", policy.public_id, policy.name)
    return AuditEvent(EventName.RETENTION_CHANGED, target=target, before=before, after=after)
