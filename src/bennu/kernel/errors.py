"""The seven kinds of refusal that a caller can meet.

Features subclass these in the file that raises them. ``httpio/respond.py`` holds the one table
that turns a kind into an HTTP status; ``traces/ingest/grpc_service.py`` the one for gRPC.
"""

from dataclasses import dataclass


class AppError(Exception):
    """A refusal with a text for the caller and, apart from it, a detail for the log.

    Args:
        public: what the caller reads; fixed, vague where a secret could be guessed from it.
        detail: what the log keeps beside the request id; never a secret either.
        retry_after_seconds: when it makes sense to try again, if that is known.
    """

    code = "error"

    def __init__(
        self, public: str, *, detail: str = "", retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(public)
        self.public = public
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class InvalidError(AppError):
    """The request was understood and its content is not acceptable (422)."""

    code = "invalid"


class MalformedError(InvalidError):
    """The request cannot even be read: broken compression, broken JSON, two credentials (400)."""

    code = "malformed"


class TooLargeError(InvalidError):
    """The body exceeds a bound, before or after decompression (413)."""

    code = "too_large"


class UnsupportedMediaError(InvalidError):
    """A content type or content encoding that the route does not take (415)."""

    code = "unsupported_media"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field of a body or a query that is not as the interface demands.

    Args:
        loc: the way to it, such as ``("body", "data", 0, "name")``.
        msg: what is allowed there.
        kind: a short machine-readable word, such as ``value_error`` or ``missing``.
        seen: what was read, echoed only where it cannot be a secret.
    """

    loc: tuple[str | int, ...]
    msg: str
    kind: str = "value_error"
    seen: object = None


class SchemaError(InvalidError):
    """One or more fields are wrong; answered as JSON ``{"detail": [...]}`` (422)."""

    code = "schema"

    def __init__(self, *problems: FieldProblem) -> None:
        super().__init__("; ".join(p.msg for p in problems))
        self.problems = problems


class UnauthenticatedError(AppError):
    """No credential, or one that is not valid (401)."""

    code = "unauthenticated"


class DeniedError(AppError):
    """The caller is known and may not do this (403)."""

    code = "denied"


class NotFoundError(AppError):
    """There is no such thing, or none that this caller may see (404)."""

    code = "not_found"


class ConflictError(AppError):
    """It exists already, or its state forbids the change (409)."""

    code = "conflict"


class TooManyError(AppError):
    """A rate limit or a lock-out (429, with Retry-After)."""

    code = "too_many"


class UnavailableError(AppError):
    """Not now: the queue is full, the database or a directory is away (503, with Retry-After)."""

    code = "unavailable"
