"""What probes are told. Spec: line 272."""

from collections.abc import Awaitable, Callable

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from bennu.access import Caller, Principal, PrincipalKind
from bennu.httpio.dispatch import application_of
from bennu.httpio.request import CALLER
from bennu.monitoring.health import STOPPING, Readiness, health_routes

pytestmark = pytest.mark.anyio


def check(text: str, asked: list[str] | None = None) -> Callable[[], Awaitable[str]]:
    async def run() -> str:
        if asked is not None:
            asked.append(text)
        return text

    return run


async def ask(readiness: Readiness, path: str) -> httpx.Response:
    inner = application_of(health_routes(readiness))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CALLER] = Caller(Principal(PrincipalKind.ANONYMOUS))
        await inner(scope, receive, send)

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path)


async def test_ready_when_every_check_is_content() -> None:
    answer = await ask(Readiness({"database": check(""), "queue": check("")}), "/readyz")
    assert (answer.status_code, answer.json()) == (200, {})


async def test_every_reason_is_told() -> None:
    checks = {"a": check("database unreachable"), "b": check(""), "c": check("queue full")}
    answer = await ask(Readiness(checks), "/readyz")
    assert (answer.status_code, answer.text) == (503, "database unreachable, queue full")


async def test_a_server_that_ends_is_not_ready_but_runs() -> None:
    asked: list[str] = []
    readiness = Readiness({"database": check("", asked)})
    readiness.is_stopping = True
    answer = await ask(readiness, "/readyz")
    assert (answer.status_code, answer.text) == (503, STOPPING)
    assert asked == []
    alive = await ask(readiness, "/healthz")
    assert (alive.status_code, alive.text) == (200, "OK")


async def test_alive_does_not_ask_whether_it_can_work() -> None:
    asked: list[str] = []
    readiness = Readiness({"database": check("database unreachable", asked)})
    assert (await ask(readiness, "/healthz")).status_code == 200
    assert asked == []
