"""The count of failed sign-ins: guessing gets slow, and nobody locks out anybody else."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import select

from bennu.access import Caller
from bennu.auth.lockout import ACCOUNT_FACTOR, Lockout, TooManyFailuresError, counted_address
from bennu.encryption.vault import Vault
from bennu.kernel.ids import SystemEntropy
from bennu.storage.database import Database
from bennu.storage.schema import known_addresses, sign_in_failures
from fakes.accounts import CIPHER, SETTINGS, STRANGER, Accounts

ATTACKER = "203.0.113.9"
MOST = SETTINGS.brute_force_max_attempts


def at(address: str) -> Caller:
    return replace(STRANGER, address=address)


async def tries(accounts: Accounts, count: int, address: str, account: str = "ada") -> int:
    """Try so often; return how many tries were let through to the password."""
    admitted = 0
    for _ in range(count):
        try:
            await accounts.lockout.admit(account, at(address), "password")
            admitted += 1
        except TooManyFailuresError:
            pass
    return admitted


async def succeed(accounts: Accounts, address: str, user_id: int, account: str = "ada") -> None:
    await accounts.lockout.admit(account, at(address), "password")
    await accounts.database.write(
        lambda c: accounts.lockout.forgive(c, account, at(address), user_id)
    )


async def wait_of(accounts: Accounts, address: str, account: str = "ada") -> float:
    with pytest.raises(TooManyFailuresError) as refused:
        await accounts.lockout.admit(account, at(address), "password")
    return refused.value.retry_after_seconds or 0


@pytest.mark.asvs("2.3.2", "6.3.1")
async def test_one_address_gets_five_tries_and_waits_five_minutes(accounts: Accounts) -> None:
    assert await tries(accounts, 2 * MOST, ATTACKER) == MOST
    assert await wait_of(accounts, ATTACKER) == pytest.approx(300)
    accounts.clock.advance(299)
    assert await wait_of(accounts, ATTACKER) == pytest.approx(1)
    accounts.clock.advance(1)
    assert await tries(accounts, 2 * MOST, ATTACKER) == MOST


@pytest.mark.asvs("6.3.1")
async def test_nobody_locks_out_somebody_else(accounts: Accounts) -> None:
    await tries(accounts, 2 * MOST, ATTACKER)
    assert await tries(accounts, MOST, "192.0.2.7") == MOST
    assert await tries(accounts, MOST, ATTACKER, "bob") == MOST


async def test_failures_far_apart_do_not_add_up(accounts: Accounts) -> None:
    for _ in range(3 * MOST):
        assert await tries(accounts, 1, ATTACKER) == 1
        accounts.clock.advance(15 * 60)


async def test_many_at_once_do_not_slip_through(accounts: Accounts) -> None:
    found = await asyncio.gather(*(tries(accounts, 1, ATTACKER) for _ in range(4 * MOST)))
    assert sum(found) == MOST


async def test_two_processes_count_together(accounts: Accounts, database: Database) -> None:
    vault = Vault(CIPHER, accounts.clock, SystemEntropy())
    other = Lockout(database, accounts.clock, vault, accounts.audit, SETTINGS)
    assert await tries(accounts, MOST, ATTACKER) == MOST
    with pytest.raises(TooManyFailuresError):
        await other.admit("ada", at(ATTACKER), "password")


@pytest.mark.asvs("6.3.1")
async def test_many_addresses_together_get_slow_and_known_ones_are_spared(
    accounts: Accounts,
) -> None:
    ada = await accounts.add_user()
    await succeed(accounts, "192.0.2.7", ada.row_id)
    admitted = [await tries(accounts, 1, f"203.0.113.{n}") for n in range(100)]
    assert sum(admitted) == MOST * ACCOUNT_FACTOR
    assert await wait_of(accounts, "198.51.100.1") == pytest.approx(60)
    # One try a minute for all of them together.
    for minute in range(5):
        accounts.clock.advance(60)
        assert await tries(accounts, 1, f"198.51.100.{minute}") == 1
        assert await tries(accounts, 1, "198.51.100.99") == 0
    assert await tries(accounts, MOST, "192.0.2.7") == MOST
    accounts.clock.advance(3600)
    assert await tries(accounts, 1, "198.51.100.99") == 1


async def test_a_success_takes_back_only_its_own_failures(accounts: Accounts) -> None:
    ada = await accounts.add_user()
    for n in range(MOST * ACCOUNT_FACTOR - 2):
        await tries(accounts, 1, f"203.0.113.{n}")
    # The last but one of all, and right.
    await succeed(accounts, "192.0.2.7", ada.row_id)
    assert await tries(accounts, 1, "198.51.100.1") == 1
    assert await tries(accounts, 1, "198.51.100.2") == 1
    assert await tries(accounts, 1, "198.51.100.3") == 0
    assert await tries(accounts, 1, "192.0.2.7") == 1


async def test_a_success_alone_leaves_no_count(accounts: Accounts) -> None:
    ada = await accounts.add_user()
    await tries(accounts, MOST - 1, "192.0.2.7")
    await succeed(accounts, "192.0.2.7", ada.row_id)
    rows = await accounts.database.read(lambda c: c.execute(select(sign_in_failures)).all())
    assert rows == []


async def test_an_account_that_does_not_exist_behaves_alike(accounts: Accounts) -> None:
    ada = await accounts.add_user()
    seen = {}
    for account in (ada.email or "", "nobody@example.com"):
        counts = [await tries(accounts, MOST + 1, ATTACKER, account)]
        counts += [await tries(accounts, 1, f"203.0.112.{n}", account) for n in range(60)]
        seen[account] = (counts, await wait_of(accounts, ATTACKER, account))
    assert len(set(map(str, seen.values()))) == 1


@pytest.mark.parametrize("spelling", ["ADA", " ada ", "a\uff44a", "Ada"])
async def test_another_spelling_is_the_same_account(accounts: Accounts, spelling: str) -> None:
    await tries(accounts, MOST, ATTACKER)
    assert await tries(accounts, 1, ATTACKER, spelling) == 0


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_what_counts_as_one_address(address: str, counted: str) -> None:
    assert counted_address(address) == counted


async def test_one_ipv6_site_is_one_address(accounts: Accounts) -> None:
    admitted = [await tries(accounts, 1, f"2001:db8:1:2::{n:x}") for n in range(2 * MOST)]
    assert sum(admitted) == MOST


async def test_what_was_typed_is_not_kept(accounts: Accounts) -> None:
    await tries(accounts, 1, ATTACKER, "my-Password-in-the-wrong-field")
    rows = await accounts.database.read(lambda c: c.execute(select(sign_in_failures)).all())
    assert len(rows) == 2
    assert "password" not in str(rows).lower()
    # Hashed under a key of this database: a list of known addresses does not open it.
    assert len({row.account for row in rows}) == 1
    assert len(rows[0].account) == 64


async def test_what_is_forgotten_is_swept(accounts: Accounts) -> None:
    ada = await accounts.add_user()
    await succeed(accounts, "192.0.2.7", ada.row_id)
    await tries(accounts, 1, ATTACKER)
    assert await accounts.lockout.sweep_failures() == 0
    accounts.clock.advance(3601)
    assert await accounts.lockout.sweep_failures() == 2
    accounts.clock.advance(181 * 86_400)
    assert await accounts.lockout.sweep_failures() == 1
    rows = await accounts.database.read(lambda c: c.execute(select(known_addresses)).all())
    assert rows == []


async def test_it_can_be_switched_off(accounts: Accounts, database: Database) -> None:
    settings = replace(SETTINGS, brute_force_protection=False)
    off = Lockout(database, accounts.clock, accounts.vault, accounts.audit, settings)
    ada = await accounts.add_user()
    for _ in range(3 * MOST):
        await off.admit("ada", at(ATTACKER), "password")
    await database.write(lambda c: off.forgive(c, "ada", at(ATTACKER), ada.row_id))
    rows = await database.read(lambda c: c.execute(select(sign_in_failures)).all())
    assert rows == []
    assert await accounts.events() == []


@pytest.mark.asvs("16.3.3")
async def test_being_throttled_is_recorded_once_a_minute(accounts: Accounts) -> None:
    await tries(accounts, 4 * MOST, ATTACKER)
    assert await accounts.events() == ["auth.sign_in.throttled"]
    await accounts.audit.flush_folded(all_bursts=True)
    assert len(await accounts.events()) == 2


async def test_an_attempt_that_nobody_could_look_at_does_not_count(accounts: Accounts) -> None:
    for _ in range(3 * MOST):
        assert await tries(accounts, 1, ATTACKER) == 1
        await accounts.lockout.take_back("ada", at(ATTACKER))
    assert await tries(accounts, 2 * MOST, ATTACKER) == MOST
    await accounts.lockout.take_back("ada", at(ATTACKER))
    assert await tries(accounts, 2, ATTACKER) == 1
    # Of the count over all addresses only one's own attempts are taken back.
    for number in range(ACCOUNT_FACTOR):
        await tries(accounts, MOST, f"192.0.2.{number}")
    assert await tries(accounts, 1, "198.51.100.1") == 0
