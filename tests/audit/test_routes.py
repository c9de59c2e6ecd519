"""``GET /v1/audit_events`` as people and collectors use it. Spec: lines 256-260."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update
from starlette.types import Receive, Scope, Send

from bennu.access import ADMIN, MEMBER, VIEWER, Caller
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.audit.query import MOST_RECORDS
from bennu.audit.reading import NOT_RESTRICTED, AuditReading
from bennu.audit.routes import NDJSON, audit_routes
from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.vault import Vault
from bennu.httpio.dispatch import application_of
from bennu.httpio.request import CALLER
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.storage.database import Connection, Database
from bennu.storage.schema import audit_events
from fakes.clock import FrozenClock
from fakes.principals import key_for_projects, user_with_role

pytestmark = pytest.mark.anyio
PATH = "/v1/audit_events"
KEYRING = Keyring.from_secrets(Secret("0123456789abcdef0123456789abcdef"))
READER = replace(user_with_role(ADMIN), session_id=1, credential_id="s1", name="ann@example.com")
WRITER = Caller(replace(READER, public_id="user:2"), "192.0.2.7", "agent\r\nx", "r1")
CHANGED = AuditEvent(
    EventName.USER_CHANGED,
    target=Target("user", "user:3", "bob\nfoo"),
    before={"role": "MEMBER"},
    after={"role": "ADMIN"},
)
FAILED = AuditEvent(EventName.SIGN_IN_FAILED, Outcome.FAILED, "wrong_password", Target("user"))


class As:
    """Calls as some principal, the way the gate would let it through."""

    def __init__(self, reading: AuditReading) -> None:
        self._app = application_of(audit_routes(reading))
        self.principal = READER

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[CALLER] = Caller(self.principal, "192.0.2.1")
        await self._app(scope, receive, send)


@pytest.fixture
async def vault(clock: FrozenClock) -> Vault:
    return Vault(Cipher(KEYRING), clock, SystemEntropy())


@pytest.fixture
async def audit(database: Database, clock: FrozenClock, vault: Vault) -> AuditLog:
    log = AuditLog(database, clock, SystemEntropy(), vault)
    await log.start()
    return log


@pytest.fixture
async def door(database: Database, audit: AuditLog, vault: Vault) -> As:
    return As(AuditReading(database, audit, vault))


@pytest.fixture
async def client(door: As) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=door)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


async def write(database: Database, audit: AuditLog, event: AuditEvent, times: int = 1) -> None:
    def work(connection: Connection) -> None:
        for _ in range(times):
            audit.record(connection, event, WRITER)

    await database.write(work)


async def records(client: httpx.AsyncClient, **query: object) -> list[dict[str, Any]]:
    answer = await client.get(PATH, params={k: str(v) for k, v in query.items()})
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


async def test_a_record_has_the_fields_that_collectors_read(
    database: Database, audit: AuditLog, client: httpx.AsyncClient, clock: FrozenClock
) -> None:
    await write(database, audit, CHANGED)
    (record,) = await records(client, event="user.changed")
    assert len(record.pop("id")) == 32
    assert record == {
        "sequence": 1,
        "time_utc": clock.now_utc().isoformat(),
        "event": "user.changed",
        "outcome": "succeeded",
        "reason": "",
        "actor": {"kind": "user", "id": "user:2", "name": "ann@example.com"},
        "credential": {"kind": "session", "id": "s1"},
        "address": "192.0.2.7",
        "user_agent": "agent\r\nx",
        "request_id": "r1",
        "target": {"kind": "user", "id": "user:3", "name": "bob\nfoo"},
        "before": {"role": "MEMBER"},
        "after": {"role": "ADMIN"},
        "count": 1,
    }


async def test_each_filter_narrows(
    database: Database, audit: AuditLog, client: httpx.AsyncClient, clock: FrozenClock
) -> None:
    await write(database, audit, CHANGED)
    begun = clock.now_utc()
    clock.advance(10)
    await write(database, audit, FAILED)
    later = clock.now_utc().isoformat()
    for query, expected in (
        ({"event": "auth.sign_in.failed"}, [2]),
        ({"outcome": "failed"}, [2]),
        ({"target_id": "user:3"}, [1]),
        ({"actor_id": "user:2"}, [2, 1]),
        ({"actor_id": "user:2", "order": "asc"}, [1, 2]),
        ({"actor_id": "nobody"}, []),
        ({"end_time": later}, [1]),
        ({"actor_id": "user:2", "start_time": later}, [2]),
        ({"start_time": begun.isoformat(), "end_time": later}, [1]),
    ):
        found = [record["sequence"] for record in await records(client, **query)]
        assert found == expected, query


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_follow_each_other(
    database: Database, audit: AuditLog, client: httpx.AsyncClient, order: str
) -> None:
    await write(database, audit, CHANGED, 7)
    query = {"order": order, "limit": "3", "event": "user.changed"}
    seen: list[int] = []
    sizes: list[int] = []
    while True:
        page = (await client.get(PATH, params=query)).json()
        sizes.append(len(page["data"]))
        seen += [record["sequence"] for record in page["data"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert sizes == [3, 3, 1]
    assert seen == sorted(range(1, 8), reverse=order == "desc")


async def test_ndjson_sends_everything_line_by_line(
    database: Database, audit: AuditLog, client: httpx.AsyncClient
) -> None:
    await write(database, audit, CHANGED, MOST_RECORDS + 5)
    headers = {"accept": NDJSON}
    query = {"event": "user.changed", "order": "asc"}
    answer = await client.get(PATH, params=query, headers=headers)
    assert answer.headers["content-type"].startswith(NDJSON)
    lines = answer.text.splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == list(range(1, MOST_RECORDS + 6))
    some = await client.get(PATH, params={**query, "limit": "2"}, headers=headers)
    assert len(some.text.splitlines()) == 2


async def test_a_read_is_recorded_for_each_reader(client: httpx.AsyncClient, door: As) -> None:
    await records(client)
    await records(client)
    door.principal = replace(READER, public_id="user:9")
    found = await records(client, event="audit.read")
    assert [record["actor"]["id"] for record in found] == ["user:9", "user:1"]


@pytest.mark.asvs("16.4.2")
async def test_only_who_may_read_it_does(client: httpx.AsyncClient, door: As) -> None:
    for role in (MEMBER, VIEWER):
        door.principal = user_with_role(role)
        assert (await client.get(PATH)).status_code == 403


async def test_a_key_restricted_to_projects_sees_nothing_of_the_whole_trail(
    client: httpx.AsyncClient, door: As, database: Database
) -> None:
    door.principal = key_for_projects(1, role=ADMIN)
    for headers in ({}, {"accept": NDJSON}):
        answer = await client.get(PATH, headers=headers)
        assert (answer.status_code, answer.text) == (403, NOT_RESTRICTED)
    count = select(func.count()).select_from(audit_events)
    assert await database.read(lambda c: c.execute(count).scalar_one()) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("event", "user.invented"),
        ("outcome", "perhaps"),
        ("order", "up"),
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "x"),
        ("cursor", "x"),
        ("cursor", "VXNlcjox"),
        ("start_time", "yesterday"),
    ],
)
async def test_a_wrong_value_is_refused(client: httpx.AsyncClient, name: str, value: str) -> None:
    answer = await client.get(PATH, params={name: value})
    assert answer.status_code == 422
    assert name in answer.text


async def test_erased_and_broken_fields_are_shown_as_they_are(
    database: Database, audit: AuditLog, client: httpx.AsyncClient
) -> None:
    await write(database, audit, CHANGED)
    broken = update(audit_events).values(personal=None, personal_salt=None, before="{not json")
    await database.write(lambda c: c.execute(broken))
    (record,) = await records(client, event="user.changed")
    assert record["actor"]["name"] == record["address"] == record["target"]["name"] == ""
    assert record["before"] == "{not json"
