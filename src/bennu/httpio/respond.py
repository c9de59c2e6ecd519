"""Writing an answer: JSON, and the one table that turns a kind of error into a status.

Refusals are plain text, schema errors are JSON ``{"detail": [...]}``, as existing clients expect.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from math import ceil
from typing import Final

import msgspec
from starlette.responses import Response

from bennu.kernel.errors import (
    AppError,
    ConflictError,
    DeniedError,
    InvalidError,
    MalformedError,
    NotFoundError,
    SchemaError,
    TooLargeError,
    TooManyError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaError,
)

#: First match in this order decides; subclasses stand before their parents.
STATUS_OF: Final[tuple[tuple[type[AppError], int], ...]] = (
    (MalformedError, HTTPStatus.BAD_REQUEST),
    (TooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (UnsupportedMediaError, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (InvalidError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (UnauthenticatedError, HTTPStatus.UNAUTHORIZED),
    (DeniedError, HTTPStatus.FORBIDDEN),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ConflictError, HTTPStatus.CONFLICT),
    (TooManyError, HTTPStatus.TOO_MANY_REQUESTS),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
)

_encoder: Final = msgspec.json.Encoder()
RETRY_AFTER_DEFAULT_SECONDS: Final = 1


def json_answer(
    value: object, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with JSON of any value that msgspec can encode."""
    return Response(_encoder.encode(value), status, headers=headers, media_type="application/json")


def text_answer(
    text: str, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with plain text."""
    return Response(text, status, headers=headers, media_type="text/plain")


def page_answer(
    html: str, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with a page."""
    return Response(html, status, headers=headers, media_type="text/html")


def empty_answer(status: int = HTTPStatus.NO_CONTENT) -> Response:
    """Answer without a body."""
    return Response(status_code=status)


def status_of(error: AppError) -> int:
    """Return the HTTP status for an error of the application."""
    for kind, status in STATUS_OF:
        if isinstance(error, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


def error_answer(error: AppError) -> Response:
    """Turn an error into the answer that a client gets.

    The detail of the error is for the log and never part of the answer.
    """
    status = status_of(error)
    headers: dict[str, str] = {}
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        wait = error.retry_after_seconds
        headers["retry-after"] = str(ceil(RETRY_AFTER_DEFAULT_SECONDS if wait is None else wait))
    if isinstance(error, SchemaError):
        detail = [
            {"type": p.kind, "loc": list(p.loc), "msg": p.msg, "input": p.seen}
            for p in error.problems
        ]
        return json_answer({"detail": detail}, status, headers)
    return text_answer(error.public, status, headers)


def time_text(microseconds_utc: int) -> str:
    """Write microseconds since 1970 as the clients expect: ISO-8601 with ``+00:00``."""
    seconds, rest = divmod(microseconds_utc, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat()
