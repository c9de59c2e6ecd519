"""Spans put into a database for tests, and what is left there afterwards."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, func, select

from bennu.kernel.ids import global_id
from bennu.storage.database import Database
from bennu.storage.schema import audit_events
from bennu.traces.projects.store import project_rows_made
from bennu.traces.spans.model import Span
from bennu.traces.spans.store import SpanBatch, insert_spans


@dataclass
class Stored:
    """Writes spans of projects by name and counts rows."""

    database: Database

    async def project(self, name: str) -> int:
        rows = await self.database.write(lambda c: project_rows_made(c, [name], 1))
        return rows[name]

    async def project_id(self, name: str) -> str:
        return global_id("Project", await self.project(name))

    async def add(self, project: str, *spans: Span) -> int:
        row = await self.project(project)
        return await self.database.write(
            lambda c: insert_spans(c, [SpanBatch(row, "user:1", spans)])
        )

    async def count(self, table: Table) -> int:
        return await self.database.read(
            lambda c: int(c.execute(select(func.count()).select_from(table)).scalar_one())
        )

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        key = next(iter(table.primary_key.columns))
        return await self.database.read(
            lambda c: [dict(r) for r in c.execute(select(table).order_by(key)).mappings()]
        )

    async def events(self) -> list[str]:
        return [row["event"] for row in await self.rows(audit_events)]
