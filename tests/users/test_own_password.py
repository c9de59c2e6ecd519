"""Guessing one's own password with a stolen session counts as guessing at the sign-in does."""

from typing import Any

import pytest
from sqlalchemy import select

from bennu.access import Caller
from bennu.auth.lockout import TooManyFailuresError
from bennu.kernel.errors import ConflictError, MalformedError, SchemaError
from bennu.kernel.secret import Secret
from bennu.storage.schema import audit_events
from bennu.users.model import UserChange
from bennu.users.own_password import WRONG_CURRENT_PASSWORD
from fakes.accounts import PASSWORD, Accounts

NEW = Secret("quite another battery")
WRONG = Secret("another horse battery")


async def change(accounts: Accounts, caller: Caller, current: Secret | None) -> None:
    await accounts.users.change_own_account(caller, current, UserChange(password=NEW))


async def guess(accounts: Accounts, caller: Caller, times: int) -> None:
    for _ in range(times):
        with pytest.raises(MalformedError, match=f"^{WRONG_CURRENT_PASSWORD}$"):
            await change(accounts, caller, WRONG)


async def records(accounts: Accounts) -> list[tuple[Any, ...]]:
    columns = audit_events.c
    found = select(columns.event, columns.outcome, columns.reason, columns.target_kind)
    return await accounts.database.read(
        lambda c: [tuple(row) for row in c.execute(found.order_by(columns.sequence))]
    )


async def test_too_many_guesses_are_refused_whatever_the_password(accounts: Accounts) -> None:
    caller = await accounts.sign_in(await accounts.add_user(password=PASSWORD))
    await guess(accounts, caller, 5)
    with pytest.raises(TooManyFailuresError) as refused:
        await change(accounts, caller, PASSWORD)
    assert refused.value.retry_after_seconds == pytest.approx(300, abs=2)
    with pytest.raises(TooManyFailuresError):
        await accounts.local.sign_in_with_password(caller, "ada@example.com", PASSWORD)
    accounts.clock.advance(301)
    await change(accounts, caller, PASSWORD)


async def test_each_guess_is_recorded(accounts: Accounts) -> None:
    caller = await accounts.sign_in(await accounts.add_user(password=PASSWORD))
    await guess(accounts, caller, 2)
    wrong = ("auth.password.changed", "failed", "wrong_current_password", "user")
    assert await records(accounts) == [wrong, wrong]


async def test_guesses_over_http_are_refused_too(accounts: Accounts) -> None:
    token = (await accounts.open(await accounts.add_user(password=PASSWORD))).access
    body = {"current_password": WRONG.reveal(), "password": NEW.reveal()}
    async with accounts.client(token) as client:
        answers = [await client.patch("/v1/user", json=body) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [400] * 5 + [429]
    assert answers[0].text == WRONG_CURRENT_PASSWORD
    assert int(answers[5].headers["retry-after"]) > 200


async def test_the_right_password_clears_the_count_even_with_a_weak_new_one(
    accounts: Accounts,
) -> None:
    caller = await accounts.sign_in(await accounts.add_user(password=PASSWORD))
    await guess(accounts, caller, 4)
    for _ in range(6):
        with pytest.raises(SchemaError):
            await accounts.users.change_own_account(
                caller, PASSWORD, UserChange(password=Secret("short"))
            )
    await guess(accounts, caller, 4)
    await change(accounts, caller, PASSWORD)


async def test_a_missing_password_is_no_guess(accounts: Accounts) -> None:
    caller = await accounts.sign_in(await accounts.add_user(password=PASSWORD))
    for _ in range(6):
        with pytest.raises(MalformedError, match=f"^{WRONG_CURRENT_PASSWORD}$"):
            await change(accounts, caller, None)
    assert await records(accounts) == []
    await change(accounts, caller, PASSWORD)


async def test_an_account_of_elsewhere_has_none(accounts: Accounts) -> None:
    caller = await accounts.sign_in(await accounts.add_user(auth_method="LDAP"))
    with pytest.raises(ConflictError):
        await change(accounts, caller, WRONG)
