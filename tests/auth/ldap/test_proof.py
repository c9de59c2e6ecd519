"""Who somebody is, as two real directories say it."""

import string
from random import Random

import pytest

from bennu.auth.ldap.faults import LdapFault
from bennu.auth.provision import Identity
from fakes.directories import Asked, asked, mapped
from peers import samba as ad
from peers.samba import SambaServer
from peers.slapd import CONTRACTORS, GROUPS, PEOPLE, SUFFIX, SlapdServer

ADMINS, USERS = f"cn=phoenix-admins,{GROUPS}", f"CN=Phoenix-Users, {GROUPS}"


async def identity(directory: Asked, name: str, password: str) -> Identity:
    found = await directory.who(name, password)
    assert isinstance(found, Identity), found
    return found


# --- OpenLDAP ----------------------------------------------------------------------------------


async def test_a_person_of_openldap(slapd: SlapdServer) -> None:
    with asked(slapd.env(USER_SEARCH_BASE_DNS=f"{CONTRACTORS};{PEOPLE}")) as directory:
        alice = await identity(directory, "ALICE", "alicepw")
    assert (alice.email, alice.display_name) == ("alice@corp.test", "Alice Ärger")
    assert (alice.login_name, alice.role) == ("alice", "VIEWER")
    assert alice.subject is not None
    assert len(alice.subject) == 36


@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        ("alice", "wrong", "wrong_password"),
        ("alice", "alicepw ", "wrong_password"),
        ("nobody", "alicepw", "unknown_user"),
        ("dora", "dorapw", "unknown_user"),  # outside the bases
        ("twice", "twicepw", "ambiguous_user"),
        ("nomail", "nomailpw", "missing_email"),
        ("expired", "expiredpw", "expired"),
        ("locked", "lockedpw", "wrong_password"),  # the server does not say more
    ],
)
async def test_who_is_not_proved(slapd: SlapdServer, name: str, password: str, reason: str) -> None:
    with asked(slapd.env(USER_SEARCH_BASE_DNS=f"{PEOPLE};{CONTRACTORS}")) as directory:
        assert await directory.who(name, password) == reason


async def test_people_without_addresses(slapd: SlapdServer) -> None:
    env = slapd.env(ATTR_EMAIL="null", USER_SEARCH_BASE_DNS=CONTRACTORS)
    with asked(env) as directory:
        nomail = await identity(directory, "nomail", "nomailpw")
    assert nomail.email is None
    with asked(slapd.env(ATTR_UNIQUE_ID="employeeNumber")) as directory:
        assert await directory.who("alice", "alicepw") == "missing_unique_id"


async def test_the_first_value_that_is_an_address_counts(own_slapd: SlapdServer) -> None:
    own_slapd.set_values(f"uid=bob,{PEOPLE}", "mail", "no address", "Bob@Corp.Test")
    with asked(own_slapd.env()) as directory:
        assert (await identity(directory, "bob", "bobpw")).email == "bob@corp.test"


@pytest.mark.parametrize(
    ("more", "roles"),
    [
        ({}, {"alice": "ADMIN", "bob": "MEMBER", "carol": "no_mapped_group"}),
        (
            {
                "GROUP_SEARCH_BASE_DNS": GROUPS,
                "GROUP_SEARCH_FILTER": "(&(objectClass=groupOfNames)(member=%d))",
            },
            {"alice": "ADMIN", "bob": "MEMBER", "carol": "no_mapped_group"},
        ),
        (
            {
                "GROUP_SEARCH_BASE_DNS": GROUPS,
                "GROUP_SEARCH_FILTER": "(&(objectClass=posixGroup)(memberUid=%s))",
                "GROUP_ROLE_MAPPINGS": mapped((f"cn=posix-viewers,{GROUPS}", "VIEWER")),
            },
            {"ALICE": "VIEWER", "bob": "VIEWER", "carol": "no_mapped_group"},
        ),
        (
            {
                "GROUP_SEARCH_BASE_DNS": GROUPS,
                "GROUP_SEARCH_FILTER": "(&(objectClass=groupOfUniqueNames)(uniqueMember=%d))",
                "GROUP_ROLE_MAPPINGS": mapped((f"cn=uniques,{GROUPS}", "ADMIN"), ("*", "VIEWER")),
            },
            {"alice": "VIEWER", "bob": "ADMIN"},
        ),
        (
            {
                "GROUP_SEARCH_BASE_DNS": f'["ou=policies,{SUFFIX}", "{GROUPS}"]',
                "GROUP_SEARCH_FILTER": "(memberUid=%s)",
                "GROUP_SEARCH_FILTER_USER_ATTR": "uid",
                "GROUP_ROLE_MAPPINGS": mapped((f"cn=posix-viewers,{GROUPS}", "ADMIN")),
            },
            {"bob": "ADMIN", "carol": "no_mapped_group"},
        ),
        ({"ATTR_MEMBER_OF": ""}, {"alice": "no_mapped_group"}),
    ],
)
async def test_roles_from_groups(
    slapd: SlapdServer, more: dict[str, str], roles: dict[str, str]
) -> None:
    env = {"GROUP_ROLE_MAPPINGS": mapped((ADMINS, "ADMIN"), (USERS, "MEMBER")), **more}
    with asked(slapd.env(**env)) as directory:
        found = {n: await directory.role(n, f"{n.lower()}pw") for n in roles}
    assert found == roles


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"GROUP_SEARCH_BASE_DNS": GROUPS, "GROUP_SEARCH_FILTER": "(member=%d)"},
    ],
)
async def test_groups_in_groups_are_walked_up(slapd: SlapdServer, more: dict[str, str]) -> None:
    # carol is in interns, which is in juniors, which is in staff, which is in juniors again.
    mappings = mapped((f"cn=staff,{GROUPS}", "ADMIN"), (f"cn=interns,{GROUPS}", "VIEWER"))
    with asked(slapd.env(GROUP_ROLE_MAPPINGS=mappings, **more)) as directory:
        assert await directory.role("carol", "carolpw") == "ADMIN"
        assert await directory.role("bob", "bobpw") == "no_mapped_group"


async def test_a_group_base_that_is_not_there_gives_no_role(slapd: SlapdServer) -> None:
    env = slapd.env(
        GROUP_SEARCH_BASE_DNS=f"ou=nowhere,{SUFFIX}",
        GROUP_SEARCH_FILTER="(memberUid=%s)",
        GROUP_ROLE_MAPPINGS=mapped(("*", "VIEWER")),
    )
    with asked(env) as directory, pytest.raises(LdapFault) as caught:
        await directory.who("alice", "alicepw")
    assert caught.value.variables[0] == "PHOENIX_LDAP_GROUP_SEARCH_BASE_DNS"


async def test_one_base_of_several_that_is_not_there(
    slapd: SlapdServer, caplog: pytest.LogCaptureFixture
) -> None:
    bases = f"ou=nowhere,{SUFFIX};{PEOPLE}"
    with asked(slapd.env(USER_SEARCH_BASE_DNS=bases)) as directory:
        assert await directory.role("alice", "alicepw") == "VIEWER"
        assert await directory.who("nobody", "x") == "unknown_user"
    assert "ldap.base.unusable" in caplog.text
    nowhere = slapd.env(USER_SEARCH_BASE_DNS=f"ou=nowhere,{SUFFIX}")
    with asked(nowhere) as directory, pytest.raises(LdapFault):
        await directory.who("alice", "alicepw")


async def test_an_answer_that_the_server_cuts_proves_nobody_and_gives_no_role(
    own_slapd: SlapdServer,
) -> None:
    own_slapd.restart_with_limits("limits * size.soft=1 size.hard=1")
    with asked(own_slapd.env()) as directory:
        assert await directory.role("alice", "alicepw") == "VIEWER"
        assert await directory.who("twice", "twicepw") == "ambiguous_user"
    groups = own_slapd.env(
        GROUP_SEARCH_BASE_DNS=GROUPS,
        GROUP_SEARCH_FILTER="(|(member=%d)(cn=*))",
        GROUP_ROLE_MAPPINGS=mapped((ADMINS, "ADMIN"), ("*", "VIEWER")),
    )
    with asked(groups) as directory, pytest.raises(LdapFault, match="raise its limit") as caught:
        await directory.who("alice", "alicepw")
    assert "PHOENIX_LDAP_GROUP_SEARCH_FILTER" in caught.value.variables


# --- Active Directory --------------------------------------------------------------------------

AD_ADMINS = f"CN=Phoenix Admins,{ad.GROUPS}"
AD_USERS = f"cn=phoenix users,{ad.GROUPS}"
AD_EVERYBODY = f"CN=Everybody,{ad.GROUPS}"


async def test_a_person_of_active_directory(samba: SambaServer) -> None:
    with asked(samba.env()) as directory:
        alice = await identity(directory, "Alice", ad.PASSWORD)
    assert (alice.email, alice.display_name) == ("alice@corp.test", "Alice Example")
    assert (alice.login_name, alice.role) == ("alice", "VIEWER")
    assert alice.subject is not None
    assert [len(part) for part in alice.subject.split("-")] == [8, 4, 4, 4, 12]


async def test_nested_and_primary_groups_count(samba: SambaServer) -> None:
    mappings = mapped((AD_ADMINS, "ADMIN"), (AD_USERS, "MEMBER"), (AD_EVERYBODY, "VIEWER"))
    with asked(samba.env(GROUP_ROLE_MAPPINGS=mappings)) as directory:
        # Eng Leads is inside Phoenix Admins; Everybody holds the primary group of all.
        assert await directory.role("alice", ad.PASSWORD) == "ADMIN"
        assert await directory.role("bob", ad.PASSWORD) == "MEMBER"
        assert await directory.role("carol", ad.PASSWORD) == "VIEWER"
    primary = mapped((f"CN=Domain Users,CN=Users,{ad.DOMAIN}", "MEMBER"))
    with asked(samba.env(GROUP_ROLE_MAPPINGS=primary)) as directory:
        assert await directory.role("carol", ad.PASSWORD) == "MEMBER"
    with asked(samba.env(GROUP_ROLE_MAPPINGS=mapped((AD_ADMINS, "ADMIN")))) as directory:
        assert await directory.who("bob", ad.PASSWORD) == "no_mapped_group"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("dis", "disabled"), ("late", "expired"), ("gone", "unknown_user")],
)
async def test_disabled_expired_and_deleted(samba: SambaServer, name: str, reason: str) -> None:
    with asked(samba.env()) as directory:
        assert await directory.who(name, ad.PASSWORD) == reason


async def test_locked_by_wrong_passwords(samba: SambaServer) -> None:
    with asked(samba.env()) as directory:
        for _ in range(3):
            await directory.who("locked", "wrong")
        assert await directory.who("locked", ad.PASSWORD) == "locked"


async def test_references_to_other_domains_are_ignored(samba: SambaServer) -> None:
    with asked(samba.env(USER_SEARCH_BASE_DNS=ad.DOMAIN)) as directory:
        assert await directory.role("alice", ad.PASSWORD) == "VIEWER"
        assert await directory.who("nobody", ad.PASSWORD) == "unknown_user"


async def test_a_plain_connection_is_refused_by_the_server(samba: SambaServer) -> None:
    with asked(samba.env(TLS_MODE="none")) as directory, pytest.raises(LdapFault) as caught:
        await directory.who("alice", ad.PASSWORD)
    assert caught.value.variables == ("PHOENIX_LDAP_TLS_MODE",)


# --- hostile names -----------------------------------------------------------------------------

REAL = ("alice", "bob", "carol", "locked", "expired", "twice", "nomail")
PIECES = (
    *("*", "(", ")", "\\", "\0", "\r\n", "|", "&", "!", "=", "~", ">", "<", "/", '"', "'", ";"),
    *(" ", "\t", "\u00ad", "\u200b", "\u202e", "\ufeff", "\u0301", "ａ", "É", "\U0001f600"),  # noqa: RUF001
    *("%s", "%d", "\\2a", "\\00", ")(uid=*", "*)(|(uid=*", "admin)(&", "uid=alice", "," + SUFFIX),
)


def hostile_names(count: int) -> list[str]:
    """Return names made of real ones and of what means something to a filter."""
    random = Random("names for LDAP")
    found: dict[str, None] = {}
    while len(found) < count:
        base = random.choice((*REAL, "", "a", random.choice(string.ascii_letters) * 3))
        pieces = [random.choice(PIECES) for _ in range(random.randrange(1, 4))]
        cut = random.randrange(len(base) + 1)
        name = base[:cut] + "".join(pieces) + base[cut:]
        if random.random() < 0.05:
            name += random.choice("ab*") * 5000
        found[name] = None
    return list(found)


@pytest.mark.asvs("1.2.6")
async def test_no_hostile_name_finds_anybody_else(slapd: SlapdServer) -> None:
    with asked(slapd.env(USER_SEARCH_BASE_DNS=SUFFIX, ATTR_EMAIL="null")) as directory:
        for name in hostile_names(200):
            password = "alicepw" if "alice" in name else "bobpw"
            assert await directory.who(name, password) == "unknown_user", repr(name)


async def test_no_hostile_name_finds_anybody_in_active_directory(samba: SambaServer) -> None:
    with asked(samba.env(USER_SEARCH_BASE_DNS=ad.DOMAIN)) as directory:
        for name in hostile_names(60):
            assert await directory.who(name, ad.PASSWORD) == "unknown_user", repr(name)
