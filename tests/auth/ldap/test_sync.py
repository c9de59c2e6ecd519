"""Keeping accounts in step with the directory."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from bennu.auth.api_keys.flow import NewApiKey
from bennu.auth.ldap.configured import ConfiguredDirectory
from bennu.auth.ldap.sync import DirectorySync, SyncReport
from bennu.auth.provision import Admitted, Identity, admit_identity
from bennu.kernel.clock import SystemClock, to_microseconds
from bennu.kernel.ids import SystemEntropy, global_id
from bennu.kernel.secret import Secret
from bennu.storage.schema import audit_events
from bennu.users.model import USER, AuthMethod, User, UserChange
from fakes.accounts import OPERATOR, Accounts
from fakes.directories import ldap_settings, mapped, refusing_address
from peers import samba as ad
from peers.samba import SambaServer
from peers.slapd import CONTRACTORS, GROUPS, PEOPLE, SUFFIX, SlapdServer

ADMINS, USERS = f"cn=phoenix-admins,{GROUPS}", f"cn=phoenix-users,{GROUPS}"
MAPPINGS = mapped((ADMINS, "ADMIN"), (USERS, "MEMBER"))


class InStep:
    """Accounts, a directory, and the comparison of both."""

    def __init__(self, accounts: Accounts, env: dict[str, str]) -> None:
        self.accounts = accounts
        settings = ldap_settings(env)
        self.directory = ConfiguredDirectory(settings, SystemClock(), SystemEntropy())
        self.directory.start()
        self.sync = DirectorySync(accounts.database, accounts.audit, self.directory)

    async def sign_in(self, name: str, password: str = "") -> User:
        """Bring an account here as a sign-in does."""
        found = await self.directory.prove(name, Secret(password or f"{name}pw"))
        assert isinstance(found, Identity), found
        return await self.admit(found)

    async def admit(self, identity: Identity) -> User:
        now = to_microseconds(self.accounts.clock.now_utc())
        made = await self.accounts.database.write(
            lambda c: admit_identity(c, identity, allow_sign_up=True, now=now)
        )
        assert isinstance(made, Admitted)
        return made.user

    async def changes(self, **how: Any) -> list[tuple[str, bool, str, str | None]]:
        report = await self.sync.sync_with_directory(**how)
        assert report.refusal == "", report
        return [(c.username, c.active, c.reason, c.role) for c in report.changes]

    async def now(self, user: User) -> User:
        found = await self.accounts.read_user(user)
        assert found is not None
        return found

    async def records(self) -> list[tuple[str, str, str]]:
        """Return event, target and reason of all audit records."""
        columns = (audit_events.c.event, audit_events.c.target_kind, audit_events.c.reason)
        statement = select(*columns).order_by(audit_events.c.sequence)
        rows = await self.accounts.database.read(lambda c: c.execute(statement).all())
        return [tuple(row) for row in rows]


@pytest.fixture
async def in_step(accounts: Accounts, own_slapd: SlapdServer) -> AsyncIterator[InStep]:
    env = own_slapd.env(
        GROUP_ROLE_MAPPINGS=MAPPINGS, USER_SEARCH_BASE_DNS=f"{PEOPLE};{CONTRACTORS}"
    )
    made = InStep(accounts, env)
    yield made
    made.directory.stop()


async def test_what_stays_as_it_is_changes_nothing(in_step: InStep) -> None:
    for name in ("alice", "bob"):
        await in_step.sign_in(name)
    await in_step.accounts.add_user("local")
    assert await in_step.changes() == []
    assert await in_step.records() == []


async def test_who_leaves_every_group_loses_sessions_and_keys_at_once(
    in_step: InStep, own_slapd: SlapdServer
) -> None:
    accounts = in_step.accounts
    bob = await in_step.sign_in("bob")
    pair = await accounts.open(bob)
    assert await accounts.works(pair.access)
    members = [f"uid=nomail,{CONTRACTORS}"]
    own_slapd.set_values(USERS, "member", *members)
    name = bob.username
    assert await in_step.changes(dry_run=True) == [(name, False, "no_mapped_group", None)]
    assert await accounts.works(pair.access)
    assert await in_step.changes() == [(name, False, "no_mapped_group", None)]
    assert not await accounts.works(pair.access)
    assert not (await in_step.now(bob)).active
    assert await in_step.records() == [
        ("ldap.synced", "user", "no_mapped_group"),
        ("ldap.synced", "directory", ""),
    ]
    assert await in_step.changes() == []
    own_slapd.set_values(USERS, "member", *members, f"uid=bob,{PEOPLE}")
    assert await in_step.changes() == [(name, True, "", None)]
    assert (await in_step.now(bob)).active
    assert not await accounts.works(pair.access)


async def test_keys_stop_with_their_owner_and_come_back_with_them(
    in_step: InStep, own_slapd: SlapdServer
) -> None:
    accounts = in_step.accounts
    bob = await in_step.sign_in("bob")
    caller = await accounts.sign_in(bob)
    key = (await accounts.keys.create_user_key(caller, NewApiKey("key"))).text
    assert await accounts.works(key)
    own_slapd.modify(
        f"dn: uid=bob,{PEOPLE}\nchangetype: modrdn\nnewrdn: uid=bob\ndeleteoldrdn: 0\n"
        f"newsuperior: ou=former,{SUFFIX}\n"
    )
    assert await in_step.changes() == [(bob.username, False, "missing", None)]
    assert not await accounts.works(key)
    own_slapd.modify(
        f"dn: uid=bob,ou=former,{SUFFIX}\nchangetype: modrdn\nnewrdn: uid=bob\ndeleteoldrdn: 0\n"
        f"newsuperior: {PEOPLE}\n"
    )
    assert await in_step.changes() == [(bob.username, True, "", None)]
    assert await accounts.works(key)


async def test_a_new_role_follows(in_step: InStep, own_slapd: SlapdServer) -> None:
    bob = await in_step.sign_in("bob")
    caller_before = (await in_step.accounts.sign_in(bob)).principal
    own_slapd.set_values(ADMINS, "member", f"uid=bob,{PEOPLE}")
    assert await in_step.changes() == [(bob.username, True, "", "ADMIN")]
    assert ((await in_step.now(bob)).role, caller_before.role) == ("ADMIN", "MEMBER")


async def test_a_new_login_name_is_still_the_same_person(
    in_step: InStep, own_slapd: SlapdServer
) -> None:
    bob = await in_step.sign_in("bob")
    own_slapd.modify(
        f"dn: uid=bob,{PEOPLE}\nchangetype: modrdn\nnewrdn: uid=robert\ndeleteoldrdn: 1\n"
    )
    own_slapd.set_values(f"uid=robert,{PEOPLE}", "mail", "robert@corp.test")
    assert await in_step.changes() == []
    assert (await in_step.now(bob)).active


@pytest.mark.parametrize(
    ("attribute", "value", "reason"),
    [("pwdAccountLockedTime", "000001010000Z", "locked"), ("mail", None, "")],
)
async def test_locked_and_what_is_no_reason(
    in_step: InStep, own_slapd: SlapdServer, attribute: str, value: str | None, reason: str
) -> None:
    bob = await in_step.sign_in("bob")
    own_slapd.set_values(f"uid=bob,{PEOPLE}", attribute, *([value] if value else []))
    expected = [(bob.username, False, reason, None)] if reason else []
    assert await in_step.changes() == expected


async def test_whom_an_admin_switched_off_stays_off(
    in_step: InStep, own_slapd: SlapdServer
) -> None:
    accounts = in_step.accounts
    await accounts.add_user("root", "ADMIN")
    alice, bob = await in_step.sign_in("alice"), await in_step.sign_in("bob")
    await accounts.users.change_user(
        OPERATOR, global_id(USER, alice.row_id), UserChange(active=False)
    )
    own_slapd.set_values(USERS, "member", f"uid=nomail,{CONTRACTORS}")
    await in_step.changes()
    # The directory switched bob off; now an admin says the same, and that stays.
    await accounts.users.change_user(
        OPERATOR, global_id(USER, bob.row_id), UserChange(active=False)
    )
    own_slapd.set_values(USERS, "member", f"uid=bob,{PEOPLE}")
    assert await in_step.changes() == []
    assert not (await in_step.now(alice)).active
    assert not (await in_step.now(bob)).active


async def test_a_directory_that_is_away_changes_nothing_and_alarms(
    accounts: Accounts, slapd: SlapdServer, caplog: pytest.LogCaptureFixture
) -> None:
    near = InStep(accounts, slapd.env())
    bob = await near.sign_in("bob")
    host, port = refusing_address()
    away = InStep(accounts, slapd.env(HOST=f"{host}:{port}"))
    report = await away.sync.sync_with_directory()
    assert (report.refusal, report.changes) == ("directory_unavailable", ())
    assert "PHOENIX_LDAP_HOST" in report.detail
    assert "ldap.sync.refused" in caplog.text
    assert await near.records() == [("ldap.synced", "directory", "directory_unavailable")]
    assert (await near.now(bob)).active
    nowhere = InStep(accounts, slapd.env(USER_SEARCH_BASE_DNS=f"ou=nowhere,{SUFFIX}"))
    report = await nowhere.sync.sync_with_directory()
    assert report.refusal == "directory_unavailable"
    assert (await near.now(bob)).active
    for made in (near, away, nowhere):
        made.directory.stop()


async def test_an_answer_that_the_server_cuts_disables_nobody(
    in_step: InStep, own_slapd: SlapdServer
) -> None:
    for name in ("alice", "bob"):
        await in_step.sign_in(name)
    own_slapd.restart_with_limits("limits * size.soft=1 size.hard=1")
    report = await in_step.sync.sync_with_directory()
    assert (report.refusal, report.changes) == ("directory_unavailable", ())
    assert "raise its limit" in report.detail


async def many_people(in_step: InStep, count: int) -> list[User]:
    """Make accounts for people whom the directory does not know."""
    identity = Identity(AuthMethod.LDAP, "ldap", "", "", None, "Somebody", role="VIEWER")
    return [
        await in_step.admit(replace(identity, subject=f"gone-{n}", email=f"gone{n}@corp.test"))
        for n in range(count)
    ]


async def test_many_missing_at_once_are_taken_for_a_mistake(
    in_step: InStep, caplog: pytest.LogCaptureFixture
) -> None:
    gone = await many_people(in_step, 10)
    report = await in_step.sync.sync_with_directory()
    assert report == SyncReport(
        10, (), "too_many_missing", "10 of 10 accounts are not in the directory"
    )
    assert "ldap.sync.refused" in caplog.text
    assert all([(await in_step.now(user)).active for user in gone])


async def test_few_missing_of_few_are_believed(in_step: InStep) -> None:
    gone = await many_people(in_step, 9)
    assert len(await in_step.changes()) == 9
    assert not any([(await in_step.now(user)).active for user in gone])
    # Those are known to be gone; of the others less than a third may still go.
    for name in ("alice", "bob"):
        await in_step.sign_in(name)
    assert await in_step.changes() == []


async def test_without_unique_ids_people_are_sought_by_address(
    accounts: Accounts, own_slapd: SlapdServer
) -> None:
    in_step = InStep(accounts, own_slapd.env(ATTR_UNIQUE_ID=""))
    bob = await in_step.sign_in("bob")
    assert await in_step.changes() == []
    own_slapd.set_values(f"uid=bob,{PEOPLE}", "mail", "other@corp.test")
    assert await in_step.changes() == [(bob.username, False, "missing", None)]
    in_step.directory.stop()


async def test_active_directory(accounts: Accounts, samba: SambaServer) -> None:
    mappings = mapped(
        (f"CN=Phoenix Admins,{ad.GROUPS}", "ADMIN"), (f"CN=Everybody,{ad.GROUPS}", "VIEWER")
    )
    in_step = InStep(accounts, samba.env(GROUP_ROLE_MAPPINGS=mappings))
    alice = await in_step.sign_in("alice", ad.PASSWORD)
    carol = await in_step.sign_in("carol", ad.PASSWORD)
    assert (alice.role, carol.role) == ("ADMIN", "VIEWER")
    assert await in_step.changes() == []
    samba.set_value(f"CN=carol,{ad.EMPLOYEES}", "userAccountControl", str(ad.DISABLED))
    try:
        assert await in_step.changes() == [(carol.username, False, "disabled", None)]
    finally:
        samba.set_value(f"CN=carol,{ad.EMPLOYEES}", "userAccountControl", str(ad.NORMAL))
    assert await in_step.changes() == [(carol.username, True, "", None)]
    leads = f"CN=Eng Leads,{ad.GROUPS}"
    samba.set_value(f"CN=Phoenix Admins,{ad.GROUPS}", "member")
    try:
        assert await in_step.changes() == [(alice.username, True, "", "VIEWER")]
    finally:
        samba.set_value(f"CN=Phoenix Admins,{ad.GROUPS}", "member", leads)
    in_step.directory.stop()
