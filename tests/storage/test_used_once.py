"""What is used up; on both databases."""

from sqlalchemy import func, select

from bennu.storage.database import Database
from bennu.storage.schema import used_once
from bennu.storage.used_once import OneUse, use_once


async def test_a_value_is_used_once_for_each_purpose(database: Database) -> None:
    async def use(purpose: str, value: str, now: int = 0) -> bool:
        return await database.write(
            lambda c: use_once(c, OneUse(purpose, value), expires_at=now + 10, now=now)
        )

    assert await use("a", "x")
    assert not await use("a", "x")
    assert await use("b", "x")
    assert await use("a", "x\0y")
    assert await use("a", "x", now=11)
    kept = select(func.count()).select_from(used_once)
    assert await database.read(lambda c: c.execute(kept).scalar_one()) == 1
