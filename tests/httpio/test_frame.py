"""What stands around every request: ids, headers, one line of the log, no failure let through."""

import logging
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from bennu.access import Caller, Principal, PrincipalKind
from bennu.httpio.frame import SERVER_VERSION, FrameOptions, RequestFrame, user_agent_of
from bennu.httpio.request import CALLER, REQUEST_ID
from bennu.kernel.errors import DeniedError
from bennu.network.headers import answer_headers
from fakes.clock import FrozenClock
from fakes.entropy import RepeatableEntropy

pytestmark = pytest.mark.anyio
COUNTED: list[int] = []
OPTIONS = FrameOptions(headers=answer_headers(is_https=False), on_answer=COUNTED.append)


async def through(
    app: Any, path: str = "/v1/x", clock: FrozenClock | None = None, **more: Any
) -> httpx.Response:
    frame = RequestFrame(app, clock or FrozenClock(), RepeatableEntropy(), OPTIONS)
    transport = httpx.ASGITransport(frame, raise_app_exceptions=True, client=("192.0.2.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path, **more)


async def fine(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("fine")(scope, receive, send)


def lines(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if record.message == name]


async def test_every_answer_carries_the_headers_that_protect_a_browser() -> None:
    answer = await through(fine)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_an_answer_may_set_its_own() -> None:
    async def own(scope: Any, receive: Any, send: Any) -> None:
        headers = {"cache-control": "max-age=1", "content-security-policy": "default-src 'self'"}
        await PlainTextResponse("x", headers=headers)(scope, receive, send)

    answer = await through(own)
    assert answer.headers.get_list("cache-control") == ["max-age=1"]
    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("path", "is_versioned"),
    [
        ("/v1/projects", True),
        ("/api/v1/projects", True),
        ("/arize_phoenix_version", True),
        ("/login", False),
        ("/v10/x", False),
        ("/healthz", False),
    ],
)
async def test_the_version_is_told_where_clients_look_for_it(path: str, is_versioned: bool) -> None:
    told = (await through(fine, path)).headers.get("x-phoenix-server-version")
    assert told == (SERVER_VERSION if is_versioned else None)


async def test_each_request_has_an_id_of_its_own_that_answer_and_line_share(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope[REQUEST_ID])
        await fine(scope, receive, send)

    with caplog.at_level(logging.INFO, "bennu.http"):
        answer = await through(app, headers={"x-request-id": "chosen by the client"})
    (line,) = lines(caplog, "http.request")
    assert answer.headers.get_list("x-request-id") == seen == [line["request_id"]]
    assert len(seen[0]) == 16


@pytest.mark.asvs("16.2.1")
async def test_the_line_says_who_asked_what_and_how_it_went(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FrozenClock()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope[CALLER] = Caller(Principal(PrincipalKind.USER, "VXNlcjox", "ann@example.com"))
        scope["bennu.error"] = DeniedError("public", detail="missing permission")
        clock.advance(0.25)
        await PlainTextResponse("no", 403)(scope, receive, send)

    with caplog.at_level(logging.INFO, "bennu.http"):
        await through(app, "/v1/x?token=hidden", clock)
    (line,) = lines(caplog, "http.request")
    expected = {
        "method": "GET",
        "path": "/v1/x",
        "status": 403,
        "milliseconds": 250.0,
        "address": "192.0.2.7",
        "actor": "VXNlcjox",
        "reason": "missing permission",
    }
    assert expected.items() <= line.items()
    assert "ann@example.com" not in str(line)
    assert "hidden" not in str(line)


@pytest.mark.parametrize("root_path", ["", "/bennu"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_leave_no_lines(
    path: str, root_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def below(scope: Any, receive: Any, send: Any) -> None:
        # As uvicorn hands it on: the path holds the root path.
        await frame({**scope, "root_path": root_path}, receive, send)

    frame = RequestFrame(fine, FrozenClock(), RepeatableEntropy(), OPTIONS)
    transport = httpx.ASGITransport(below)
    with caplog.at_level(logging.INFO, "bennu.http"):
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.get(root_path + path)
            assert lines(caplog, "http.request") == []
            await client.get(root_path + "/v1" + path)
    assert len(lines(caplog, "http.request")) == 1


@pytest.mark.asvs("13.4.2", "16.3.4", "16.5.1")
async def test_a_defect_is_a_500_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 - ASGI's shape
        raise KeyError("what the caller must not read")

    with caplog.at_level(logging.INFO, "bennu.http"):
        answer = await through(broken)
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert answer.headers["x-frame-options"] == "DENY"
    (failed,) = lines(caplog, "http.failed")
    assert failed["exc_info"] is not None
    assert failed["request_id"] == answer.headers["x-request-id"]
    assert lines(caplog, "http.request")[0]["status"] == 500
    assert COUNTED[-1] == 500


async def test_a_defect_after_the_answer_began_is_told_and_makes_no_second_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 - ASGI's shape
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("late")

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "path": "/x", "method": "GET", "headers": [], "client": None}
    scope["scheme"] = "http"
    with caplog.at_level(logging.INFO, "bennu.http"):
        await RequestFrame(app, FrozenClock(), RepeatableEntropy())(scope, receive, send)
    assert sent == ["http.response.start"]
    assert lines(caplog, "http.failed")


async def test_what_is_no_request_passes_unframed() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 - ASGI's shape
        seen.append(scope["type"])

    scope: dict[str, Any] = {"type": "lifespan"}
    frame = RequestFrame(app, FrozenClock(), RepeatableEntropy())
    await frame(scope, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]
    assert scope == {"type": "lifespan"}


def test_the_clients_name_is_bounded() -> None:
    headers = [(b"x", b"y"), (b"user-agent", b"a" * 600), (b"user-agent", b"second")]
    assert user_agent_of({"headers": headers}) == "a" * 512
    assert user_agent_of({"headers": [(b"user-agent", b"caf\xe9")]}) == "caf\u00e9"
    assert user_agent_of({"headers": []}) == ""
