"""The two doors: what reaches the routes of HTTP and the service of gRPC."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest

from bennu.access import EVERYBODY, MEMBER, Caller
from bennu.auth.api_keys.flow import NewApiKey
from bennu.auth.authenticate import Authenticator
from bennu.auth.gates import CALLER_OF_CALL, NOBODY, GrpcGate, HttpGate, RefusalListener
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.settings import AuthSettings
from bennu.httpio.request import ADDRESS, CALLER, REFUSAL, REQUEST_ID
from bennu.kernel.errors import AppError, MalformedError, UnauthenticatedError
from bennu.kernel.ids import SystemEntropy
from bennu.network.client_address import ClientAddresses
from fakes.accounts import ADMIN_SECRET, Accounts

ACCESS = SessionCookies(AuthSettings()).access_name
HOST_ACCESS = SessionCookies(AuthSettings(cookie_prefix="host")).access_name
METHOD = "/tests.Service/Call"


class Refusals:
    """Keeps what a gate tells of refusals."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str, str]] = []

    async def __call__(self, caller: Caller, call: str, error: AppError) -> None:
        self.told.append((caller.principal.name, caller.address, call, error.detail))


async def pass_gate(
    authenticator: Authenticator | None,
    *headers: tuple[str, str],
    cookie: str = ACCESS,
    on_refused: RefusalListener | None = None,
) -> dict[str, Any]:
    """Send a request through the gate; return the scope as the application sees it."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.update(scope)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "headers": raw, ADDRESS: "192.0.2.9", REQUEST_ID: "r1"}
    gate = HttpGate(app, authenticator, cookie, on_refused=on_refused)
    await gate(scope, None, None)
    return seen


async def test_everybody_may_do_everything_with_authentication_off() -> None:
    scope = await pass_gate(None, ("authorization", "Bearer x"), ("user-agent", "curl"))
    assert scope[CALLER] == Caller(EVERYBODY, "192.0.2.9", "curl", "r1")


async def test_a_bad_credential_is_told_of_and_no_old_cookie(accounts: Accounts) -> None:
    told = Refusals()
    by = accounts.authenticator
    token = (await accounts.open(await accounts.add_user())).access.reveal()
    for headers in ((), (("cookie", f"{ACCESS}=x"),), (("authorization", f"Bearer {token}"),)):
        await pass_gate(by, *headers, on_refused=told)
    assert told.told == []
    await pass_gate(by, ("authorization", "Bearer x"), on_refused=told)
    await pass_gate(by, ("authorization", "Basic x"), ("cookie", f"{ACCESS}=x"), on_refused=told)
    twice = ("authorization", f"Bearer {token}")
    await pass_gate(by, twice, twice, on_refused=told)
    reasons = ["not a credential of this server", "not a bearer credential", "two headers"]
    assert told.told == [("", "192.0.2.9", "", reason) for reason in reasons]


async def test_who_presents_nothing_is_nobody(accounts: Accounts) -> None:
    scope = await pass_gate(accounts.authenticator, ("cookie", "theme=dark"))
    assert scope[CALLER].principal == NOBODY
    assert REFUSAL not in scope


@pytest.mark.parametrize("name", ["api_key", "api-key", "x-api-key"])
async def test_other_headers_carry_no_credential(accounts: Accounts, name: str) -> None:
    scope = await pass_gate(accounts.authenticator, (name, ADMIN_SECRET.reveal()))
    assert scope[CALLER].principal == NOBODY


async def test_what_is_not_http_passes(accounts: Accounts) -> None:
    seen: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    await HttpGate(app, accounts.authenticator, ACCESS)({"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]


@pytest.mark.parametrize(
    "header",
    [
        "{name}={token}",
        "theme=dark; {name}={token}",
        'broken{{}}"=1;{name}={token};last',
        "{name}={token}; {name}=another",
        "x{name}=another; {name} = {token} ",
    ],
)
async def test_the_cookie_is_found_among_others(accounts: Accounts, header: str) -> None:
    pair = await accounts.open(await accounts.add_user())
    cookie = header.format(name=ACCESS, token=pair.access.reveal())
    scope = await pass_gate(accounts.authenticator, ("cookie", "a=b"), ("cookie", cookie))
    assert scope[CALLER].principal.name == "ada"
    assert scope[CALLER].principal.is_session


async def test_with_host_cookies_only_those_count(accounts: Accounts) -> None:
    token = (await accounts.open(await accounts.add_user())).access.reveal()
    plain, host = ("cookie", f"{ACCESS}={token}"), ("cookie", f"{HOST_ACCESS}={token}")
    for header, cookie, found in (
        (plain, HOST_ACCESS, False),
        (host, HOST_ACCESS, True),
        (host, ACCESS, False),
    ):
        scope = await pass_gate(accounts.authenticator, header, cookie=cookie)
        assert scope[CALLER].principal.is_session is found


async def test_a_refused_credential_reaches_the_route_as_a_refusal(accounts: Accounts) -> None:
    token = (await accounts.open(await accounts.add_user())).access.reveal()
    good = ("cookie", f"{ACCESS}={token}")
    bad = ("authorization", "Bearer nonsense")
    scope = await pass_gate(accounts.authenticator, good, bad)
    assert isinstance(scope[REFUSAL], UnauthenticatedError)
    assert scope[CALLER].principal == NOBODY
    twice = ("authorization", f"Bearer {token}")
    scope = await pass_gate(accounts.authenticator, twice, twice)
    assert isinstance(scope[REFUSAL], MalformedError)
    assert scope[CALLER].principal == NOBODY


# --- gRPC ----------------------------------------------------------------------------------


@dataclass
class Service:
    """A gRPC server on loopback with one unary and one streaming method behind the gate."""

    accounts: Accounts
    callers: list[Caller] = field(default_factory=list)
    target: str = ""
    refusals: Refusals = field(default_factory=Refusals)

    async def call(self, request: bytes, _: Any) -> bytes:
        self.callers.append(CALLER_OF_CALL.get())
        return request

    async def stream(self, request: bytes, _: Any) -> AsyncIterator[bytes]:
        yield request

    async def ask(self, *metadata: tuple[str, str]) -> grpc.StatusCode:
        """Call the service over a channel of its own; return the status."""
        async with grpc.aio.insecure_channel(self.target) as channel:
            return await self.ask_over(channel, *metadata)

    async def ask_over(self, channel: Any, *metadata: tuple[str, str]) -> grpc.StatusCode:
        call = channel.unary_unary(METHOD)(b"x", metadata=metadata)
        return await call.code()  # type: ignore[no-any-return]


async def serve(
    service: Service, authenticator: Authenticator | None, *trusted: str
) -> AsyncIterator[Service]:
    address_of = ClientAddresses(trusted).of_call
    gate = GrpcGate(
        authenticator, SystemEntropy(), address_of=address_of, on_refused=service.refusals
    )
    server = grpc.aio.server(interceptors=(gate,))
    handlers = {
        "Call": grpc.unary_unary_rpc_method_handler(service.call),
        "Stream": grpc.unary_stream_rpc_method_handler(service.stream),
    }
    generic = grpc.method_handlers_generic_handler("tests.Service", handlers)
    server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    service.target = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield service
    finally:
        await server.stop(None)


@pytest.fixture
async def service(accounts: Accounts) -> AsyncIterator[Service]:
    async for started in serve(Service(accounts), accounts.authenticator):
        yield started


@pytest.fixture
async def open_service(accounts: Accounts) -> AsyncIterator[Service]:
    async for started in serve(Service(accounts), None):
        yield started


async def test_a_call_without_a_valid_bearer_is_unauthenticated(service: Service) -> None:
    key = ADMIN_SECRET.reveal()
    for metadata in (
        (),
        (("api_key", key),),
        (("api-key", key),),
        (("x-api-key", key),),
        (("authorization", key),),
        (("authorization", "Bearer nonsense"),),
        (("authorization", f"Bearer {key}"), ("authorization", f"Bearer {key}")),
    ):
        assert await service.ask(*metadata) is grpc.StatusCode.UNAUTHENTICATED
    assert not service.callers
    reasons = [reason for *_, reason in service.refusals.told]
    assert reasons == ["not a bearer credential", "not a credential of this server", "two headers"]


async def test_a_call_leaves_its_caller_for_the_service(service: Service) -> None:
    token = (await service.accounts.open(await service.accounts.add_user())).access.reveal()
    assert await service.ask(("authorization", f"bearer {token}")) is grpc.StatusCode.OK
    (caller,) = service.callers
    assert (caller.principal.name, caller.principal.role) == ("ada", MEMBER)
    assert caller.address == "127.0.0.1"
    assert "grpc" in caller.user_agent
    assert len(caller.request_id) == 16


@pytest.mark.parametrize(
    ("trusted", "address"), [((), "127.0.0.1"), (("127.0.0.0/8",), "192.0.2.1")]
)
async def test_only_a_trusted_proxy_says_who_calls(
    accounts: Accounts, trusted: tuple[str, ...], address: str
) -> None:
    async for service in serve(Service(accounts), None, *trusted):
        forwarded = ("x-forwarded-for", "198.51.100.1, 192.0.2.1")
        assert await service.ask(forwarded) is grpc.StatusCode.OK
        assert service.callers[0].address == address


async def test_who_may_not_ingest_is_denied(service: Service) -> None:
    token = (await service.accounts.open(await service.accounts.add_user(role="VIEWER"))).access
    header = ("authorization", f"Bearer {token.reveal()}")
    assert await service.ask(header) is grpc.StatusCode.PERMISSION_DENIED
    assert not service.callers
    denied = ("ada", "127.0.0.1", METHOD, "missing permission traces:ingest")
    assert service.refusals.told == [denied]


async def test_a_first_password_opens_nothing_here(service: Service) -> None:
    user = await service.accounts.add_user(must_change=True)
    token = (await service.accounts.open(user)).access.reveal()
    header = ("authorization", f"Bearer {token}")
    assert await service.ask(header) is grpc.StatusCode.PERMISSION_DENIED
    assert not service.callers


async def test_a_revoked_key_is_refused_on_a_channel_that_stays_open(service: Service) -> None:
    accounts = service.accounts
    caller = await accounts.sign_in(await accounts.add_user())
    made = await accounts.keys.create_user_key(caller, NewApiKey("k"))
    header = ("authorization", f"Bearer {made.text.reveal()}")
    async with grpc.aio.insecure_channel(service.target) as channel:
        assert await service.ask_over(channel, header) is grpc.StatusCode.OK
        identifier = (await accounts.caller(made.text)).principal.credential_id
        await accounts.keys.revoke_key(caller, identifier, made.key.kind)
        assert await service.ask_over(channel, header) is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.asvs("16.5.3")
async def test_a_method_that_the_gate_cannot_check_stays_closed(service: Service) -> None:
    header = ("authorization", f"Bearer {ADMIN_SECRET.reveal()}")
    async with grpc.aio.insecure_channel(service.target) as channel:
        call = channel.unary_stream("/tests.Service/Stream")(b"x", metadata=(header,))
        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.asvs("16.5.3")
async def test_a_database_that_is_away_says_come_back(service: Service) -> None:
    token = (await service.accounts.open(await service.accounts.add_user())).access.reveal()
    await service.accounts.database.stop()
    header = ("authorization", f"Bearer {token}")
    assert await service.ask(header) is grpc.StatusCode.UNAVAILABLE


async def test_with_authentication_off_everybody_may_call(open_service: Service) -> None:
    assert await open_service.ask() is grpc.StatusCode.OK
    assert open_service.callers[0].principal == EVERYBODY
