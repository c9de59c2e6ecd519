"""The one value that describes a route; everything else about routes is derived from it.

From a table of these come the Starlette routes, the permission check, the rate-limit class, the
OpenAPI document, a page of the docs, and the test that no route is open by accident.

Spec: lines 142-155 (what a credential may reach), 212-216 (limits per endpoint).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.kernel.errors import AppError

Handler = Callable[[Request], Awaitable[Response]]
#: Turns a refusal into an answer that suits the route, such as a page for people.
RefusalHandler = Callable[[Request, AppError], Awaitable[Response]]


class Door(StrEnum):
    """What a route asks of its caller where it asks for no single permission."""

    OPEN = "open"  # anybody, also without a credential
    SIGNED_IN = "signed_in"  # any valid credential
    PERSON = "person"  # a session of a person; keys and secrets are refused
    ACCOUNT = "account"  # a valid credential, and authentication is on (403 with it off)


class Limit(StrEnum):
    """The rate-limit class of a route; the numbers stand in network/rate_rules.py."""

    NONE = "none"
    API = "api"
    SIGN_IN = "sign_in"
    SIGN_IN_CALLBACK = "sign_in_callback"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - asking for a mail; the name of a class
    PASSWORD_RESET_USE = "password_reset_use"  # noqa: S105 - using what was mailed


@dataclass(frozen=True, slots=True)
class Query:
    """One query parameter.

    Args:
        name: as in the address.
        kind: ``string``, ``integer``, ``number``, ``boolean``, ``datetime``.
        many: whether it may be repeated.
        required: whether the request is refused without it.
        allowed: the closed list of values, or empty for any.
        minimum: smallest allowed number, if any.
        maximum: largest allowed number, if any.
        meaning: for the interface document.
    """

    name: str
    kind: str = "string"
    many: bool = False
    required: bool = False
    allowed: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    meaning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method on one path.

    Args:
        method: ``GET``, ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
        path: with ``{names}`` in braces; paths under ``/v1`` are served under ``/api/v1`` too.
        handler: decodes the request, calls a flow, encodes the answer.
        permission: what the caller needs: one permission, or a Door.
        summary: one sentence for the interface document.
        limit: the rate-limit class.
        request: msgspec type of the JSON body, if there is one.
        response: msgspec type of the JSON answer, if there is one.
        status: the status of a success.
        query: the query parameters.
        events: names of the audit events that a success leaves; a changing route without any
            must say why in ``no_event``.
        no_event: the reason why a changing route leaves no audit record.
        refuses_keys: the text with which API keys are refused, whatever they may do; such a
            route is about accounts and needs authentication to be on.
        before_password_change: whether it works for a session that must change its password.
        errors: further statuses that it answers with, for the interface document.
        hidden: not in the interface document.
        on_refusal: answers refusals in another way than the interface does.
        responses_media: media type of a success that is not JSON.
    """

    method: str
    path: str
    handler: Handler
    permission: Permission | Door
    summary: str
    limit: Limit = Limit.API
    request: type | None = None
    response: type | None = None
    status: int = 200
    query: tuple[Query, ...] = ()
    events: tuple[str, ...] = ()
    no_event: str = ""
    refuses_keys: str = ""
    before_password_change: bool = False
    errors: tuple[int, ...] = ()
    hidden: bool = False
    on_refusal: RefusalHandler | None = None
    responses_media: str = ""
    tags: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse a route that does not say who may use it: such a server does not start."""
        if not isinstance(self.permission, Permission | Door):
            raise TypeError(f"{self.method} {self.path} declares no permission")
        if not self.path.startswith("/"):
            raise ValueError(f"{self.path} must start with a slash")

    @property
    def changes(self) -> bool:
        """Whether a success changes something."""
        return self.method not in {"GET", "HEAD", "OPTIONS"}
