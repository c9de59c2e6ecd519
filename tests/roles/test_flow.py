"""Defining roles: never above one's own rights, never one's own, and effective at once."""

import pytest
from sqlalchemy import select

from bennu.access import ADMIN, BUILT_IN_ROLES, MEMBER, Caller, Permission
from bennu.audit.events import EventName
from bennu.auth.api_keys.flow import NewApiKey
from bennu.kernel.errors import ConflictError, DeniedError, NotFoundError, SchemaError
from bennu.kernel.ids import global_id
from bennu.roles.flow import RoleChange
from bennu.roles.model import ROLE
from bennu.storage.schema import audit_events
from bennu.users.model import NewUser, UserChange
from fakes.accounts import OPERATOR, Accounts

READS = ("traces:read", "projects:read")


async def keeper(accounts: Accounts, *permissions: str) -> Caller:
    """Sign in somebody whose role allows to define roles, and what is given."""
    await accounts.roles.create_role(OPERATOR, "keeper", None, ["roles:manage", *permissions])
    return await accounts.sign_in(await accounts.add_user("kim", "keeper"))


async def test_a_role_is_made_listed_changed_and_deleted(accounts: Accounts) -> None:
    made = await accounts.roles.create_role(OPERATOR, " Auditor ", "reads", READS)
    assert (made.name, made.description, made.holders) == ("Auditor", "reads", 0)
    assert [r.name for r in await accounts.roles.list_roles()] == [*BUILT_IN_ROLES, "Auditor"]
    for identifier in ("auditor", global_id(ROLE, made.row_id or 0)):
        assert await accounts.roles.get_role(identifier) == made
    accounts.clock.advance(60)
    change = RoleChange(name="Reader", description=None)
    changed = await accounts.roles.change_role(OPERATOR, "AUDITOR", change)
    assert (changed.name, changed.description) == ("Reader", None)
    assert changed.permissions == made.permissions
    assert changed == await accounts.roles.get_role("Reader")
    await accounts.roles.delete_role(OPERATOR, "Reader")
    with pytest.raises(NotFoundError):
        await accounts.roles.get_role("Reader")
    assert await accounts.events() == [
        EventName.ROLE_CREATED,
        EventName.ROLE_CHANGED,
        EventName.ROLE_DELETED,
    ]


async def test_a_record_tells_what_was_and_what_is(accounts: Accounts) -> None:
    await accounts.roles.create_role(OPERATOR, "a", None, READS)
    await accounts.roles.change_role(OPERATOR, "a", RoleChange(permissions=("traces:read",)))
    statement = select(audit_events.c.before, audit_events.c.after).order_by(
        audit_events.c.sequence
    )
    rows = await accounts.database.read(lambda c: c.execute(statement).all())
    assert '"permissions":["projects:read","traces:read"]' in str(rows[0][1]).replace(" ", "")
    assert str(rows[1][0]).replace(" ", "") == '{"permissions":["projects:read","traces:read"]}'
    assert str(rows[1][1]).replace(" ", "") == '{"permissions":["traces:read"]}'


async def test_what_changes_nothing_leaves_no_record(accounts: Accounts) -> None:
    made = await accounts.roles.create_role(OPERATOR, "a", None, READS)
    assert await accounts.roles.change_role(OPERATOR, "a", RoleChange(name="a")) == made
    assert await accounts.events() == [EventName.ROLE_CREATED]


@pytest.mark.parametrize("name", ["auditor", "AUDITOR"])
async def test_a_name_is_taken_in_any_case(accounts: Accounts, name: str) -> None:
    await accounts.roles.create_role(OPERATOR, "Auditor", None, READS)
    await accounts.roles.create_role(OPERATOR, "other", None, READS)
    with pytest.raises(ConflictError):
        await accounts.roles.create_role(OPERATOR, name, None, READS)
    with pytest.raises(ConflictError):
        await accounts.roles.change_role(OPERATOR, "other", RoleChange(name=name))
    assert (
        await accounts.roles.change_role(OPERATOR, "Auditor", RoleChange(name=name))
    ).name == name


@pytest.mark.parametrize("role", ["ADMIN", "member", "System"])
async def test_a_built_in_role_stays_as_it_is(accounts: Accounts, role: str) -> None:
    with pytest.raises(DeniedError):
        await accounts.roles.change_role(OPERATOR, role, RoleChange(permissions=READS))
    with pytest.raises(DeniedError):
        await accounts.roles.delete_role(OPERATOR, role)
    with pytest.raises(SchemaError):
        await accounts.roles.create_role(OPERATOR, role, None, READS)


async def test_nobody_makes_or_changes_a_role_above_their_own_rights(accounts: Accounts) -> None:
    kim = await keeper(accounts, *READS)
    await accounts.roles.create_role(OPERATOR, "strong", None, ["secrets:manage"])
    await accounts.roles.create_role(kim, "weak", None, READS)
    with pytest.raises(DeniedError, match="above"):
        await accounts.roles.create_role(kim, "x", None, [*READS, "secrets:manage"])
    with pytest.raises(DeniedError, match="above"):
        await accounts.roles.change_role(kim, "weak", RoleChange(permissions=("secrets:manage",)))
    with pytest.raises(DeniedError, match="above"):
        await accounts.roles.change_role(kim, "strong", RoleChange(permissions=READS))
    with pytest.raises(DeniedError, match="above"):
        await accounts.roles.delete_role(kim, "strong")


async def test_nobody_changes_their_own_role(accounts: Accounts) -> None:
    kim = await keeper(accounts, *READS)
    with pytest.raises(DeniedError, match="own role"):
        await accounts.roles.change_role(kim, "keeper", RoleChange(description="x"))
    with pytest.raises(DeniedError, match="own role"):
        await accounts.roles.delete_role(kim, "keeper")


async def test_a_role_in_use_stays(accounts: Accounts) -> None:
    await accounts.roles.create_role(OPERATOR, "Auditor", None, READS)
    user = await accounts.add_user("ada", "Auditor")
    await accounts.keys.create_system_key(OPERATOR, NewApiKey("k", role="auditor"))
    assert (await accounts.roles.get_role("Auditor")).holders == 2
    with pytest.raises(ConflictError, match="2 users or system keys"):
        await accounts.roles.delete_role(OPERATOR, "Auditor")
    identifier = global_id("User", user.row_id)
    await accounts.users.change_user(OPERATOR, identifier, UserChange(role=MEMBER))
    with pytest.raises(ConflictError):
        await accounts.roles.delete_role(OPERATOR, "Auditor")


async def test_a_role_is_given_to_users_and_system_keys_and_holds_at_once(
    accounts: Accounts,
) -> None:
    await accounts.roles.create_role(OPERATOR, "Auditor", None, ["audit:read"])
    new = NewUser("ada@example.com", "ada", "AUDITOR", auth_method="OAUTH2")
    user = await accounts.users.create_user(OPERATOR, new)
    assert user.role == "Auditor"
    token = (await accounts.open(user)).access
    key = (await accounts.keys.create_system_key(OPERATOR, NewApiKey("k", role="auditor"))).text
    for bearer in (token, key):
        principal = (await accounts.caller(bearer)).principal
        assert (principal.role, principal.permissions) == ("Auditor", {Permission.AUDIT_READ})
    change = RoleChange(name="Reader", permissions=READS)
    await accounts.roles.change_role(OPERATOR, "Auditor", change)
    for bearer in (token, key):
        principal = (await accounts.caller(bearer)).principal
        assert (principal.role, principal.permissions) == ("Reader", set(READS))
    assert (await accounts.roles.get_role("Reader")).holders == 2


async def test_nobody_is_given_a_role_above_the_givers(accounts: Accounts) -> None:
    await accounts.roles.create_role(OPERATOR, "boss", None, ["users:manage"])
    boss = await accounts.sign_in(await accounts.add_user("bo", "boss"))
    new = NewUser("ada@example.com", "ada", ADMIN, auth_method="OAUTH2")
    with pytest.raises(DeniedError, match="above"):
        await accounts.users.create_user(boss, new)
