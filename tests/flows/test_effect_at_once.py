"""A hundred random revocations, demotions, deactivations, sign-outs and deletions of accounts.

Each holds for the very next HTTP request, the next export on a gRPC channel that stays open, and
the next request to another process on the same database.

Spec: lines 134-155, 257-260. Decision 8.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from fakes.entropy import RepeatableEntropy
from started import StartedServer

ROUNDS = 100
PASSWORD = "a-Password-of-somebody-9"
ENV = {"PHOENIX_ENFORCE_PASSWORD_RESET": "false", "PHOENIX_DISABLE_RATE_LIMIT": "true"}
EXPORT = {"content-type": "application/x-protobuf"}


@dataclass
class Subject:
    """Somebody with a session and a key; "" for one that was ended."""

    user_id: str
    email: str
    session: str = ""
    key_id: str = ""
    key: str = ""


class TwoProcesses:
    """Two servers on one database, an open channel to each, and an admin who is signed in."""

    def __init__(self, folder: Path, url: str) -> None:
        self._stack = ExitStack()
        self._env = {**ENV, "PHOENIX_SQL_DATABASE_URL": url}
        self._folder, self._count = folder, 0
        self.choices = RepeatableEntropy(url.partition(":")[0])

    def __enter__(self) -> Self:
        self.servers = []
        for name in ("one", "two"):
            (self._folder / name).mkdir()
            server = StartedServer(self._folder / name, self._env)
            self.servers.append(self._stack.enter_context(server))
        targets = [f"127.0.0.1:{server.grpc_port}" for server in self.servers]
        channels = [self._stack.enter_context(grpc.insecure_channel(t)) for t in targets]
        self.stubs = [TraceServiceStub(channel) for channel in channels]
        first = self.servers[0].admin()
        self.admins = [first, self.servers[1].client()]
        self.admins[1].cookies.update(first.cookies)
        self.callers = [server.client() for server in self.servers]
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def choose(self, count: int) -> int:
        return self.choices.bytes(1)[0] % count

    # --- somebody --------------------------------------------------------------------------

    def new_subject(self) -> Subject:
        self._count += 1
        email = f"u{self._count}@example.com"
        user = {"email": email, "username": email, "role": "MEMBER", "auth_method": "LOCAL"}
        body = {"user": {**user, "password": PASSWORD}, "send_welcome_email": False}
        made = self.admins[0].post("/v1/users", json=body)
        assert made.status_code == 201, made.text
        return Subject(made.json()["data"]["id"], email)

    def give(self, subject: Subject, which: str) -> str:
        """Return a session or a key of somebody, a new one where there is none."""
        if not subject.session and not getattr(subject, which):
            self._sign_in(subject)
        if not getattr(subject, which):
            self._add_key(subject)
        return str(getattr(subject, which))

    def _sign_in(self, subject: Subject) -> None:
        client = self.callers[self.choose(2)]
        answer = client.post("/auth/login", json={"email": subject.email, "password": PASSWORD})
        assert answer.status_code == 204, answer.text
        client.cookies.clear()
        subject.session = answer.cookies["phoenix-access-token"]

    def _add_key(self, subject: Subject) -> None:
        headers = {"authorization": f"Bearer {subject.session}"}
        body = {"data": {"name": "key"}}
        made = self.callers[0].post("/v1/user/api_keys", json=body, headers=headers)
        assert made.status_code == 201, made.text
        subject.key_id, subject.key = made.json()["data"]["id"], made.json()["data"]["key"]

    # --- the next request ------------------------------------------------------------------

    def outcomes(self, bearer: str) -> tuple[Any, ...]:
        """Export with a credential to both processes, over HTTP and on the open channels."""
        headers = {**EXPORT, "authorization": f"Bearer {bearer}"}
        found: list[Any] = []
        for caller, stub in zip(self.callers, self.stubs, strict=True):
            found.append(caller.post("/v1/traces", content=b"", headers=headers).status_code)
            metadata = (("authorization", f"Bearer {bearer}"),)
            try:
                stub.Export(ExportTraceServiceRequest(), metadata=metadata)
                found.append(grpc.StatusCode.OK)
            except grpc.RpcError as error:
                found.append(error.code())
        return tuple(found)

    def act(self, method: str, path: str, bearer: str = "", **more: Any) -> None:
        """Change something at either process, as the admin or with a credential."""
        turn = self.choose(2)
        client: httpx.Client = self.callers[turn] if bearer else self.admins[turn]
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        answer = client.request(method, path, headers=headers, **more)
        assert answer.status_code in {200, 204}, answer.text


GONE = (401, grpc.StatusCode.UNAUTHENTICATED) * 2
BELOW = (403, grpc.StatusCode.PERMISSION_DENIED) * 2
GOOD = (200, grpc.StatusCode.OK) * 2


def revoke(world: TwoProcesses, subject: Subject) -> None:
    world.act("DELETE", f"/v1/user/api_keys/{subject.key_id}")
    subject.key = ""


def demote(world: TwoProcesses, subject: Subject) -> None:
    world.act("PATCH", f"/v1/users/{subject.user_id}", json={"role": "VIEWER"})
    subject.session = ""


def promote(world: TwoProcesses, subject: Subject) -> None:
    world.act("PATCH", f"/v1/users/{subject.user_id}", json={"role": "MEMBER"})


def deactivate(world: TwoProcesses, subject: Subject) -> None:
    world.act("PATCH", f"/v1/users/{subject.user_id}", json={"active": False})
    subject.session = ""


def activate(world: TwoProcesses, subject: Subject) -> None:
    world.act("PATCH", f"/v1/users/{subject.user_id}", json={"active": True})


def sign_out(world: TwoProcesses, subject: Subject) -> None:
    world.act("POST", "/auth/logout", subject.session)
    subject.session = ""


def delete_user(world: TwoProcesses, subject: Subject) -> None:
    world.act("DELETE", f"/v1/users/{subject.user_id}")
    subject.user_id = ""


@dataclass(frozen=True)
class Change:
    """One change of authority: what it takes from which credential, and what gives it back."""

    act: Callable[[TwoProcesses, Subject], None]
    credentials: tuple[str, ...] = ("key", "session")
    expected: tuple[Any, ...] = GONE
    undo: Callable[[TwoProcesses, Subject], None] | None = None


CHANGES = (
    Change(revoke, ("key",)),
    Change(demote, ("key",), BELOW, undo=promote),
    Change(deactivate, undo=activate),
    Change(sign_out, ("session",)),
    Change(delete_user),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TwoProcesses]:
    url = f"sqlite:///{tmp_path}/shared.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    with TwoProcesses(tmp_path, url) as started:
        yield started


@pytest.mark.timeout(300)
def test_each_of_a_hundred_changes_holds_for_the_very_next_request(world: TwoProcesses) -> None:
    subject = world.new_subject()
    seen = dict.fromkeys(CHANGES, 0)
    for turn in range(ROUNDS):
        change = CHANGES[world.choose(len(CHANGES))]
        bearer = world.give(subject, change.credentials[world.choose(len(change.credentials))])
        # Each process has verified the credential and remembers it.
        assert world.outcomes(bearer) == GOOD
        change.act(world, subject)
        assert world.outcomes(bearer) == change.expected, f"{turn}: {change.act.__name__}"
        seen[change] += 1
        if change.undo is not None:
            change.undo(world, subject)
        if not subject.user_id:
            subject = world.new_subject()
    assert min(seen.values()) > 5, seen
