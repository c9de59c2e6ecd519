"""From what a request presents to who is calling."""

import zlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwk, jwt
from sqlalchemy import delete, update

from bennu.access import ADMIN, BUILT_IN_ROLES, Permission, PrincipalKind
from bennu.auth.api_keys.flow import NewApiKey
from bennu.auth.authenticate import Authenticator, Presented
from bennu.auth.credential import CredentialKind, _base62, make_credential, parse_credential
from bennu.auth.sessions.store import insert_credential
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import MalformedError, UnauthenticatedError
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.schema import credentials, users
from bennu.storage.settings import StorageSettings
from bennu.users.model import UserChange
from fakes.accounts import (
    ADMIN_SECRET,
    CIPHER,
    OPERATOR,
    SETTINGS,
    Accounts,
    started_accounts,
)
from fakes.clock import FrozenClock
from fakes.entropy import RepeatableEntropy


def bearer(token: Secret, scheme: str = "Bearer") -> Presented:
    return Presented((f"{scheme} {token.reveal()}",))


async def test_nothing_presented_is_nobody(accounts: Accounts) -> None:
    assert await accounts.authenticator.authenticate(Presented(())) is None


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_the_scheme_is_read_in_any_case(accounts: Accounts, scheme: str) -> None:
    pair = await accounts.open(await accounts.add_user())
    found = await accounts.authenticator.authenticate(bearer(pair.access, scheme))
    assert found is not None
    assert (found.kind, found.name, found.role) == (PrincipalKind.USER, "ada", "MEMBER")
    assert found.permissions == BUILT_IN_ROLES["MEMBER"]
    assert found.is_session


async def test_a_cookie_does_where_there_is_no_header(accounts: Accounts) -> None:
    pair = await accounts.open(await accounts.add_user())
    presented = Presented((), pair.access.reveal())
    found = await accounts.authenticator.authenticate(presented)
    assert found is not None
    assert found.is_session


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token x", "Bearer bnu_at_x"]
)
async def test_a_bad_header_is_not_helped_by_a_good_cookie(accounts: Accounts, header: str) -> None:
    pair = await accounts.open(await accounts.add_user())
    with pytest.raises(UnauthenticatedError, match="Invalid token"):
        await accounts.authenticator.authenticate(Presented((header,), pair.access.reveal()))


async def test_a_bare_token_is_refused(accounts: Accounts) -> None:
    pair = await accounts.open(await accounts.add_user())
    with pytest.raises(UnauthenticatedError, match="Invalid token"):
        await accounts.authenticator.authenticate(Presented((pair.access.reveal(),)))


async def test_two_headers_are_refused_even_if_both_are_good(accounts: Accounts) -> None:
    pair = await accounts.open(await accounts.add_user())
    header = f"Bearer {pair.access.reveal()}"
    with pytest.raises(MalformedError):
        await accounts.authenticator.authenticate(Presented((header, header)))


@pytest.mark.asvs("9.2.2")
async def test_refresh_and_reset_credentials_open_nothing(accounts: Accounts) -> None:
    user = await accounts.add_user()
    pair = await accounts.open(user)
    reset = make_credential(CredentialKind.RESET, SystemEntropy())
    now = to_microseconds(accounts.clock.now_utc())
    values = {"user_id": user.row_id, "created_at": now, "expires_at": now + 10**9}
    digest = CIPHER.seal(reset.digest)
    await accounts.database.write(lambda c: insert_credential(c, reset, digest, values))
    for token in (pair.refresh, reset.text):
        with pytest.raises(UnauthenticatedError, match="Invalid token"):
            await accounts.authenticator.authenticate(bearer(token))


async def test_a_known_id_with_another_secret_is_refused(accounts: Accounts) -> None:
    pair = await accounts.open(await accounts.add_user())
    other = make_credential(CredentialKind.ACCESS, SystemEntropy())
    lookup = pair.access.reveal().split("_")[2]
    await accounts.database.write(
        lambda c: c.execute(
            update(credentials).where(credentials.c.lookup == lookup).values(lookup=other.lookup)
        )
    )
    with pytest.raises(UnauthenticatedError, match="Invalid token"):
        await accounts.authenticator.authenticate(bearer(other.text))


async def test_the_admin_secret_acts_for_the_system_user(accounts: Accounts) -> None:
    system = await accounts.add_user("system", "SYSTEM")
    found = await accounts.authenticator.authenticate(bearer(ADMIN_SECRET))
    assert found is not None
    assert (found.kind, found.role) == (PrincipalKind.ADMIN_SECRET, ADMIN)
    assert found.permissions == BUILT_IN_ROLES[ADMIN]
    assert not found.is_session
    assert found.user_id is None
    assert (await accounts.users.own_account(replace(OPERATOR, principal=found))) == system
    almost = Secret(ADMIN_SECRET.reveal() + "0")
    assert not await accounts.works(almost)


async def test_without_an_admin_secret_none_is_accepted(
    database: Database, clock: FrozenClock
) -> None:
    settings = replace(SETTINGS, admin_secret=None)
    accounts = await started_accounts(database, clock, settings)
    assert not await accounts.works(ADMIN_SECRET)
    assert not await accounts.works(Secret(""))


@pytest.mark.asvs("10.3.2")
async def test_a_user_key_acts_as_its_owner_live(accounts: Accounts) -> None:
    ada = await accounts.add_user(role="ADMIN")
    caller = await accounts.sign_in(ada)
    wide = (await accounts.keys.create_user_key(caller, NewApiKey("wide"))).text
    wanted = (str(Permission.USERS_READ), str(Permission.TRACES_READ))
    narrow = (await accounts.keys.create_user_key(caller, NewApiKey("n", permissions=wanted))).text
    assert (await accounts.caller(wide)).principal.permissions == BUILT_IN_ROLES["ADMIN"]
    assert (await accounts.caller(narrow)).principal.permissions == {
        Permission.USERS_READ,
        Permission.TRACES_READ,
    }
    await accounts.add_user("another", "ADMIN")
    identifier = (await accounts.caller(wide)).principal.public_id
    await accounts.users.change_user(OPERATOR, identifier, UserChange(role="VIEWER"))
    assert (await accounts.caller(wide)).principal.permissions == BUILT_IN_ROLES["VIEWER"]
    assert (await accounts.caller(narrow)).principal.permissions == {Permission.TRACES_READ}
    await accounts.users.change_user(OPERATOR, identifier, UserChange(active=False))
    assert not await accounts.works(wide)
    await accounts.users.change_user(OPERATOR, identifier, UserChange(active=True))
    assert await accounts.works(wide)
    await accounts.users.delete_user(OPERATOR, identifier)
    assert not await accounts.works(wide)
    assert not await accounts.works(narrow)


async def test_a_key_ends_on_time_also_from_the_cache(accounts: Accounts) -> None:
    caller = await accounts.sign_in(await accounts.add_user())
    ends = accounts.clock.now_utc() + timedelta(hours=1)
    key = (await accounts.keys.create_user_key(caller, NewApiKey("k", expires_at=ends))).text
    assert await accounts.works(key)
    accounts.clock.advance(timedelta(hours=1))
    with pytest.raises(UnauthenticatedError, match="Expired token"):
        await accounts.caller(key)


async def test_the_lock_of_a_first_password_holds_for_sessions_only(accounts: Accounts) -> None:
    ada = await accounts.add_user()
    caller = await accounts.sign_in(ada)
    key = (await accounts.keys.create_user_key(caller, NewApiKey("k"))).text
    await accounts.database.write(
        lambda c: c.execute(update(users).values(password_needs_reset=True))
    )
    assert (await accounts.sign_in(ada)).principal.must_change_password
    assert not (await accounts.caller(key)).principal.must_change_password


async def test_the_lock_can_be_switched_off(database: Database, clock: FrozenClock) -> None:
    settings = replace(SETTINGS, enforce_password_reset=False)
    accounts = await started_accounts(database, clock, settings)
    caller = await accounts.sign_in(await accounts.add_user(must_change=True))
    assert not caller.principal.must_change_password


@pytest.mark.asvs("14.2.2")
async def test_what_was_verified_holds_for_its_epoch_only(accounts: Accounts) -> None:
    """The row goes without moving the epoch: only a cache can still know the credential."""
    pair = await accounts.open(await accounts.add_user())
    assert await accounts.works(pair.access)
    await accounts.database.write(lambda c: c.execute(delete(credentials)))
    assert await accounts.works(pair.access)
    caller = await accounts.caller(pair.access)
    await accounts.sessions.end_own_session(caller, "")
    assert not await accounts.works(pair.access)


@pytest.mark.asvs("7.2.1")
async def test_another_process_sees_a_change_on_its_next_request(
    storage_settings: StorageSettings, accounts: Accounts
) -> None:
    second = Database(storage_settings, accounts.clock)
    await second.start()
    try:
        there = Authenticator(second, accounts.clock, CIPHER, SETTINGS)
        pair = await accounts.open(await accounts.add_user())
        assert await there.authenticate(bearer(pair.access)) is not None
        await accounts.sessions.end_own_session(await accounts.caller(pair.access), "")
        with pytest.raises(UnauthenticatedError):
            await there.authenticate(bearer(pair.access))
    finally:
        await second.stop()


async def test_garbage_costs_no_query(accounts: Accounts) -> None:
    closed = Database(StorageSettings(Path()), accounts.clock)
    stopped = Authenticator(closed, accounts.clock, CIPHER, SETTINGS)
    with pytest.raises(UnauthenticatedError):
        await stopped.authenticate(Presented(("Bearer garbage",)))


@given(st.text(max_size=200))
async def test_any_text_raises_only_its_own_error(text: str) -> None:
    clock = FrozenClock()
    closed = Database(StorageSettings(Path()), clock)
    authenticator = Authenticator(closed, clock, CIPHER, SETTINGS)
    for presented in (
        Presented((text,)),
        Presented((f"Bearer {text}",)),
        Presented((), text or "x"),
    ):
        with pytest.raises(UnauthenticatedError):
            await authenticator.authenticate(presented)


async def refused(accounts: Accounts, header: bytes) -> bool:
    """Whether a header is refused with an error of its own; anything else is a defect."""
    presented = Presented((f"Bearer {header.decode('latin-1')}",))
    try:
        await accounts.authenticator.authenticate(presented)
    except UnauthenticatedError:
        return True
    return False


@pytest.mark.asvs("7.2.1")
async def test_one_flipped_bit_anywhere_in_a_good_credential_is_refused(
    accounts: Accounts,
) -> None:
    session = await accounts.sign_in(await accounts.add_user())
    key = await accounts.keys.create_user_key(session, NewApiKey("key"))
    system = await accounts.keys.create_system_key(OPERATOR, NewApiKey("key"))
    pair = await accounts.open(await accounts.add_user("bob"))
    for text in (key.text, system.text, pair.access, ADMIN_SECRET):
        good = text.reveal().encode()
        assert not await refused(accounts, good)
        for bit in range(8 * len(good)):
            changed = bytearray(good)
            changed[bit // 8] ^= 1 << bit % 8
            assert await refused(accounts, bytes(changed)), bit
        assert not await refused(accounts, good)


async def test_a_forged_checksum_does_not_help(accounts: Accounts) -> None:
    pair = await accounts.open(await accounts.add_user())
    body = pair.access.reveal().rpartition("_")[0]
    for position in range(len("bnu_at_"), len(body)):
        other = "0" if body[position] != "0" else "1"
        forged = f"{body[:position]}{other}{body[position + 1 :]}"
        whole = f"{forged}_{_base62(zlib.crc32(forged.encode()), 6)}"
        if body[position] != "_":
            assert parse_credential(whole) is not None
        assert await refused(accounts, whole.encode())


@pytest.mark.parametrize("prefix", [b"", b"bnu_uk_", b"bnu_at_00000000000000000_"])
async def test_arbitrary_bytes_meet_an_error_of_their_own(
    accounts: Accounts, entropy: RepeatableEntropy, prefix: bytes
) -> None:
    for length in (0, 1, 2, 7, 17, 27, 60, 1000, 70_000):
        for _ in range(20):
            assert await refused(accounts, prefix + entropy.bytes(length))


@pytest.mark.asvs("10.3.1", "10.3.4")
async def test_a_token_of_a_provider_opens_nothing(accounts: Accounts) -> None:
    """The server is no resource server of others: what a provider signed is nobody here."""
    await accounts.add_user()
    claims = {"iss": "https://idp.example", "aud": "bennu-client", "sub": "ada", "exp": 2**40}
    claims |= {"scope": "openid", "email": "ada@example.com", "acr": "high", "amr": ["mfa"]}
    key = jwk.RSAKey.generate_key(2048)
    for algorithm, signing in (("RS256", key), ("HS256", jwk.OctKey.import_key(b"x" * 32))):
        token = jwt.encode({"alg": algorithm, "typ": "at+jwt"}, claims, signing)
        with pytest.raises(UnauthenticatedError, match="Invalid token"):
            await accounts.authenticator.authenticate(bearer(Secret(token)))
        with pytest.raises(UnauthenticatedError, match="Invalid token"):
            await accounts.authenticator.authenticate(Presented((), token))
