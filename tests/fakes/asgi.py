"""One request to a layer, and an application behind it that says what reached it."""

from collections.abc import Sequence
from typing import Any

import httpx

from bennu.access import EVERYBODY, Caller
from bennu.httpio.request import ADDRESS, CALLER, REQUEST_ID
from bennu.httpio.respond import text_answer

Headers = Sequence[tuple[str, str]]


class Behind:
    """The application behind a layer; it answers 200 and keeps the scopes that reached it."""

    def __init__(self, headers: dict[str, str] | None = None) -> None:
        self.scopes: list[dict[str, Any]] = []
        self._headers = headers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await text_answer("reached", 200, self._headers)(scope, receive, send)

    @property
    def was_reached(self) -> bool:
        return bool(self.scopes)


async def ask(
    app: Any, method: str = "GET", path: str = "/v1/projects", headers: Headers = (), **more: Any
) -> httpx.Response:
    """Send one request with exactly these headers, and a Host unless there is one.

    ``more`` goes into the scope: ``client``, ``scheme``, ``caller`` (who the gate found).
    """
    given = list(headers)
    if not any(name.lower() == "host" for name, _ in given):
        given.insert(0, ("host", "bennu.test"))
    scope = {
        "type": "http",
        "method": method,
        "path": path.partition("?")[0],
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": path.partition("?")[2].encode(),
        "headers": [(n.lower().encode(), v.encode("latin-1")) for n, v in given],
        "client": ("192.0.2.7", 50_000),
        "server": ("192.0.2.1", 6006),
        "http_version": "1.1",
        CALLER: more.pop("caller", Caller(EVERYBODY, "192.0.2.7", "tests", "r1")),
        ADDRESS: "192.0.2.7",
        REQUEST_ID: "r1",
        **more,
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    body = b"".join(m.get("body", b"") for m in sent[1:])
    return httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=body)
