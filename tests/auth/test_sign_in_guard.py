"""Lock-out and boundary together, as a way of signing in uses them."""

import pytest
from sqlalchemy import select

from bennu.auth.answer_boundary import AnswerBoundary
from bennu.auth.lockout import TooManyFailuresError
from bennu.auth.sign_in_guard import SignInGuard, UncheckedPasswordError
from bennu.kernel.errors import UnauthenticatedError, UnavailableError
from bennu.storage.schema import audit_events
from fakes.accounts import STRANGER, Accounts


def guard_of(accounts: Accounts, method: str) -> SignInGuard:
    boundary = AnswerBoundary(1.0, accounts.clock, accounts.pass_time)
    return SignInGuard(accounts.lockout, boundary, method)


async def fail(guard: SignInGuard, account: str = "ada") -> None:
    with pytest.raises(UnauthenticatedError):
        async with guard.attempt(account, STRANGER):
            raise UnauthenticatedError("no")


@pytest.mark.asvs("6.3.4")
async def test_ways_of_signing_in_share_one_count_and_each_has_its_boundary(
    accounts: Accounts,
) -> None:
    local, ldap = guard_of(accounts, "password"), guard_of(accounts, "ldap")
    began = accounts.clock.monotonic_seconds()
    for guard in (local, ldap, local, ldap, local):
        await fail(guard)
    assert accounts.clock.monotonic_seconds() - began == pytest.approx(5.0)
    ran = False
    with pytest.raises(TooManyFailuresError):
        async with guard_of(accounts, "ldap").attempt("ADA ", STRANGER):
            ran = True
    assert not ran
    assert accounts.clock.monotonic_seconds() - began == pytest.approx(6.0)
    found = await accounts.database.read(
        lambda c: c.execute(select(audit_events.c.event, audit_events.c.after)).one()
    )
    assert tuple(found) == ("auth.sign_in.throttled", '{"method":"ldap"}')


async def test_what_is_forgiven_is_not_counted(accounts: Accounts) -> None:
    guard = guard_of(accounts, "password")
    ada = await accounts.add_user()
    for _ in range(4):
        await fail(guard)
    async with guard.attempt("ada", STRANGER):
        await accounts.database.write(lambda c: guard.forgive(c, "ada", STRANGER, ada.row_id))
    for _ in range(5):
        await fail(guard)


async def test_a_password_that_nobody_could_look_at_is_no_failure(accounts: Accounts) -> None:
    guard = guard_of(accounts, "password")
    for _ in range(7):
        with pytest.raises(UncheckedPasswordError):
            async with guard.attempt("ada", STRANGER):
                raise UncheckedPasswordError("busy")
    for _ in range(5):
        await fail(guard)


async def test_what_fails_after_the_look_stays_counted(accounts: Accounts) -> None:
    guard = guard_of(accounts, "password")
    for _ in range(5):
        with pytest.raises(UnavailableError):
            async with guard.attempt("ada", STRANGER):
                raise UnavailableError("the guess could not be recorded")
    with pytest.raises(TooManyFailuresError):
        async with guard.attempt("ada", STRANGER):
            pass
