"""Reading the trail is itself recorded, and only for those who may."""

import pytest

from bennu.access import EVERYBODY, Caller, Permission, Principal, PrincipalKind
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.audit.query import AuditFilter
from bennu.audit.reading import AuditReading
from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.vault import Vault
from bennu.kernel.errors import DeniedError
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from fakes.clock import FrozenClock

KEYRING = Keyring.from_secrets(Secret("0123456789abcdef0123456789abcdef"))
ALL = AuditFilter()


@pytest.fixture
async def audit(database: Database, clock: FrozenClock) -> AuditLog:
    audit = AuditLog(database, clock, SystemEntropy(), vault(clock))
    await audit.start()
    return audit


def vault(clock: FrozenClock) -> Vault:
    return Vault(Cipher(KEYRING), clock, SystemEntropy())


@pytest.fixture
def reading(database: Database, audit: AuditLog, clock: FrozenClock) -> AuditReading:
    return AuditReading(database, audit, vault(clock))


async def test_pages_and_the_record_of_reading(audit: AuditLog, reading: AuditReading) -> None:
    for number in range(3):
        event = AuditEvent(EventName.PROJECT_CREATED, target=Target("project", str(number)))
        await audit.note(event, Caller(EVERYBODY))
    page = await reading.read_page(Caller(EVERYBODY), ALL, None, 2)
    assert [record["event"] for record in page.records] == ["audit.read", "project.created"]
    rest = await reading.read_page(Caller(EVERYBODY), ALL, page.beyond, 9)
    assert [record["sequence"] for record in rest.records] == [2, 1]
    assert rest.beyond is None
    assert (await reading.verify(Caller(EVERYBODY))).ok


async def test_page_after_page_is_one_reading(audit: AuditLog, reading: AuditReading) -> None:
    for number in range(3):
        event = AuditEvent(EventName.PROJECT_CREATED, target=Target("project", str(number)))
        await audit.note(event, Caller(EVERYBODY))
    for most, expected in ((2, [4, 3]), (None, [4, 3, 2, 1])):
        pages = await reading.read_pages(Caller(EVERYBODY), ALL, None, most)
        assert [record["sequence"] async for page in pages for record in page] == expected


@pytest.mark.parametrize(
    "principal",
    [
        Principal(PrincipalKind.USER_KEY),
        Principal(
            PrincipalKind.USER_KEY,
            permissions=frozenset({Permission.AUDIT_READ}),
            project_ids=frozenset({1}),
        ),
    ],
)
async def test_who_may_not_reads_nothing(reading: AuditReading, principal: Principal) -> None:
    with pytest.raises(DeniedError):
        await reading.read_page(Caller(principal), ALL, None, 2)
    with pytest.raises(DeniedError):
        await reading.read_pages(Caller(principal), ALL, None, None)
    with pytest.raises(DeniedError):
        await reading.verify(Caller(principal))
