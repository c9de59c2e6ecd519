"""The two doors: an ASGI layer for HTTP and an interceptor for gRPC, both over ``authenticate``.

Spec: lines 142-151.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final

import grpc
import grpc.aio

from bennu.access import EVERYBODY, Caller, Permission, Principal, PrincipalKind, require
from bennu.auth.authenticate import Authenticator, Presented
from bennu.httpio.frame import user_agent_of
from bennu.httpio.request import ADDRESS, CALLER, REFUSAL, REQUEST_ID
from bennu.kernel.errors import AppError, DeniedError, MalformedError, UnauthenticatedError
from bennu.kernel.ids import Entropy
from bennu.network.asgi import cookie_of
from bennu.network.client_address import ClientAddresses
from bennu.tls.certificate import CertificateFacts
from bennu.tls.identity import CERTIFICATE, client_certificate_of_pem

NOBODY: Final = Principal(kind=PrincipalKind.ANONYMOUS)
_NO_CREDENTIAL: Final = "no credential"
CALLER_OF_CALL: Final[ContextVar[Caller]] = ContextVar("caller_of_call")

#: Told of every verified caller and its address, so that the last use of a key is known.
UseListener = Callable[[Principal, str], None]
#: Told of a credential that was refused, or of a call that was denied: by whom, at which call of
#: gRPC ("" at the door of HTTP, where routes are not looked at yet), and why.
RefusalListener = Callable[[Caller, str, AppError], Awaitable[None]]
#: Returns the client's address of gRPC's peer and metadata.
AddressOfCall = Callable[[str, Iterable[tuple[str, str | bytes]]], str]
Scope = MutableMapping[str, Any]
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]


async def principal_of(
    scope: Scope, authenticator: Authenticator | None, cookie_name: bytes
) -> Principal:
    """Say who is calling by what a request brought, as of now.

    Raises:
        MalformedError, UnauthenticatedError: what was brought is not valid, or not any more.
    """
    if authenticator is None:
        return EVERYBODY
    headers = scope["headers"]
    authorization = tuple(v.decode("latin-1") for n, v in headers if n == b"authorization")
    cookie = "" if authorization else cookie_of(headers, cookie_name)
    certificate = scope.get(CERTIFICATE)
    if not authorization and not cookie and certificate is None:
        return NOBODY
    presented = Presented(authorization, cookie, certificate)
    return await authenticator.authenticate(presented) or NOBODY


class HttpGate:
    """Finds out who is calling and leaves it in the scope; the route decides what follows."""

    def __init__(
        self,
        app: AsgiApp,
        authenticator: Authenticator | None,
        cookie: str,
        on_use: UseListener | None = None,
        on_refused: RefusalListener | None = None,
    ) -> None:
        self._app, self._authenticator = app, authenticator
        self._cookie, self._on_use = cookie.encode(), on_use
        self._on_refused = on_refused

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        """Authenticate, then pass the request on."""
        if scope["type"] == "http":
            try:
                principal = await principal_of(scope, self._authenticator, self._cookie)
            except AppError as error:
                scope[REFUSAL] = error
                principal = NOBODY
            if self._on_use is not None:
                self._on_use(principal, scope[ADDRESS])
            caller = Caller(principal, scope[ADDRESS], user_agent_of(scope), scope[REQUEST_ID])
            scope[CALLER] = caller
            await self._tell_refusal(scope, caller)
        await self._app(scope, receive, send)

    async def _tell_refusal(self, scope: Scope, caller: Caller) -> None:
        """Tell of a bad credential, but not of a cookie: those grow old in every browser."""
        error = scope.get(REFUSAL)
        if self._on_refused is None or not isinstance(error, UnauthenticatedError | MalformedError):
            return
        is_shown = any(name == b"authorization" for name, _ in scope["headers"])
        if is_shown or scope.get(CERTIFICATE) is not None:
            await self._on_refused(caller, "", error)


class GrpcGate(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Authenticates every call, so that a revocation holds on a channel that stays open."""

    def __init__(
        self,
        authenticator: Authenticator | None,
        entropy: Entropy,
        on_use: UseListener | None = None,
        address_of: AddressOfCall | None = None,
        on_refused: RefusalListener | None = None,
    ) -> None:
        self._authenticator, self._entropy, self._on_use = authenticator, entropy, on_use
        self._address_of = address_of or ClientAddresses().of_call
        self._on_refused = on_refused

    async def intercept_service(self, continuation: Any, details: Any) -> Any:  # noqa: ANN401
        """Let the call through with its caller, or answer UNAUTHENTICATED.

        The check itself runs inside the call, where the answer can be given and the peer is known.
        """
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return None  # UNIMPLEMENTED: what this gate cannot check stays closed
        inner = handler.unary_unary

        async def checked(request: Any, context: Any) -> Any:  # noqa: ANN401 - grpc has no types
            await self._admit(context, details.method)
            return await inner(request, context)

        return grpc.unary_unary_rpc_method_handler(
            checked, handler.request_deserializer, handler.response_serializer
        )

    async def _admit(self, context: Any, method: str) -> None:  # noqa: ANN401 - grpc has no types
        metadata = context.invocation_metadata() or ()
        values = tuple(_text(value) for key, value in metadata if key == "authorization")
        agents = [_text(value) for key, value in metadata if key == "user-agent"]
        address = self._address_of(context.peer(), metadata)
        agent = agents[0][:512] if agents else ""
        caller = Caller(NOBODY, address, agent, self._entropy.bytes(8).hex())
        try:
            caller = replace(caller, principal=await self._principal(values, context))
            if self._on_use is not None:
                self._on_use(caller.principal, address)
            require(caller.principal, Permission.TRACES_INGEST)
        except (UnauthenticatedError, MalformedError) as error:
            await self._tell_refusal(caller, method, error)
            await context.abort(grpc.StatusCode.UNAUTHENTICATED)
        except DeniedError as error:
            await self._tell_refusal(caller, method, error)
            await context.abort(grpc.StatusCode.PERMISSION_DENIED)
        except AppError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, error.public)
        else:
            CALLER_OF_CALL.set(caller)

    async def _tell_refusal(self, caller: Caller, method: str, error: AppError) -> None:
        if self._on_refused is not None and error.detail != _NO_CREDENTIAL:
            await self._on_refused(caller, method, error)

    async def _principal(
        self,
        authorization: tuple[str, ...],
        context: Any,  # noqa: ANN401 - grpc has no types
    ) -> Principal:
        if self._authenticator is None:
            return EVERYBODY
        certificate = None if authorization else _certificate_of(context)
        presented = Presented(authorization, certificate=certificate)
        principal = await self._authenticator.authenticate(presented)
        if principal is None:
            raise UnauthenticatedError("Invalid token", detail=_NO_CREDENTIAL)
        if principal.must_change_password:
            raise DeniedError(
                "The password must be changed first", detail="password must be changed"
            )
        return principal


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _certificate_of(context: Any) -> CertificateFacts | None:  # noqa: ANN401 - grpc has no types
    """Return the certificate that the client proved to hold, None when it was not asked for one."""
    pem = context.auth_context().get("x509_pem_cert")
    return client_certificate_of_pem(pem[0]) if pem else None
