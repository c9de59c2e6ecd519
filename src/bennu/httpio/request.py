"""Reading a request: the caller, a JSON body within bounds, query and path parameters."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request

from bennu.access import Caller
from bennu.httpio.route import Query
from bennu.kernel.crowded_json import refuse_crowded_json
from bennu.kernel.errors import (
    FieldProblem,
    MalformedError,
    SchemaError,
    TooLargeError,
    UnavailableError,
)

T = TypeVar("T")
#: Counts further bytes that a request takes up; raises when there is no room for them.
Grow = Callable[[int], None]

#: Keys under which the middlewares leave their results in the ASGI scope.
CALLER: Final = "bennu.caller"
REFUSAL: Final = "bennu.refusal"
#: A refusal that was decided in front of the route, for the route to answer in its own way.
BLOCKED: Final = "bennu.blocked"
ADDRESS: Final = "bennu.address"
REQUEST_ID: Final = "bennu.request_id"

JSON_BODY_LIMIT_BYTES: Final = 1_048_576
#: A body takes room in a queue while it comes, so its sender must not dawdle.
BODY_SECONDS: Final = 30.0
TOO_SLOW: Final = "The body took too long to arrive"
#: Decoding runs on the event loop, and this many objects take a quarter of a second.
MOST_JSON_OBJECTS: Final = 500_000
#: The escape of NUL, but not an escaped backslash before the letters; PostgreSQL stores no NUL.
_NUL_ESCAPE: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def caller_of(request: Request) -> Caller:
    """Return who is calling, as the gate found out."""
    caller: Caller = request.scope[CALLER]
    return caller


@asynccontextmanager
async def body_in_time(limit_seconds: float = BODY_SECONDS) -> AsyncIterator[None]:
    """Bound how long what is read within may take.

    Raises:
        UnavailableError: it took longer.
    """
    try:
        async with asyncio.timeout(limit_seconds):
            yield
    except TimeoutError:
        raise UnavailableError(TOO_SLOW) from None


async def body_within(request: Request, limit_bytes: int, grow: Grow | None = None) -> bytes:
    """Read the whole body, chunked ones too, but never more than ``limit_bytes``.

    Args:
        request: its body was not read yet.
        limit_bytes: of the body.
        grow: is told of received bytes before they are kept, and may refuse them.

    Raises:
        TooLargeError: as soon as the announced or the received length exceeds the limit.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit_bytes:
        raise TooLargeError(f"The body is larger than {limit_bytes} bytes")
    chunks: list[bytes] = []
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit_bytes:
            raise TooLargeError(f"The body is larger than {limit_bytes} bytes")
        if grow is not None:
            grow(len(chunk))
        chunks.append(chunk)
    return b"".join(chunks)


async def json_of(
    request: Request,
    kind: type[T],
    limit_bytes: int = JSON_BODY_LIMIT_BYTES,
    *,
    may_hold_nul: bool = False,
    if_empty: T | None = None,
    grow: Grow | None = None,
) -> T:
    """Decode the body as JSON of the given msgspec type.

    Args:
        request: its body was not read yet.
        kind: what the body must be.
        limit_bytes: of the body.
        may_hold_nul: the flow itself takes care of the character NUL in texts.
        if_empty: what a request without a body means; None where there must be one.
        grow: is told of received bytes before they are kept, and may refuse them.

    Raises:
        MalformedError: it is not JSON at all.
        SchemaError: a field is missing or wrong; names the field.
        TooLargeError: it exceeds the limit, or holds more objects than can be decoded at once.
    """
    body = await body_within(request, limit_bytes, grow)
    if not body and if_empty is not None:
        return if_empty
    if not may_hold_nul and _NUL_ESCAPE.search(body):
        raise SchemaError(FieldProblem(("body",), "Texts must not hold the character NUL"))
    refuse_crowded_json(body, MOST_JSON_OBJECTS)
    return decode_json(body, kind)


def decode_json(body: bytes, kind: type[T]) -> T:
    """Decode JSON bytes as the given msgspec type; see ``json_of`` for the errors."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise SchemaError(_problem_of(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError("The body is not valid JSON", detail=type(error).__name__) from None


def _problem_of(message: str) -> FieldProblem:
    """Turn msgspec's ``text - at `$.data.name``` into a way and a text."""
    text, _, where = message.partition(" - at `$")
    way: list[str | int] = ["body"]
    for part in where.rstrip("`").replace("[", ".[").split("."):
        name = part.strip("[]")
        if name and name != "...":
            way.append(int(name) if name.isdecimal() and part.startswith("[") else name)
    kind = "missing" if "missing required field" in text else "value_error"
    if kind == "missing":
        way.append(text.rpartition("`")[0].rpartition("`")[2])
    return FieldProblem(loc=tuple(way), msg=text, kind=kind)


def path_value(request: Request, name: str) -> str:
    """Return one named part of the path, decoded."""
    return str(request.path_params[name])


def query_values(request: Request, declared: tuple[Query, ...]) -> Mapping[str, object]:
    """Read the declared query parameters; a repeated one gives a tuple, an absent one None.

    Raises:
        SchemaError: one is missing, not of its kind, not allowed, or out of range.
    """
    problems: list[FieldProblem] = []
    values: dict[str, object] = {}
    for query in declared:
        texts = request.query_params.getlist(query.name)
        if not texts:
            values[query.name] = () if query.many else None
            if query.required:
                problems.append(FieldProblem(("query", query.name), "Field required", "missing"))
            continue
        try:
            read = tuple(_convert(text, query) for text in texts)
        except ValueError as error:
            problems.append(
                FieldProblem(("query", query.name), str(error), "value_error", texts[-1][:200])
            )
            continue
        values[query.name] = read if query.many else read[-1]
    if problems:
        raise SchemaError(*problems)
    return values


def _convert(text: str, query: Query) -> object:
    if query.kind == "datetime":
        return time_of(text)
    if query.kind == "boolean":
        if text.lower() not in {"true", "false", "1", "0"}:
            raise ValueError("Input should be true or false")
        return text.lower() in {"true", "1"}
    if query.kind in {"integer", "number"}:
        return _number(text, query)
    if query.allowed and text not in query.allowed:
        raise ValueError(f"Input should be one of {', '.join(query.allowed)}")
    return text


def _number(text: str, query: Query) -> int | float:
    try:
        value = int(text) if query.kind == "integer" else float(text)
    except ValueError:
        raise ValueError(f"Input should be a valid {query.kind}") from None
    if query.minimum is not None and not value >= query.minimum:
        raise ValueError(f"Input should be at least {query.minimum:g}")
    if query.maximum is not None and not value <= query.maximum:
        raise ValueError(f"Input should be at most {query.maximum:g}")
    return value


def time_of(text: str) -> datetime:
    """Read an ISO-8601 time; one without a zone is taken as UTC (contract, section 1).

    Raises:
        ValueError: it is none; says what is allowed.
    """
    try:
        value = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise ValueError("Input should be a valid ISO-8601 date and time") from None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
