"""Making, listing, identifying and revoking keys."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from bennu.access import CONSOLE, Caller, Permission
from bennu.auth.api_keys.authority import key_id_of
from bennu.auth.api_keys.flow import NewApiKey
from bennu.auth.api_keys.making import MadeApiKey
from bennu.auth.api_keys.store import SYSTEM_KEYS, USER_KEYS
from bennu.auth.credential import CredentialKind, make_credential
from bennu.kernel.errors import (
    DeniedError,
    InvalidError,
    NotFoundError,
    SchemaError,
    UnauthenticatedError,
)
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.storage.schema import api_keys, audit_events, credentials, roles, sessions, users
from bennu.traces.projects.store import insert_project
from fakes.accounts import OPERATOR, Accounts


async def key_of(
    accounts: Accounts, role: str = "MEMBER", **data: Any
) -> tuple[Caller, MadeApiKey]:
    """Make a key; return the session that made it and the key."""
    session = await accounts.sign_in(await accounts.add_user(role.lower(), role))
    return session, await accounts.keys.create_user_key(session, NewApiKey("key", **data))


async def test_a_user_key_acts_as_its_owner_live(accounts: Accounts) -> None:
    session, made = await key_of(accounts)
    caller = await accounts.caller(made.text)
    assert caller.principal.user_id == session.principal.user_id
    assert caller.principal.permissions == session.principal.permissions
    assert not caller.principal.is_session
    owner = await accounts.users.get_user(session.principal.public_id)
    await accounts.users.change_user(OPERATOR, session.principal.public_id, _role("VIEWER"))
    assert owner.role == "MEMBER"
    assert not (await accounts.caller(made.text)).principal.may(Permission.TRACES_INGEST)


def _role(name: str) -> Any:
    from bennu.users.model import UserChange  # noqa: PLC0415 - one use

    return UserChange(role=name)


async def test_a_key_with_fewer_permissions_stays_below_a_promoted_owner(
    accounts: Accounts,
) -> None:
    session, made = await key_of(accounts, permissions=("traces:ingest",))
    await accounts.users.change_user(OPERATOR, session.principal.public_id, _role("ADMIN"))
    caller = await accounts.caller(made.text)
    assert caller.principal.permissions == {Permission.TRACES_INGEST}


async def test_a_key_of_some_projects_has_permissions_over_projects_only(
    accounts: Accounts,
) -> None:
    project = await accounts.database.write(lambda c: insert_project(c, "inside", None, 1))
    _, made = await key_of(accounts, "ADMIN", projects=("inside",))
    principal = (await accounts.caller(made.text)).principal
    assert principal.project_ids == {project.row_id}
    assert principal.may(Permission.TRACES_READ)
    for permission in (Permission.PROJECTS_CREATE, Permission.USERS_MANAGE, Permission.AUDIT_READ):
        assert not principal.may(permission)


async def test_a_system_key_has_a_role_of_its_own(accounts: Accounts) -> None:
    for role, permission, may in (
        (None, Permission.TRACES_INGEST, True),
        (None, Permission.USERS_READ, False),
        ("viewer", Permission.TRACES_INGEST, False),
        ("ADMIN", Permission.USERS_READ, True),
    ):
        made = await accounts.keys.create_system_key(OPERATOR, NewApiKey("service", role=role))
        assert (await accounts.caller(made.text)).principal.may(permission) is may
        assert made.key.role == (role or "SYSTEM").upper()


async def test_a_role_that_is_gone_leaves_a_system_key_nothing(accounts: Accounts) -> None:
    values = {
        "name": "sender",
        "permissions": '["traces:ingest"]',
        "created_at": 1,
        "updated_at": 1,
    }
    await accounts.database.write(lambda c: c.execute(insert(roles).values(**values)))
    made = await accounts.keys.create_system_key(OPERATOR, NewApiKey("service", role="sender"))
    assert (await accounts.caller(made.text)).principal.permissions == {Permission.TRACES_INGEST}
    await accounts.database.write(lambda c: c.execute(delete(roles)))
    fresh = accounts.fresh_authenticator()
    assert (await accounts.caller(made.text, fresh)).principal.permissions == frozenset()


async def test_nobody_makes_a_key_above_themselves(accounts: Accounts) -> None:
    session = await accounts.sign_in(await accounts.add_user(role="VIEWER"))
    with pytest.raises(DeniedError):
        await accounts.keys.create_user_key(session, NewApiKey("k", permissions=("traces:ingest",)))
    with pytest.raises(DeniedError):
        await accounts.keys.create_system_key(session, NewApiKey("k"))
    some = replace(
        OPERATOR,
        principal=replace(OPERATOR.principal, permissions=frozenset({Permission.API_KEYS_MANAGE})),
    )
    with pytest.raises(DeniedError):
        await accounts.keys.create_system_key(some, NewApiKey("k"))


async def test_a_key_makes_changes_and_identifies_no_key(accounts: Accounts) -> None:
    _, made = await key_of(accounts, "ADMIN")
    system = await accounts.keys.create_system_key(OPERATOR, NewApiKey("s", role="ADMIN"))
    for text in (made.text, system.text):
        caller = await accounts.caller(text)
        for work in (
            accounts.keys.create_user_key(caller, NewApiKey("k")),
            accounts.keys.create_system_key(caller, NewApiKey("k")),
            accounts.keys.create_key_for_user(caller, "admin@example.com", NewApiKey("k")),
            accounts.keys.revoke_key(caller, key_id_of(made.key), USER_KEYS),
            accounts.keys.revoke_key(caller, key_id_of(system.key), SYSTEM_KEYS),
            accounts.keys.identify_key(caller, made.text),
        ):
            with pytest.raises(DeniedError):
                await work
        assert await accounts.works(text)


async def test_a_session_that_ended_meanwhile_makes_no_key(accounts: Accounts) -> None:
    session = await accounts.sign_in(await accounts.add_user(role="ADMIN"))
    await accounts.database.write(lambda c: c.execute(delete(sessions)))
    for work in (
        accounts.keys.create_user_key(session, NewApiKey("k")),
        accounts.keys.create_system_key(session, NewApiKey("k")),
    ):
        with pytest.raises(UnauthenticatedError):
            await work
    rows = await accounts.database.read(lambda c: c.execute(select(api_keys)).all())
    assert rows == []


async def test_a_user_that_is_gone_or_a_role_makes_no_user_key(accounts: Accounts) -> None:
    session = await accounts.sign_in(await accounts.add_user(role="ADMIN"))
    with pytest.raises(SchemaError) as refused:
        await accounts.keys.create_user_key(session, NewApiKey("k", role="VIEWER"))
    assert refused.value.problems[0].loc[-1] == "role"
    await accounts.database.write(lambda c: c.execute(delete(users)))
    with pytest.raises(UnauthenticatedError):
        await accounts.keys.create_user_key(session, NewApiKey("k"))


async def test_only_the_console_makes_keys_for_others(accounts: Accounts) -> None:
    ada = await accounts.add_user(role="VIEWER")
    console = Caller(CONSOLE)
    made = await accounts.keys.create_key_for_user(console, " ADA@example.com", NewApiKey("k"))
    assert (await accounts.caller(made.text)).principal.user_id == ada.row_id
    with pytest.raises(DeniedError):
        await accounts.keys.create_key_for_user(OPERATOR, "ada@example.com", NewApiKey("k"))
    with pytest.raises(DeniedError):
        await accounts.keys.create_key_for_user(
            console, "ada@example.com", NewApiKey("k", permissions=("traces:ingest",))
        )
    for nobody in ("nobody@example.com", "system@example.com"):
        await accounts.add_user(nobody.replace("@example.com", "x"), "SYSTEM")
        with pytest.raises(NotFoundError):
            await accounts.keys.create_key_for_user(console, nobody, NewApiKey("k"))


async def test_what_is_kept_is_neither_the_key_nor_its_digest(accounts: Accounts) -> None:
    _, made = await key_of(accounts)
    rows = await accounts.database.read(
        lambda c: [*c.execute(select(credentials)), *c.execute(select(api_keys))]
    )
    text = made.text.reveal()
    shown = str([tuple(row) for row in rows])
    assert text not in shown
    assert text.split("_")[3] not in shown
    assert made.text.reveal() not in repr(made)


async def test_everybody_lists_their_own_keys(accounts: Accounts) -> None:
    session, made = await key_of(accounts)
    other = await accounts.sign_in(await accounts.add_user("bob"))
    await accounts.keys.create_user_key(other, NewApiKey("of bob"))
    service = await accounts.keys.create_system_key(OPERATOR, NewApiKey("s"))
    for caller in (session, await accounts.caller(made.text)):
        assert [k.row_id for k in await accounts.keys.list_own_keys(caller)] == [made.key.row_id]
    for caller in (OPERATOR, await accounts.caller(service.text)):
        assert await accounts.keys.list_own_keys(caller) == []
    assert [k.name for k in await accounts.keys.list_keys(USER_KEYS)] == ["of bob", "key"]
    assert [k.name for k in await accounts.keys.list_keys(USER_KEYS, 1, made.key.row_id)] == ["key"]
    assert [k.role for k in await accounts.keys.list_keys(SYSTEM_KEYS)] == ["SYSTEM"]


async def test_one_key_is_shown_to_its_owner_and_to_admins(accounts: Accounts) -> None:
    session, made = await key_of(accounts)
    other = await accounts.sign_in(await accounts.add_user("bob"))
    service = await accounts.keys.create_system_key(OPERATOR, NewApiKey("s"))
    own, of_service = key_id_of(made.key), key_id_of(service.key)
    for caller in (session, OPERATOR):
        assert (await accounts.keys.get_key(caller, own, USER_KEYS)).name == "key"
    assert (await accounts.keys.get_key(OPERATOR, of_service, SYSTEM_KEYS)).name == "s"
    with pytest.raises(NotFoundError):
        await accounts.keys.get_key(other, own, USER_KEYS)
    with pytest.raises(NotFoundError):
        await accounts.keys.get_key(session, of_service, SYSTEM_KEYS)
    with pytest.raises(InvalidError):
        await accounts.keys.get_key(OPERATOR, own, SYSTEM_KEYS)


async def test_a_revoked_key_is_refused_at_once_and_leaves_nothing(accounts: Accounts) -> None:
    session, made = await key_of(accounts)
    assert await accounts.works(made.text)
    await accounts.keys.revoke_key(session, key_id_of(made.key), USER_KEYS)
    assert not await accounts.works(made.text)
    rows = await accounts.database.read(
        lambda c: c.execute(select(credentials).where(credentials.c.api_key_id.is_not(None))).all()
    )
    assert rows == []
    with pytest.raises(NotFoundError):
        await accounts.keys.revoke_key(session, key_id_of(made.key), USER_KEYS)


async def test_only_admins_revoke_keys_of_others(accounts: Accounts) -> None:
    session, made = await key_of(accounts)
    other = await accounts.sign_in(await accounts.add_user("bob"))
    service = await accounts.keys.create_system_key(OPERATOR, NewApiKey("s"))
    with pytest.raises(NotFoundError):
        await accounts.keys.revoke_key(other, key_id_of(made.key), USER_KEYS)
    with pytest.raises(NotFoundError):
        await accounts.keys.revoke_key(session, key_id_of(service.key), SYSTEM_KEYS)
    with pytest.raises(InvalidError):
        await accounts.keys.revoke_key(session, key_id_of(made.key), SYSTEM_KEYS)
    await accounts.keys.revoke_key(OPERATOR, key_id_of(made.key), USER_KEYS)
    await accounts.keys.revoke_key(OPERATOR, key_id_of(service.key), SYSTEM_KEYS)
    assert not await accounts.works(made.text)
    assert not await accounts.works(service.text)


async def test_a_key_that_was_found_is_identified(accounts: Accounts) -> None:
    session, made = await key_of(accounts)
    service = await accounts.keys.create_system_key(OPERATOR, NewApiKey("s"))
    found = await accounts.keys.identify_key(OPERATOR, Secret(f" {made.text.reveal()}\n"))
    assert (found.row_id, found.email) == (made.key.row_id, "member@example.com")
    assert (await accounts.keys.identify_key(OPERATOR, service.text)).kind == SYSTEM_KEYS
    # One that has ended is still somebody's.
    await accounts.database.write(lambda c: c.execute(update(api_keys).values(expires_at=1)))
    assert (await accounts.keys.identify_key(OPERATOR, made.text)).row_id == made.key.row_id
    with pytest.raises(DeniedError):
        await accounts.keys.identify_key(session, made.text)


async def test_what_is_no_key_of_this_server_is_not_identified(accounts: Accounts) -> None:
    session, made = await key_of(accounts)
    pair = await accounts.open(await accounts.add_user("bob"))
    for text in ("", "nonsense", made.text.reveal()[:-1], pair.access.reveal()):
        with pytest.raises(SchemaError) as refused:
            await accounts.keys.identify_key(OPERATOR, Secret(text))
        assert refused.value.problems[0].seen is None
    strange = make_credential(CredentialKind.USER_KEY, SystemEntropy()).text
    with pytest.raises(NotFoundError):
        await accounts.keys.identify_key(OPERATOR, strange)
    await accounts.keys.revoke_key(session, key_id_of(made.key), USER_KEYS)
    with pytest.raises(NotFoundError):
        await accounts.keys.identify_key(OPERATOR, made.text)


async def test_every_change_and_every_identification_is_recorded(accounts: Accounts) -> None:
    session, made = await key_of(accounts, permissions=("traces:ingest",))
    await accounts.keys.identify_key(OPERATOR, made.text)
    await accounts.keys.revoke_key(session, key_id_of(made.key), USER_KEYS)
    with pytest.raises(NotFoundError):
        await accounts.keys.identify_key(OPERATOR, made.text)
    rows = await accounts.database.read(
        lambda c: c.execute(select(audit_events).order_by(audit_events.c.sequence)).all()
    )
    assert [(row.event, row.outcome, row.target_id != "") for row in rows] == [
        ("api_key.created", "succeeded", True),
        ("api_key.identified", "succeeded", True),
        ("api_key.revoked", "succeeded", True),
        ("api_key.identified", "failed", False),
    ]
    assert '"permissions":["traces:ingest"]' in rows[0].after
    assert made.text.reveal() not in str([tuple(row) for row in rows])
