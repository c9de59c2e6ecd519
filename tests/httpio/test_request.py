"""Reading a request within bounds; what is wrong is named."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bennu.access import SERVER, Caller
from bennu.httpio.request import (
    CALLER,
    TOO_SLOW,
    body_in_time,
    body_within,
    caller_of,
    decode_json,
    json_of,
    path_value,
    query_values,
)
from bennu.httpio.respond import error_answer, json_answer
from bennu.httpio.route import Query
from bennu.kernel.errors import AppError, MalformedError, SchemaError, UnavailableError

pytestmark = pytest.mark.anyio
Read = Callable[[Request], Awaitable[object]]


class Inner(msgspec.Struct):
    name: str
    numbers: list[int] = []


class Body(msgspec.Struct):
    data: Inner


async def answer_to(read: Read, method: str = "POST", path: str = "/a", **request: Any) -> Any:
    """Send one request to a handler that answers with what it read."""

    async def handle(asked: Request) -> Response:
        asked.scope[CALLER] = Caller(SERVER)
        try:
            return json_answer(await read(asked))
        except AppError as error:
            return error_answer(error)

    app = Starlette(routes=[Route("/{name:path}", handle, methods=[method])])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, **request)


# --- bodies ----------------------------------------------------------------------------------


async def test_a_body_is_read_up_to_its_bound_whatever_the_client_announces() -> None:
    async def read(request: Request) -> int:
        return len(await body_within(request, 10))

    async def chunks(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"12345"

    assert (await answer_to(read, content=b"x" * 10)).json() == 10
    assert (await answer_to(read, content=b"")).json() == 0
    assert (await answer_to(read, content=chunks(2))).json() == 10
    for content in (b"x" * 11, chunks(3)):
        refused = await answer_to(read, content=content)
        assert refused.status_code == 413
        assert "10 bytes" in refused.text


async def test_received_bytes_are_counted_before_they_are_kept_and_may_be_refused() -> None:
    counted: list[int] = []

    def grow(byte_count: int) -> None:
        counted.append(byte_count)
        if sum(counted) > 6:
            raise UnavailableError("full")

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"abc", b"def", b"g", b"h"):
            yield piece

    async def read(request: Request) -> int:
        return len(await body_within(request, 100, grow))

    assert (await answer_to(read, content=b"abc")).json() == 3
    counted.clear()
    answer = await answer_to(read, content=pieces())
    assert (answer.status_code, answer.text) == (503, "full")
    assert counted == [3, 3, 1]


async def test_a_body_that_takes_too_long_is_given_up() -> None:
    async def dawdling() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(20)

    async def read(request: Request) -> int:
        async with body_in_time(0.05):
            return len(await body_within(request, 100))

    answer = await answer_to(read, content=dawdling())
    assert (answer.status_code, answer.text) == (503, TOO_SLOW)


async def test_an_announced_length_is_refused_before_anything_is_read() -> None:
    read: list[str] = []

    async def receive() -> Any:
        read.append("asked")
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [(b"content-length", b"11")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    with pytest.raises(AppError):
        await body_within(request, 10)
    assert read == []


@pytest.mark.asvs("2.2.1", "15.3.5")
@pytest.mark.parametrize(
    ("body", "loc", "kind"),
    [
        (b"{}", ["body", "data"], "missing"),
        (b'{"data": {}}', ["body", "data", "name"], "missing"),
        (b'{"data": {"name": 1}}', ["body", "data", "name"], "value_error"),
        (
            b'{"data": {"name": "x", "numbers": [1, "2"]}}',
            ["body", "data", "numbers", 1],
            "value_error",
        ),
        (b'{"data": {"name": "a\\u0000b"}}', ["body"], "value_error"),
        (b"[]", ["body"], "value_error"),
    ],
)
async def test_a_wrong_field_is_named(body: bytes, loc: list[str | int], kind: str) -> None:
    answer = await answer_to(lambda r: json_of(r, Body), content=body)
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert (problem["loc"], problem["type"]) == (loc, kind)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"data": {"name": "x", "more": ' + b"[" * 100_000,
        b'{"data": {"name": "\xed\xa0\x80"}}',
    ],
    ids=["empty", "cut", "no text", "deep", "a lone surrogate"],
)
async def test_what_is_no_json_is_malformed(body: bytes) -> None:
    answer = await answer_to(lambda r: json_of(r, Body), content=body)
    assert (answer.status_code, answer.text) == (400, "The body is not valid JSON")


async def test_a_good_body_is_decoded_and_nul_only_where_it_is_allowed() -> None:
    good = await answer_to(lambda r: json_of(r, Body), json={"data": {"name": r"a\u0000"}})
    assert good.json() == {"data": {"name": r"a\u0000", "numbers": []}}
    with_nul = {"data": {"name": "a\0"}}
    allowed = await answer_to(lambda r: json_of(r, Body, may_hold_nul=True), json=with_nul)
    assert allowed.json()["data"]["name"] == "a\0"
    small = await answer_to(lambda r: json_of(r, Body, 10), json=with_nul)
    assert small.status_code == 413


@pytest.mark.asvs("1.5.2")
@given(st.binary())
def test_no_bytes_break_the_decoder(body: bytes) -> None:
    with suppress(MalformedError, SchemaError):
        decode_json(body, Body)


# --- query -------------------------------------------------------------------------------------

DECLARED = (
    Query("text"),
    Query("choice", allowed=("a", "b")),
    Query("count", "integer", minimum=1, maximum=9),
    Query("share", "number", minimum=0),
    Query("flag", "boolean"),
    Query("at", "datetime"),
    Query("many", many=True),
    Query("needed", required=True),
)


def values_of(query: str) -> dict[str, object]:
    scope = {"type": "http", "query_string": query.encode(), "headers": []}
    return dict(query_values(Request(scope), DECLARED))


@pytest.mark.asvs("15.3.5")
def test_values_have_the_declared_kinds() -> None:
    got = values_of(
        "needed=1&text=x&choice=b&count=9&share=0.5&flag=TRUE&many=1&many=2"
        "&at=2026-01-02T03:04:05%2B05:30"
    )
    zone = timezone(timedelta(hours=5, minutes=30))
    assert got == {
        "needed": "1",
        "text": "x",
        "choice": "b",
        "count": 9,
        "share": 0.5,
        "flag": True,
        "many": ("1", "2"),
        "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=zone),
    }


@pytest.mark.asvs("15.3.7")
def test_what_is_absent_is_none_and_a_repeated_one_counts_last() -> None:
    got = values_of("needed=1&text=a&text=b&unknown=1")
    assert (got["text"], got["count"], got["many"]) == ("b", None, ())
    assert "unknown" not in got


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        # A plus sign that was not escaped arrives as a blank.
        ("2026-01-02T03:04:05+00:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_times_without_a_zone_are_utc(text: str, moment: datetime) -> None:
    assert values_of(f"needed=1&at={text}")["at"] == moment


@pytest.mark.asvs("2.2.1")
@pytest.mark.parametrize(
    ("query", "name", "said"),
    [
        ("", "needed", "required"),
        ("needed=1&choice=c", "choice", "one of a, b"),
        ("needed=1&count=0", "count", "at least 1"),
        ("needed=1&count=10", "count", "at most 9"),
        ("needed=1&count=x", "count", "valid integer"),
        ("needed=1&count=1.5", "count", "valid integer"),
        ("needed=1&share=nan", "share", "at least 0"),
        ("needed=1&share=-0.1", "share", "at least 0"),
        ("needed=1&flag=yes", "flag", "true or false"),
        ("needed=1&at=yesterday", "at", "ISO-8601"),
        ("needed=1&count=" + "9" * 5_000, "count", "integer"),
    ],
)
def test_a_wrong_value_is_refused_by_name(query: str, name: str, said: str) -> None:
    with pytest.raises(SchemaError) as caught:
        values_of(query)
    (problem,) = caught.value.problems
    assert problem.loc == ("query", name)
    assert said in problem.msg
    assert len(str(problem.seen)) <= 200


def test_all_wrong_values_are_told_at_once() -> None:
    with pytest.raises(SchemaError) as caught:
        values_of("count=x&flag=y")
    assert [p.loc[1] for p in caught.value.problems] == ["count", "flag", "needed"]


async def test_path_and_caller() -> None:
    async def read(request: Request) -> list[str]:
        return [path_value(request, "name"), str(caller_of(request).principal.kind)]

    assert (await answer_to(read, path="/a%20b%2Fc")).json() == ["a b/c", "server"]
