"""What can be done with annotation configs: make, change, delete, assign to projects.

Configs belong to no project. A key that is restricted to projects sees the configs that are
assigned to them, and changes none.

Source: data-plane contract, section 9.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bennu.access import Caller, Permission, require
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import DeniedError, InvalidError, NotFoundError
from bennu.kernel.ids import global_id
from bennu.storage.database import Connection, Database
from bennu.traces.annotation_configs.model import (
    GLOBAL_KINDS,
    ConfigGiven,
    StoredConfig,
    check_config,
    fields_of,
    row_of_config,
    type_of,
)
from bennu.traces.annotation_configs.store import (
    assign_config,
    delete_config,
    find_config,
    insert_config,
    newest_configs,
    unassign_configs,
    update_config,
)
from bennu.traces.projects.flow import visible_project
from bennu.traces.projects.store import Project

_MOST_ASSIGNED: Final = 1_000


@dataclass(frozen=True, slots=True)
class ConfigPage:
    """Some configs, newest first, and where the next page starts, or None after the last."""

    configs: tuple[StoredConfig, ...]
    next_cursor: str | None


def public_id_of(config: StoredConfig) -> str:
    """Return the identifier that clients see."""
    return global_id(GLOBAL_KINDS[config.type], config.row_id)


class AnnotationConfigs:
    """The use cases around annotation configs."""

    def __init__(self, database: Database, clock: Clock, audit: AuditLog) -> None:
        self._database, self._clock, self._audit = database, clock, audit

    async def page(
        self, caller: Caller, project: str | None, cursor: str | None, limit: int
    ) -> ConfigPage:
        """Return one page of the configs that the caller may see, or of those of a project.

        Raises:
            NotFoundError: there is no such project that the caller may see.
            InvalidError: the cursor is not one.
        """
        require(caller.principal, Permission.ANNOTATIONS_READ)
        start = None if cursor is None else row_of_config(cursor)
        if cursor is not None and start is None:
            raise InvalidError(f"Invalid cursor format: {cursor[:200]}")

        def work(connection: Connection) -> list[StoredConfig]:
            rows = caller.principal.project_ids
            if project is not None:
                permission = Permission.ANNOTATIONS_READ
                rows = frozenset({visible_project(connection, caller, project, permission).row_id})
            return newest_configs(connection, newest_row=start, limit=limit + 1, project_rows=rows)

        found = await self._database.read(work)
        following = public_id_of(found[limit]) if len(found) > limit else None
        return ConfigPage(tuple(found[:limit]), following)

    async def one_config(self, caller: Caller, identifier: str) -> StoredConfig:
        """Return one config by public id or name.

        Raises:
            NotFoundError: there is none that the caller may see.
        """
        require(caller.principal, Permission.ANNOTATIONS_READ)
        return await self._database.read(lambda c: _visible_config(c, caller, identifier))

    async def create_config(self, caller: Caller, given: ConfigGiven) -> StoredConfig:
        """Make a config.

        Raises:
            InvalidError: it makes no sense.
            DuplicateConfigError: the name is taken.
            DeniedError: the key is restricted to projects.
        """
        _require_everything(caller)
        check_config(given)
        now = to_microseconds(self._clock.now_utc())

        def work(connection: Connection) -> StoredConfig:
            row = insert_config(connection, given, now)
            config = _stored(row, given)
            event = _event(EventName.ANNOTATION_CONFIG_CREATED, config, after=config)
            self._audit.record(connection, event, caller)
            return config

        return await self._database.write(work)

    async def replace_config(
        self, caller: Caller, identifier: str, given: ConfigGiven
    ) -> StoredConfig:
        """Change a config to what is given.

        Raises:
            NotFoundError: there is none.
            InvalidError: it makes no sense.
            DuplicateConfigError: the name is another one's.
            DeniedError: the key is restricted to projects.
        """
        _require_everything(caller)
        check_config(given)
        now = to_microseconds(self._clock.now_utc())

        def work(connection: Connection) -> StoredConfig:
            old = _visible_config(connection, caller, identifier)
            update_config(connection, old.row_id, given, now)
            config = _stored(old.row_id, given)
            event = _event(EventName.ANNOTATION_CONFIG_CHANGED, config, before=old, after=config)
            self._audit.record(connection, event, caller)
            return config

        return await self._database.write(work)

    async def delete_config(self, caller: Caller, identifier: str) -> StoredConfig:
        """Delete a config; annotations of its name stay.

        Raises:
            NotFoundError: there is none.
            DeniedError: the key is restricted to projects.
        """
        _require_everything(caller)

        def work(connection: Connection) -> StoredConfig:
            config = _visible_config(connection, caller, identifier)
            delete_config(connection, config.row_id)
            event = _event(EventName.ANNOTATION_CONFIG_DELETED, config, before=config)
            self._audit.record(connection, event, caller)
            return config

        return await self._database.write(work)

    async def assign_one(self, caller: Caller, project: str, identifier: str) -> StoredConfig:
        """Assign a config to a project.

        Raises:
            NotFoundError: the project or the config is none that the caller may see.
        """
        require(caller.principal, Permission.ANNOTATIONS_WRITE)

        def work(connection: Connection) -> StoredConfig:
            to = visible_project(connection, caller, project, Permission.ANNOTATIONS_WRITE)
            config = _visible_config(connection, caller, identifier)
            assign_config(connection, to.row_id, config.row_id)
            self._record_assignment(connection, caller, to)
            return config

        return await self._database.write(work)

    async def unassign_one(self, caller: Caller, project: str, identifier: str) -> None:
        """Take a config away from a project.

        Raises:
            NotFoundError: the project is none that the caller may see, or has no such config.
        """
        require(caller.principal, Permission.ANNOTATIONS_WRITE)

        def work(connection: Connection) -> None:
            to = visible_project(connection, caller, project, Permission.ANNOTATIONS_WRITE)
            config = _visible_config(connection, caller, identifier)
            if not unassign_configs(connection, to.row_id, config.row_id):
                raise _not_found(identifier)
            self._record_assignment(connection, caller, to)

        await self._database.write(work)

    async def assign_exactly(
        self, caller: Caller, project: str, identifiers: Sequence[str]
    ) -> tuple[StoredConfig, ...]:
        """Give a project these configs and no others; return them, newest first.

        Raises:
            NotFoundError: the project or a config is none that the caller may see.
            InvalidError: too many are named.
        """
        require(caller.principal, Permission.ANNOTATIONS_WRITE)
        if len(identifiers) > _MOST_ASSIGNED:
            raise InvalidError(f"At most {_MOST_ASSIGNED} configs can be assigned")

        def work(connection: Connection) -> tuple[StoredConfig, ...]:
            to = visible_project(connection, caller, project, Permission.ANNOTATIONS_WRITE)
            configs = {
                config.row_id: config
                for config in (_visible_config(connection, caller, one) for one in identifiers)
            }
            unassign_configs(connection, to.row_id)
            for row in sorted(configs):
                assign_config(connection, to.row_id, row)
            self._record_assignment(connection, caller, to)
            return tuple(configs[row] for row in sorted(configs, reverse=True))

        return await self._database.write(work)

    def _record_assignment(self, connection: Connection, caller: Caller, to: Project) -> None:
        rows = frozenset({to.row_id})
        now = newest_configs(connection, newest_row=None, limit=_MOST_ASSIGNED, project_rows=rows)
        event = AuditEvent(
            EventName.ANNOTATION_CONFIG_ASSIGNED,
            Outcome.SUCCEEDED,
            target=Target(kind="project", id=to.public_id, name=to.name),
            after={"annotation_configs": [public_id_of(config) for config in now]},
        )
        self._audit.record(connection, event, caller)


def _require_everything(caller: Caller) -> None:
    """Refuse a key that is restricted to projects: configs hold for all of them.

    Raises:
        DeniedError: it is, or the permission is missing.
    """
    require(caller.principal, Permission.ANNOTATIONS_WRITE)
    if caller.principal.project_ids is not None:
        raise DeniedError("A key that is restricted to projects cannot change annotation configs")


def _visible_config(connection: Connection, caller: Caller, identifier: str) -> StoredConfig:
    found = find_config(connection, identifier, caller.principal.project_ids)
    if found is None:
        raise _not_found(identifier)
    return found


def _not_found(identifier: str) -> NotFoundError:
    return NotFoundError(f"Annotation configuration {identifier[:200]} not found")


def _stored(row: int, given: ConfigGiven) -> StoredConfig:
    return StoredConfig(row, given.name, type_of(given), fields_of(given))


def _event(
    name: EventName,
    target: StoredConfig,
    *,
    before: StoredConfig | None = None,
    after: StoredConfig | None = None,
) -> AuditEvent:
    def told(config: StoredConfig | None) -> dict[str, object] | None:
        return None if config is None else {"name": config.name, "type": config.type}

    return AuditEvent(
        name,
        Outcome.SUCCEEDED,
        target=Target(kind="annotation_config", id=public_id_of(target), name=target.name),
        before=told(before),
        after=told(after),
    )
