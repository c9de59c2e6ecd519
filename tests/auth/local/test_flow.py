"""Signing in with a password."""

import hashlib
import time
from datetime import timedelta
from statistics import median

import pytest
from sqlalchemy import delete, update

from bennu.auth.answer_boundary import LOCAL_BOUNDARY_SECONDS
from bennu.auth.local.flow import LocalSignIn
from bennu.auth.local.passwords import Passwords
from bennu.auth.lockout import TOO_MANY, TooManyFailuresError
from bennu.auth.sessions.flow import TokenPair
from bennu.auth.sign_in_guard import UncheckedPasswordError
from bennu.kernel.errors import UnauthenticatedError
from bennu.kernel.secret import Secret
from bennu.storage.schema import audit_events, credentials, sessions, users
from bennu.users.model import User
from fakes.accounts import CIPHER, PASSWORD, STRANGER, Accounts

WRONG = Secret("another horse battery")


async def sign_in(
    accounts: Accounts, email: str = "ada@example.com", password: Secret = PASSWORD
) -> TokenPair:
    return await accounts.local.sign_in_with_password(STRANGER, email, password)


async def reason_of_refusal(accounts: Accounts, email: str, password: Secret) -> str:
    """Fail to sign in; return the reason that only the audit trail has."""
    with pytest.raises(UnauthenticatedError, match=r"^Invalid email and/or password$"):
        await sign_in(accounts, email, password)
    rows = await accounts.database.write(
        lambda c: c.execute(delete(audit_events).returning(audit_events.c.reason)).scalars().all()
    )
    assert len(rows) == 1
    return str(rows[0])


async def test_a_password_opens_a_session(accounts: Accounts) -> None:
    ada = await accounts.add_user(password=PASSWORD)
    pair = await sign_in(accounts, "  ADA@example.COM ")
    caller = await accounts.caller(pair.access)
    assert caller.principal.user_id == ada.row_id
    assert await accounts.events() == ["auth.sign_in.succeeded"]
    row = await accounts.database.read(
        lambda c: c.execute(
            sessions.select().with_only_columns(sessions.c.address, sessions.c.user_agent)
        ).one()
    )
    assert tuple(row) == (STRANGER.address, STRANGER.user_agent)


@pytest.mark.parametrize(
    ("email", "password"), [("", PASSWORD), ("  ", PASSWORD), ("ada@example.com", Secret(""))]
)
async def test_something_missing_is_said_so(
    accounts: Accounts, email: str, password: Secret
) -> None:
    with pytest.raises(UnauthenticatedError, match=r"^Email and password required$"):
        await sign_in(accounts, email, password)


@pytest.mark.asvs("16.3.1")
async def test_every_failure_reads_alike_and_only_the_trail_knows(accounts: Accounts) -> None:
    await accounts.add_user("ada", password=PASSWORD)
    await accounts.add_user("idle", password=PASSWORD, active=False)
    await accounts.add_user("system", "SYSTEM")
    await accounts.add_user("remote", auth_method="LDAP")
    for name, password, reason in (
        ("nobody", PASSWORD, "unknown_user"),
        ("ada", WRONG, "wrong_password"),
        ("idle", PASSWORD, "deactivated"),
        ("idle", WRONG, "wrong_password"),
        ("system", PASSWORD, "no_password_here"),
        ("remote", PASSWORD, "no_password_here"),
    ):
        found = await reason_of_refusal(accounts, f"{name}@example.com", password)
        assert (name, found) == (name, reason)
    assert await accounts.database.read(lambda c: c.execute(sessions.select()).first()) is None


async def test_no_failure_is_answered_before_the_boundary(accounts: Accounts) -> None:
    await accounts.add_user("ada", password=PASSWORD)
    await accounts.add_user("idle", password=PASSWORD, active=False)
    for email, password in (
        ("nobody@example.com", PASSWORD),
        ("ada@example.com", WRONG),
        ("idle@example.com", PASSWORD),
    ):
        began = accounts.clock.monotonic_seconds()
        with pytest.raises(UnauthenticatedError):
            await sign_in(accounts, email, password)
        assert accounts.clock.monotonic_seconds() - began == pytest.approx(LOCAL_BOUNDARY_SECONDS)


async def test_a_success_is_answered_at_once(accounts: Accounts) -> None:
    await accounts.add_user(password=PASSWORD)
    began = accounts.clock.monotonic_seconds()
    await sign_in(accounts)
    assert accounts.clock.monotonic_seconds() == began


async def test_too_many_failures_are_refused_whatever_the_password(accounts: Accounts) -> None:
    await accounts.add_user(password=PASSWORD)
    for email in ("ada@example.com", "nobody@example.com"):
        for _ in range(5):
            with pytest.raises(UnauthenticatedError):
                await sign_in(accounts, email, WRONG)
        with pytest.raises(TooManyFailuresError, match=f"^{TOO_MANY}$") as refused:
            await sign_in(accounts, email, PASSWORD)
        assert refused.value.retry_after_seconds == pytest.approx(300, abs=1)
    accounts.clock.advance(300)
    assert await accounts.works((await sign_in(accounts)).access)


class Busy(Passwords):
    """Too many wait for it."""

    async def matches(self, password: Secret, known: str | None) -> bool:
        raise UncheckedPasswordError(f"busy with {password} and {known is None}")


async def test_a_full_line_in_front_of_the_hashes_locks_nobody_out(accounts: Accounts) -> None:
    await accounts.add_user(password=PASSWORD)
    busy = Busy(accounts.settings, frozenset())
    local = LocalSignIn(
        accounts.database, CIPHER, accounts.audit, busy, accounts.sessions, accounts.guard
    )
    for _ in range(6):
        with pytest.raises(UncheckedPasswordError):
            await local.sign_in_with_password(STRANGER, "ada@example.com", PASSWORD)
    busy.stop()
    await sign_in(accounts)


async def test_a_success_forgets_the_failures_before_it(accounts: Accounts) -> None:
    await accounts.add_user(password=PASSWORD)
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(UnauthenticatedError):
                await sign_in(accounts, password=WRONG)
        await sign_in(accounts)


async def test_an_unknown_user_costs_the_same_work(accounts: Accounts) -> None:
    known = await accounts.passwords.hash(PASSWORD)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(5):
        for is_known in (True, False):
            began = time.perf_counter()
            assert not await accounts.passwords.matches(WRONG, known if is_known else None)
            seconds[is_known].append(time.perf_counter() - began)
    assert median(seconds[False]) > median(seconds[True]) / 2


@pytest.mark.asvs("11.2.2")
async def test_an_imported_hash_is_accepted_and_renewed(accounts: Accounts) -> None:
    salt = bytes(range(32))
    digest = hashlib.pbkdf2_hmac("sha256", PASSWORD.reveal().encode(), salt, 10_000)
    ada = await accounts.add_user(password=f"pbkdf2${salt.hex()}${digest.hex()}")
    await sign_in(accounts)
    renewed = await accounts.read_user(ada)
    assert renewed is not None
    assert renewed.password_hash is not None
    assert CIPHER.open(renewed.password_hash).startswith(b"$argon2id$")
    await sign_in(accounts)
    assert await accounts.read_user(ada) == renewed


class MeanwhilePasswords(Passwords):
    """Something happens to the account while its password is being checked."""

    def __init__(self, accounts: Accounts, ada: User, **values: object) -> None:
        super().__init__(accounts.settings, frozenset())
        self._accounts, self._ada, self._values = accounts, ada, values

    async def matches(self, password: Secret, known: str | None) -> bool:
        found = await super().matches(password, known)
        statement = update(users).where(users.c.id == self._ada.row_id).values(**self._values)
        await self._accounts.database.write(lambda c: c.execute(statement))
        return found


async def test_a_deactivation_during_the_check_wins(accounts: Accounts) -> None:
    ada = await accounts.add_user(password=PASSWORD)
    accounts.local._passwords = MeanwhilePasswords(accounts, ada, active=False)  # noqa: SLF001
    assert await reason_of_refusal(accounts, "ada@example.com", PASSWORD) == "deactivated"
    assert await accounts.database.read(lambda c: c.execute(credentials.select()).first()) is None


async def test_a_new_password_during_the_check_wins(accounts: Accounts) -> None:
    ada = await accounts.add_user(password=PASSWORD)
    changed = CIPHER.seal(await accounts.passwords.hash(WRONG))
    accounts.local._passwords = MeanwhilePasswords(  # noqa: SLF001
        accounts, ada, password_hash=changed
    )
    assert await reason_of_refusal(accounts, "ada@example.com", PASSWORD) == "wrong_password"
    assert await accounts.database.read(lambda c: c.execute(credentials.select()).first()) is None


async def test_a_hash_sealed_anew_during_the_check_does_no_harm(accounts: Accounts) -> None:
    known = await accounts.passwords.hash(PASSWORD)
    ada = await accounts.add_user(password=known)
    again = MeanwhilePasswords(accounts, ada, password_hash=CIPHER.seal(known))
    accounts.local._passwords = again  # noqa: SLF001
    assert await accounts.works((await sign_in(accounts)).access)


@pytest.mark.asvs("7.2.4")
async def test_signing_in_again_ends_the_session_that_asked(accounts: Accounts) -> None:
    ada = await accounts.add_user(password=PASSWORD)
    left, elsewhere = (await accounts.open(ada)).access, (await accounts.open(ada)).access
    caller = await accounts.caller(left)
    pair = await accounts.local.sign_in_with_password(caller, "ada@example.com", PASSWORD)
    assert pair.access != left
    assert await accounts.works(pair.access)
    assert not await accounts.works(left)
    assert await accounts.works(elsewhere)
    assert await accounts.events() == ["auth.session.ended", "auth.sign_in.succeeded"]
    caller = await accounts.caller(pair.access)
    with pytest.raises(UnauthenticatedError):
        await accounts.local.sign_in_with_password(caller, "ada@example.com", WRONG)
    assert await accounts.works(pair.access)


@pytest.mark.asvs("6.2.10")
async def test_a_password_does_not_grow_old(accounts: Accounts) -> None:
    await accounts.add_user(password=PASSWORD)
    accounts.clock.advance(timedelta(days=3_650))
    caller = await accounts.caller((await sign_in(accounts)).access)
    assert not caller.principal.must_change_password
