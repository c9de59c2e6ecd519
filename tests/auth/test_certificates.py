"""A client certificate as a credential: at the authenticator and at both doors."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from sqlalchemy import update

from bennu.access import MEMBER, SYSTEM, VIEWER, Caller, Permission, Principal, PrincipalKind
from bennu.auth.api_keys.flow import NewApiKey
from bennu.auth.authenticate import Authenticator, Presented
from bennu.auth.gates import CALLER_OF_CALL, NOBODY, GrpcGate, HttpGate
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.settings import AuthSettings
from bennu.httpio.request import ADDRESS, CALLER, REFUSAL, REQUEST_ID
from bennu.kernel.errors import DeniedError, UnauthenticatedError
from bennu.kernel.ids import SystemEntropy, global_id
from bennu.storage.schema import api_keys
from bennu.tls.certificate import CertificateFacts, read_certificates
from bennu.tls.grpc_credentials import GrpcCertificates
from bennu.tls.identity import CERTIFICATE, CertificateAccounts
from bennu.tls.material import load_tls_material, read_tls_files
from bennu.tls.settings import TlsSettings
from fakes.accounts import CIPHER, OPERATOR, SETTINGS, Accounts
from fakes.clock import FrozenClock
from peers.pki import Pki

SUBJECT = "CN=agent-7,OU=Agents,O=Test"
ACCESS = SessionCookies(AuthSettings()).access_name


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime.now(UTC))


@pytest.fixture
def agent(pki: Pki) -> CertificateFacts:
    return read_certificates(pki.client.cert.read_bytes())[0]


def authenticator(accounts: Accounts, account: str = "ingest", of: str = SUBJECT) -> Authenticator:
    mapped = CertificateAccounts({of: account})
    return Authenticator(accounts.database, accounts.clock, CIPHER, SETTINGS, mapped)


async def make_account(accounts: Accounts, name: str = "ingest", **more: Any) -> str:
    """Make a service account; return its public id."""
    made = await accounts.keys.create_system_key(OPERATOR, NewApiKey(name, **more))
    return global_id("SystemApiKey", made.key.row_id)


async def present(by: Authenticator, certificate: CertificateFacts) -> Principal | None:
    return await by.authenticate(Presented((), certificate=certificate))


@pytest.mark.asvs("13.2.1")
async def test_a_mapped_certificate_is_its_service_account(
    accounts: Accounts, agent: CertificateFacts
) -> None:
    account = await make_account(accounts)
    for name in ("ingest", account):
        principal = await present(authenticator(accounts, name), agent)
        assert principal is not None
        assert principal.kind is PrincipalKind.CERTIFICATE
        assert principal.public_id == account
        assert principal.role == SYSTEM
        assert principal.may(Permission.TRACES_INGEST)
        assert not principal.may(Permission.USERS_MANAGE)
        assert not principal.is_session
        assert principal.credential_id == agent.fingerprint
        assert principal.name == f"ingest ({SUBJECT})"


async def test_it_may_what_its_account_may(accounts: Accounts, agent: CertificateFacts) -> None:
    await make_account(accounts, role=VIEWER)
    principal = await present(authenticator(accounts), agent)
    assert principal is not None
    assert principal.role == VIEWER
    assert not principal.may(Permission.TRACES_INGEST)


async def test_an_unmapped_one_has_only_opened_the_door(
    accounts: Accounts, agent: CertificateFacts
) -> None:
    await make_account(accounts)
    assert await present(authenticator(accounts, of="CN=other"), agent) is None
    assert await present(accounts.authenticator, agent) is None


@pytest.mark.parametrize("name", ["ingest", "U3lzdGVtQXBpS2V5OjE=", "VXNlcjox"])
async def test_no_such_account_is_nobody(
    accounts: Accounts, agent: CertificateFacts, name: str
) -> None:
    await accounts.add_user("ingest")
    with pytest.raises(UnauthenticatedError, match="Invalid token"):
        await present(authenticator(accounts, name), agent)


async def test_keys_of_people_are_no_service_accounts(
    accounts: Accounts, agent: CertificateFacts
) -> None:
    caller = await accounts.sign_in(await accounts.add_user(role=MEMBER))
    await accounts.keys.create_user_key(caller, NewApiKey("ingest"))
    with pytest.raises(UnauthenticatedError):
        await present(authenticator(accounts), agent)


async def test_two_accounts_of_one_name_are_nobody(
    accounts: Accounts, agent: CertificateFacts, clock: FrozenClock
) -> None:
    soon = clock.now_utc() + timedelta(hours=1)
    first = await make_account(accounts, expires_at=soon)
    await make_account(accounts)
    with pytest.raises(UnauthenticatedError):
        await present(authenticator(accounts), agent)
    assert await present(authenticator(accounts, first), agent) is not None
    clock.advance(timedelta(hours=2))
    assert await present(authenticator(accounts), agent) is not None  # one of them is over


async def test_a_second_account_of_the_name_counts_at_the_next_request(
    accounts: Accounts, agent: CertificateFacts, clock: FrozenClock
) -> None:
    await make_account(accounts, expires_at=clock.now_utc() + timedelta(hours=1))
    asked = authenticator(accounts)
    assert await present(asked, agent) is not None
    second = await make_account(accounts)
    with pytest.raises(UnauthenticatedError):
        await present(asked, agent)
    clock.advance(timedelta(hours=2))
    principal = await present(asked, agent)
    assert principal is not None
    assert principal.public_id == second


async def test_what_seems_to_have_expired_is_looked_up_anew(
    accounts: Accounts, agent: CertificateFacts, clock: FrozenClock
) -> None:
    await make_account(accounts, expires_at=clock.now_utc() + timedelta(hours=1))
    asked = authenticator(accounts)
    assert await present(asked, agent) is not None
    await accounts.database.write(lambda c: c.execute(update(api_keys).values(expires_at=None)))
    clock.advance(timedelta(hours=2))
    assert await present(asked, agent) is not None


async def test_a_deleted_account_is_gone_at_the_next_request(
    accounts: Accounts, agent: CertificateFacts
) -> None:
    account = await make_account(accounts)
    asked = authenticator(accounts)
    assert await present(asked, agent) is await present(asked, agent)  # the second from the cache
    await accounts.keys.revoke_key(OPERATOR, account, "system")
    with pytest.raises(UnauthenticatedError):
        await present(asked, agent)


async def test_a_rotated_account_goes_on_as_its_successor(
    accounts: Accounts, agent: CertificateFacts
) -> None:
    account = await make_account(accounts)
    made = await accounts.rotation.rotate_key(OPERATOR, account, "system", timedelta(hours=1))
    successor = global_id("SystemApiKey", made.key.row_id)
    for name in ("ingest", account):
        principal = await present(authenticator(accounts, name), agent)
        assert principal is not None
        assert principal.public_id == successor


async def test_it_makes_no_keys_and_counts_as_a_use(
    accounts: Accounts, agent: CertificateFacts
) -> None:
    account = await make_account(accounts, role="ADMIN")
    principal = await present(authenticator(accounts), agent)
    assert principal is not None
    with pytest.raises(DeniedError):
        await accounts.keys.create_system_key(Caller(principal), NewApiKey("another"))
    accounts.uses.note_use(principal, "192.0.2.7")
    await accounts.uses.write_uses(all_uses=True)
    (key,) = await accounts.keys.list_keys("system")
    assert global_id("SystemApiKey", key.row_id) == account
    assert key.last_used_at is not None


async def test_account_and_certificate_end_in_time(
    accounts: Accounts, agent: CertificateFacts, clock: FrozenClock
) -> None:
    await make_account(accounts, expires_at=clock.now_utc() + timedelta(hours=1))
    await make_account(accounts, "forever")
    short, long = authenticator(accounts), authenticator(accounts, "forever")
    assert await present(short, agent) is not None
    clock.advance(timedelta(hours=2))
    with pytest.raises(UnauthenticatedError, match="Expired token"):
        await present(short, agent)
    assert await present(long, agent) is not None
    clock.advance(timedelta(days=31))
    with pytest.raises(UnauthenticatedError, match="Expired token"):
        await present(long, agent)


# --- HTTP ----------------------------------------------------------------------------------


async def pass_gate(
    by: Authenticator, certificate: CertificateFacts | None, *headers: tuple[str, str]
) -> dict[str, Any]:
    """Send a request over a connection with this certificate; return the scope."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.update(scope)

    raw = [(name.encode(), value.encode()) for name, value in headers]
    scope = {"type": "http", "headers": raw, ADDRESS: "192.0.2.9", REQUEST_ID: "r1"}
    if certificate is not None:
        scope[CERTIFICATE] = certificate
    await HttpGate(app, by, ACCESS)(scope, None, None)
    return seen


async def test_over_http_a_credential_goes_before_the_certificate(
    accounts: Accounts, agent: CertificateFacts
) -> None:
    await make_account(accounts)
    by = authenticator(accounts)
    pair = await accounts.open(await accounts.add_user())
    bearer = ("authorization", f"Bearer {pair.access.reveal()}")
    cookie = ("cookie", f"{ACCESS}={pair.access.reveal()}")
    for headers, name in (((), f"ingest ({SUBJECT})"), ((bearer,), "ada"), ((cookie,), "ada")):
        scope = await pass_gate(by, agent, *headers)
        assert scope[CALLER].principal.name == name


@pytest.mark.parametrize("header", [("authorization", "Bearer x"), ("cookie", f"{ACCESS}=x")])
async def test_a_bad_credential_is_not_helped_by_a_certificate(
    accounts: Accounts, agent: CertificateFacts, header: tuple[str, str]
) -> None:
    await make_account(accounts)
    scope = await pass_gate(authenticator(accounts), agent, header)
    assert isinstance(scope[REFUSAL], UnauthenticatedError)
    assert scope[CALLER].principal == NOBODY


async def test_without_an_account_it_is_nobody_over_http(
    accounts: Accounts, agent: CertificateFacts
) -> None:
    scope = await pass_gate(authenticator(accounts, of="CN=other"), agent)
    assert scope[CALLER].principal == NOBODY
    assert REFUSAL not in scope


# --- gRPC ----------------------------------------------------------------------------------

METHOD = "/tests.Service/Call"


@pytest.fixture
async def channel(accounts: Accounts, pki: Pki) -> AsyncIterator[Any]:
    """A channel with the client certificate to a service behind the gate."""
    settings = TlsSettings(
        grpc=True,
        cert_file=pki.server.cert,
        key_file=pki.server.key,
        ca_file=pki.authority.cert,
        verify_client=True,
    )
    material = load_tls_material(settings, read_tls_files(settings), accounts.clock.now_utc())
    credentials = GrpcCertificates(lambda: material, verify_client=True).credentials()

    async def call(_request: bytes, _context: Any) -> bytes:
        return CALLER_OF_CALL.get().principal.name.encode()

    gate = GrpcGate(authenticator(accounts), SystemEntropy())
    server = grpc.aio.server(interceptors=(gate,))
    handlers = {"Call": grpc.unary_unary_rpc_method_handler(call)}
    generic = grpc.method_handlers_generic_handler("tests.Service", handlers)
    server.add_generic_rpc_handlers((generic,))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    shown = grpc.ssl_channel_credentials(
        pki.authority.cert.read_bytes(),
        pki.client.key.read_bytes(),
        pki.client.cert.read_bytes(),
    )
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", shown) as opened:
        yield opened
    await server.stop(None)


async def test_over_grpc_the_certificate_is_enough(accounts: Accounts, channel: Any) -> None:
    call = channel.unary_unary(METHOD)(b"")
    assert await call.code() is grpc.StatusCode.UNAUTHENTICATED  # no such account yet
    account = await make_account(accounts)
    assert await channel.unary_unary(METHOD)(b"") == f"ingest ({SUBJECT})".encode()
    bad = channel.unary_unary(METHOD)(b"", metadata=(("authorization", "Bearer x"),))
    assert await bad.code() is grpc.StatusCode.UNAUTHENTICATED
    await accounts.keys.revoke_key(OPERATOR, account, "system")
    call = channel.unary_unary(METHOD)(b"")
    assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
