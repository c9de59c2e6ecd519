"""Signing in through the directory, with accounts, sessions and the audit trail."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select, update

from bennu.auth.answer_boundary import LDAP_BOUNDARY_SECONDS, AnswerBoundary
from bennu.auth.ldap.configured import ConfiguredDirectory
from bennu.auth.ldap.flow import LdapSignIn
from bennu.auth.sessions.flow import TokenPair
from bennu.auth.sign_in_guard import SignInGuard
from bennu.kernel.clock import SystemClock
from bennu.kernel.errors import TooManyError, UnauthenticatedError, UnavailableError
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.storage.schema import audit_events, sessions, users
from fakes.accounts import STRANGER, Accounts
from fakes.directories import ldap_settings, mapped, refusing_address
from peers.slapd import GROUPS, SlapdServer

MAPPINGS = mapped(
    (f"cn=phoenix-admins,{GROUPS}", "ADMIN"), (f"cn=phoenix-users,{GROUPS}", "MEMBER")
)


class SignsIn:
    """The flow over accounts; refusals are not held back, the waits are only counted."""

    def __init__(self, accounts: Accounts, env: dict[str, str]) -> None:
        self.accounts = accounts
        self.waited: list[float] = []
        self.directory = ConfiguredDirectory(ldap_settings(env), SystemClock(), SystemEntropy())
        self.directory.start()
        boundary = AnswerBoundary(LDAP_BOUNDARY_SECONDS, accounts.clock, self._sleep)
        self.flow = LdapSignIn(
            accounts.database,
            accounts.audit,
            accounts.sessions,
            SignInGuard(accounts.lockout, boundary, "ldap"),
            self.directory,
        )

    async def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.accounts.clock.advance(seconds)

    async def sign_in(self, name: str = "alice", password: str = "alicepw") -> TokenPair:  # noqa: S107
        return await self.flow.sign_in_with_directory(STRANGER, name, Secret(password))

    async def reason(self, name: str, password: str) -> str:
        """Fail to sign in; return the reason that only the audit trail has."""
        with pytest.raises(UnauthenticatedError, match=r"^Invalid username and/or password$"):
            await self.sign_in(name, password)
        statement = select(audit_events.c.reason).order_by(audit_events.c.sequence.desc()).limit(1)
        return await self.accounts.database.read(lambda c: str(c.execute(statement).scalar_one()))


@pytest.fixture
async def signs_in(accounts: Accounts, slapd: SlapdServer) -> AsyncIterator[SignsIn]:
    made = SignsIn(accounts, slapd.env(GROUP_ROLE_MAPPINGS=MAPPINGS))
    yield made
    made.directory.stop()


async def test_a_first_sign_in_makes_an_account_and_a_session(signs_in: SignsIn) -> None:
    accounts = signs_in.accounts
    caller = await accounts.caller((await signs_in.sign_in()).access)
    assert (caller.principal.name, caller.principal.role) == ("Alice Ärger", "ADMIN")
    assert await accounts.events() == ["user.created", "auth.sign_in.succeeded"]
    again = await accounts.caller((await signs_in.sign_in("Alice")).access)
    assert again.principal.user_id == caller.principal.user_id
    methods = await accounts.database.read(
        lambda c: c.execute(select(sessions.c.auth_methods)).scalars().all()
    )
    assert methods == ['["ldap"]', '["ldap"]']
    assert signs_in.waited == []


async def test_every_refusal_reads_alike_and_is_held_until_the_boundary(signs_in: SignsIn) -> None:
    for name, password, reason in (
        ("alice", "wrong", "wrong_password"),
        ("nobody", "alicepw", "unknown_user"),
        ("carol", "carolpw", "no_mapped_group"),
        ("expired", "expiredpw", "expired"),
        ("a" * 257, "x", "impossible_name_or_password"),
        ("bob\n", "bobpw", ""),
        ("b\nob", "bobpw", "impossible_name_or_password"),
        ("bob", "bob\0pw", "impossible_name_or_password"),
        ("bob", "b" * 1025, "impossible_name_or_password"),
        ("bob\ud800", "bobpw", "impossible_name_or_password"),
    ):
        if reason:
            assert (name, await signs_in.reason(name, password)) == (name, reason)
            assert sum(signs_in.waited) == pytest.approx(LDAP_BOUNDARY_SECONDS)
            signs_in.waited.clear()
        else:
            assert await signs_in.sign_in(name, password)
        signs_in.accounts.clock.advance(60)


@pytest.mark.parametrize(("name", "password"), [("", "x"), ("  ", "x"), ("alice", "")])
async def test_something_missing_is_said_so(signs_in: SignsIn, name: str, password: str) -> None:
    with pytest.raises(UnauthenticatedError, match=r"^Username and password required$"):
        await signs_in.sign_in(name, password)


async def test_an_account_of_another_kind_is_not_taken_over(signs_in: SignsIn) -> None:
    accounts = signs_in.accounts
    bob = await accounts.add_user("bob")
    statement = update(users).where(users.c.id == bob.row_id).values(email="bob@corp.test")
    await accounts.database.write(lambda c: c.execute(statement))
    assert await signs_in.reason("bob", "bobpw") == "email_in_use"
    found = await accounts.read_user(bob)
    assert found is not None
    assert (found.auth_method, found.role) == ("LOCAL", "MEMBER")


async def test_five_wrong_passwords_make_this_address_wait(signs_in: SignsIn) -> None:
    for _ in range(5):
        await signs_in.reason("bob", "wrong")
    with pytest.raises(TooManyError):
        await signs_in.sign_in("bob", "bobpw")
    with pytest.raises(TooManyError):
        await signs_in.sign_in("BOB", "bobpw")
    assert await signs_in.sign_in("alice", "alicepw")


@pytest.mark.asvs("16.5.2")
async def test_a_directory_that_is_away_is_said_so_and_counts_nothing(
    accounts: Accounts, slapd: SlapdServer, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = refusing_address()
    away = SignsIn(accounts, slapd.env(HOST=f"{host}:{port}"))
    for _ in range(7):
        with pytest.raises(UnavailableError, match="try again later") as caught:
            await away.sign_in()
        assert caught.value.retry_after_seconds
        assert str(port) not in caught.value.public
    assert "ldap.directory.unavailable" in caplog.text
    away.directory.stop()
    back = SignsIn(accounts, slapd.env())
    assert await back.sign_in()
    back.directory.stop()


async def test_without_sign_up_strangers_stay_out(accounts: Accounts, slapd: SlapdServer) -> None:
    closed = SignsIn(accounts, slapd.env(ALLOW_SIGN_UP="false"))
    assert await closed.reason("alice", "alicepw") == "sign_in_not_allowed"
    closed.directory.stop()
