"""Guessing of passwords is slowed down, and nobody can lock out somebody else by it.

Two counts, both kept in the database and hence for all processes together:

* per account and address: after ``PHOENIX_BRUTE_FORCE_LOGIN_PROTECTION_MAX_ATTEMPTS`` failures
  this address waits five minutes for this account. Other addresses are not concerned.
* per account, over all addresses from which it never signed in: after ten times as many failures
  such addresses get one attempt a minute together. Addresses that signed in before are spared.

What is counted is the account as typed, whether it exists or not, so that both behave alike. An
attempt is counted before its password is looked at, so that many at once do not slip through.

Spec: line 258. Source: OWASP Authentication Cheat Sheet (login throttling); NIST SP 800-63B
section 5.2.2; ASVS 5.0 V6.1.1, V6.3.1.
"""

import hmac
import unicodedata
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from sqlalchemy import Connection

from bennu.access import Caller
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.auth.lockout_store import (
    Failures,
    delete_failures,
    is_known_address,
    keep_known_address,
    lock_failures,
    read_failures,
    sweep_rows,
    write_failures,
)
from bennu.auth.settings import AuthSettings
from bennu.encryption.vault import Vault
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import TooManyError
from bennu.storage.database import Database

TOO_MANY: Final = "Too many failed login attempts. Please try again later."
KEY_PURPOSE: Final = "sign_in_failures"
ACCOUNT_FACTOR: Final = 10
#: In place of an address: the count over all addresses that the account never signed in from.
_EVERYWHERE: Final = "*"
_KNOWN_ADDRESS_MEMORY: Final = timedelta(days=180)
_MICROSECOND: Final = timedelta(microseconds=1)
_IPV6_SITE_BITS: Final = 64


class TooManyFailuresError(TooManyError):
    """This address must wait before it may try this account again."""

    code = "too_many_failures"


@dataclass(frozen=True, slots=True)
class _Rule:
    """How many failures are too many.

    Args:
        most: this many are allowed.
        block: how long the next attempt then waits.
        memory: failures are forgotten after so long without one.
        starts_anew: whether a block that is over leaves a clean sheet.
    """

    most: int
    block: timedelta
    memory: timedelta
    starts_anew: bool

    def counted(self, found: Failures, now: int) -> Failures:
        """Count one more attempt."""
        is_forgotten = now - found.last_at >= self.memory // _MICROSECOND
        is_clean = self.starts_anew and found.blocked_until is not None
        failures = 1 if is_forgotten or is_clean else found.failures + 1
        blocked_until = now + self.block // _MICROSECOND if failures >= self.most else None
        return Failures(failures, now, blocked_until)


class Lockout:
    """The count of failed sign-ins, for every way of signing in with something like a password.

    A flow calls ``admit`` before it looks at the password, and ``forgive`` in the transaction
    that opens the session.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        vault: Vault,
        audit: AuditLog,
        settings: AuthSettings,
    ) -> None:
        self._database, self._clock, self._vault, self._audit = database, clock, vault, audit
        self._is_on = settings.brute_force_protection
        most = settings.brute_force_max_attempts
        self._of_address = _Rule(
            most, timedelta(minutes=5), timedelta(minutes=15), starts_anew=True
        )
        self._of_account = _Rule(
            most * ACCOUNT_FACTOR, timedelta(minutes=1), timedelta(hours=1), starts_anew=False
        )
        self._key: bytes | None = None

    async def admit(self, account: str, caller: Caller, method: str) -> None:
        """Count an attempt as failed until ``forgive`` says otherwise, or refuse it.

        Args:
            account: as typed: an e-mail address or a user name; it need not exist.
            caller: who tries; its address counts.
            method: of signing in, for the audit record, such as ``password`` or ``ldap``.

        Raises:
            TooManyFailuresError: says how many seconds to wait; recorded.
        """
        if not self._is_on:
            return
        hashed = _hash(await self._opened_key(), account)
        address = counted_address(caller.address)
        now = to_microseconds(self._clock.now_utc())
        # Whoever must wait anyway causes no writing.
        refusal = await self._database.read(
            lambda c: self._refusal(c, hashed, address, now), tiny=True
        )
        if refusal is None:
            # A count that a power failure undoes is no harm, and every sign-in waits for it.
            refusal = await self._database.write(
                lambda c: self._count(c, hashed, address, now), is_lasting=False
            )
        if refusal is not None:
            reason, blocked_until = refusal
            event = AuditEvent(
                EventName.SIGN_IN_THROTTLED,
                Outcome.DENIED,
                reason,
                Target("user"),
                after={"method": method},
            )
            await self._audit.note(event, caller)
            wait = (blocked_until - now) / 1_000_000
            raise TooManyFailuresError(TOO_MANY, detail=reason, retry_after_seconds=wait)

    async def _opened_key(self) -> bytes:
        """Return the key under which accounts are hashed, made at the first attempt ever."""
        if self._key is None:
            vault = self._vault
            self._key = await self._database.write(lambda c: vault.purpose_key(c, KEY_PURPOSE))
        return self._key

    def _refusal(
        self, connection: Connection, account: str, address: str, now: int
    ) -> tuple[str, int] | None:
        """Return why an attempt is refused and until when, None when it is not."""
        own = read_failures(connection, account, address)
        if own.blocked_until is not None and own.blocks_at(now):
            return "address_blocked", own.blocked_until
        everywhere = read_failures(connection, account, _EVERYWHERE)
        if everywhere.blocked_until is None or not everywhere.blocks_at(now):
            return None
        if is_known_address(connection, account, address):
            return None
        return "account_throttled", everywhere.blocked_until

    def _count(
        self, connection: Connection, account: str, address: str, now: int
    ) -> tuple[str, int] | None:
        """Look again under a lock, and count the attempt when it is allowed."""
        own = lock_failures(connection, account, address)
        everywhere = lock_failures(connection, account, _EVERYWHERE)
        refusal = self._refusal(connection, account, address, now)
        if refusal is not None:
            return refusal
        write_failures(connection, account, address, self._of_address.counted(own, now))
        if not is_known_address(connection, account, address):
            counted = self._of_account.counted(everywhere, now)
            write_failures(connection, account, _EVERYWHERE, counted)
        return None

    def forgive(self, connection: Connection, account: str, caller: Caller, user_id: int) -> None:
        """Forget the failures of an account from this address, and know the address from now on.

        For a sign-in that succeeded, and for a password that was reset through a mailed link.

        Args:
            connection: of the transaction that opens the session or changes the password.
            account: as it was given to ``admit``.
            caller: who succeeded.
            user_id: row of the account.
        """
        if not self._is_on:
            return
        key = self._key or self._vault.purpose_key(connection, KEY_PURPOSE)
        hashed = _hash(key, account)
        address = counted_address(caller.address)
        own = lock_failures(connection, hashed, address)
        if not is_known_address(connection, hashed, address):
            self._take_back(connection, hashed, own.failures)
        delete_failures(connection, hashed, address)
        now = to_microseconds(self._clock.now_utc())
        keep_known_address(connection, hashed, address, user_id, now)

    async def take_back(self, account: str, caller: Caller) -> None:
        """Undo what ``admit`` counted: nobody could look at the password, so none was guessed.

        Args:
            account: as it was given to ``admit``.
            caller: who tried.
        """
        if not self._is_on:
            return
        hashed, address = _hash(await self._opened_key(), account), counted_address(caller.address)

        def work(connection: Connection) -> None:
            own = lock_failures(connection, hashed, address)
            left = max(0, own.failures - 1)
            until = own.blocked_until if left >= self._of_address.most else None
            if not is_known_address(connection, hashed, address):
                self._take_back(connection, hashed, 1)
            kept = replace(own, failures=left, blocked_until=until)
            write_failures(connection, hashed, address, kept)

        await self._database.write(work, is_lasting=False)

    def _take_back(self, connection: Connection, account: str, failures: int) -> None:
        """Take failures back out of the count of the account; the rest was somebody else's."""
        found = lock_failures(connection, account, _EVERYWHERE)
        left = found.failures - failures
        if left <= 0:
            delete_failures(connection, account, _EVERYWHERE)
            return
        is_blocked = left >= self._of_account.most
        until = found.blocked_until if is_blocked else None
        kept = replace(found, failures=left, blocked_until=until)
        write_failures(connection, account, _EVERYWHERE, kept)

    async def sweep_failures(self) -> int:
        """Delete counts that are forgotten anyway and addresses not seen for half a year."""
        now = to_microseconds(self._clock.now_utc())
        failed_before = now - self._of_account.memory // _MICROSECOND
        known_before = now - _KNOWN_ADDRESS_MEMORY // _MICROSECOND
        return await self._database.write(lambda c: sweep_rows(c, failed_before, known_before))


def _hash(key: bytes, account: str) -> str:
    return hmac.digest(key, _one_form(account).encode("utf-8", "surrogatepass"), "sha256").hex()


def _one_form(account: str) -> str:
    """Return the one form of all spellings that a directory may take for the same name."""
    return " ".join(unicodedata.normalize("NFKC", account).casefold().split())


def counted_address(address: str) -> str:
    """Return what counts as one address: IPv6 by its site, as one person has many of them."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed.packed, _IPV6_SITE_BITS), strict=False))
