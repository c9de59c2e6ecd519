"""Writes audit records from a process of its own, several at a time, as a server does.

Reads one line of JSON: where the database is, how many records, and who writes them. Says
``ready`` once it is, and begins when it reads another line.
"""

import asyncio
import json
import sys
from typing import Any

from bennu.access import Caller, Principal, PrincipalKind
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.encryption.cipher import Cipher
from bennu.encryption.vault import Vault
from bennu.kernel.clock import SystemClock
from bennu.kernel.ids import SystemEntropy
from bennu.storage.database import Database
from fakes.rotation_process import settings_from
from fakes.trail import KEYRING

AT_ONCE = 4


async def write_as_told(told: dict[str, Any]) -> None:
    database = Database(settings_from(told["settings"]), SystemClock())
    await database.start()
    try:
        vault = Vault(Cipher(KEYRING), SystemClock(), SystemEntropy())
        audit = AuditLog(database, SystemClock(), SystemEntropy(), vault)
        await audit.start()
        caller = Caller(Principal(PrincipalKind.USER, told["writer"]), "192.0.2.7")
        numbers = iter(range(told["records"]))

        async def write_some() -> None:
            for number in numbers:
                target = Target("user", f"{told['writer']}-{number}")
                await audit.note(AuditEvent(EventName.USER_CHANGED, target=target), caller)

        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        await asyncio.gather(*(write_some() for _ in range(AT_ONCE)))
    finally:
        await database.stop()


if __name__ == "__main__":
    asyncio.run(write_as_told(json.loads(sys.stdin.readline())))
