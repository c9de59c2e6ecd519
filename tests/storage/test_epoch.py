from sqlalchemy import Connection

from bennu.storage.database import Database
from bennu.storage.epoch import move_security_epoch, read_security_epoch


async def test_moving_is_seen_in_the_same_transaction_and_after(database: Database) -> None:
    def move(connection: Connection) -> tuple[int, int]:
        before = read_security_epoch(connection)
        move_security_epoch(connection)
        return before, read_security_epoch(connection)

    assert await database.write(move) == (0, 1)
    assert await database.read(read_security_epoch) == 1
