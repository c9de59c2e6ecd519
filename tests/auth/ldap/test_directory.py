"""Connections, binds, searches, fail-over, and a pool that heals."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bennu.auth.ldap.connection import LdapConnection, Query, Scope
from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.directory import Directory
from bennu.auth.ldap.entries import Entry
from bennu.auth.ldap.faults import CutAnswerFault, LdapFault, Step
from bennu.kernel.clock import SystemClock
from bennu.kernel.secret import Secret
from fakes.directories import answering, asked, black_hole, ldap_settings, refusing_address, soon
from peers.slapd import GROUPS, PEOPLE, SUFFIX, SlapdServer

ALICE = f"uid=alice,{PEOPLE}"
ALICE_PASSWORD = Secret("alicepw")


def directory_of(slapd: SlapdServer, **more: str) -> Directory:
    return Directory(ldap_settings(slapd.env(**more)), SystemClock())


def search(directory: Directory, query: Query, step: Step = Step.USER_SEARCH) -> tuple[Entry, ...]:
    return directory.with_service(lambda c, until: c.search(query, until, step), soon())


def dns_of(entries: tuple[Entry, ...]) -> list[str]:
    return sorted(entry.dn for entry in entries)


def test_a_search_reads_what_was_asked_for(slapd: SlapdServer) -> None:
    directory = directory_of(slapd)
    (alice,) = search(directory, Query(PEOPLE, "(uid=alice)", ("mail", "entryUUID")))
    assert alice.dn == ALICE
    assert alice.text("MAIL") == "alice@corp.test"
    assert set(alice.values) == {"mail", "entryuuid"}
    (bare,) = search(directory, Query(PEOPLE, "(uid=alice)"))
    assert bare.values == {}
    (root,) = search(directory, Query("", "(objectClass=*)", ("namingContexts",), Scope.BASE))
    assert root.text("namingContexts") == SUFFIX
    directory.close()


@pytest.mark.parametrize("mode", ["starttls", "ldaps", "none"])
def test_every_mode_binds(slapd: SlapdServer, mode: str) -> None:
    port = slapd.tls_port if mode == "ldaps" else slapd.port
    directory = directory_of(slapd, TLS_MODE=mode, PORT=str(port))
    assert directory.check_password(ALICE, ALICE_PASSWORD, soon()) == ""
    assert directory.check_password(ALICE, Secret("x"), soon()) == "wrong_password"
    assert directory.check_password(f"uid=nobody,{PEOPLE}", Secret("x"), soon()) == "wrong_password"
    assert directory.check_password("no name at all", Secret("x"), soon()) == "wrong_password"


def test_an_empty_password_never_reaches_a_server(slapd: SlapdServer) -> None:
    with pytest.raises(ValueError, match="needs a password"):
        directory_of(slapd).check_password(ALICE, Secret(""), soon())


def test_an_answer_that_the_server_cuts_is_kept_and_noted(
    own_slapd: SlapdServer, caplog: pytest.LogCaptureFixture
) -> None:
    own_slapd.restart_with_limits("limits * size.soft=2 size.hard=2")
    directory = directory_of(own_slapd)
    assert len(search(directory, Query(PEOPLE, "(uid=*)"))) == 2
    directory.close()
    assert "ldap.search.cut_by_server" in caplog.text


def test_a_part_of_an_answer_is_none_where_all_of_it_matters(own_slapd: SlapdServer) -> None:
    own_slapd.restart_with_limits("limits * size.soft=2 size.hard=2")
    directory = directory_of(own_slapd)
    with pytest.raises(CutAnswerFault, match="after 2 entries") as caught:
        search(directory, Query(PEOPLE, "(uid=*)", whole=True))
    assert not caught.value.is_of_host
    assert caught.value.step is Step.USER_SEARCH
    assert caught.value.variables[0] == "PHOENIX_LDAP_BIND_DN"
    assert search(directory, Query(PEOPLE, "(uid=alice)", whole=True))
    directory.close()


def test_more_than_anybody_reads_is_a_part_too(slapd: SlapdServer) -> None:
    directory = directory_of(slapd)
    with pytest.raises(CutAnswerFault):
        search(directory, Query(PEOPLE, "(uid=*)", most=2, whole=True))
    directory.close()


def test_large_answers_come_in_pages(own_slapd: SlapdServer) -> None:
    groups = "".join(
        f"dn: cn=big-{n},{GROUPS}\nobjectClass: groupOfNames\ncn: big-{n}\nmember: {ALICE}\n\n"
        for n in range(1200)
    )
    own_slapd.add(groups)
    directory = directory_of(own_slapd)
    # The server gives at most 500 entries for one request.
    found = search(directory, Query(GROUPS, "(cn=big-*)", ("member", "cn")))
    assert len({entry.dn for entry in found}) == 1200
    assert len(search(directory, Query(GROUPS, "(cn=big-*)", most=2))) == 2
    (alice,) = search(directory, Query(PEOPLE, "(uid=alice)", ("memberOf",)))
    assert len(alice.texts("memberOf")) == 1201
    directory.close()


@pytest.mark.parametrize(
    ("query", "variable"),
    [
        (Query(f"ou=nowhere,{SUFFIX}", "(uid=a)"), "PHOENIX_LDAP_USER_SEARCH_BASE_DNS"),
        (Query("dc=elsewhere", "(uid=a)"), "PHOENIX_LDAP_USER_SEARCH_BASE_DNS"),
        (Query("no name", "(uid=a)"), "PHOENIX_LDAP_USER_SEARCH_BASE_DNS"),
        (Query(PEOPLE, "(uid=a"), "PHOENIX_LDAP_USER_SEARCH_FILTER"),
    ],
)
def test_a_wrong_search_names_its_setting(slapd: SlapdServer, query: Query, variable: str) -> None:
    with pytest.raises(LdapFault) as caught:
        search(directory_of(slapd), query)
    assert caught.value.variables[0] == variable
    assert not caught.value.is_of_host


def test_a_wrong_service_account_names_its_settings(slapd: SlapdServer) -> None:
    for wrong in (
        {"BIND_PASSWORD": "x"},
        {"BIND_DN": f"cn=nobody,{SUFFIX}"},
    ):
        with pytest.raises(LdapFault) as caught:
            search(directory_of(slapd, **wrong), Query(PEOPLE, "(uid=alice)"))
        assert caught.value.step is Step.SERVICE_BIND
        assert caught.value.variables == (
            "PHOENIX_LDAP_BIND_DN",
            "PHOENIX_LDAP_BIND_PASSWORD",
        )


def test_without_a_service_account_the_search_is_anonymous(slapd: SlapdServer) -> None:
    env = slapd.env()
    del env["PHOENIX_LDAP_BIND_DN"], env["PHOENIX_LDAP_BIND_PASSWORD"]
    directory = Directory(ldap_settings(env), SystemClock())
    query = Query("", "(objectClass=*)", ("namingContexts",), Scope.BASE)
    assert search(directory, query)
    with pytest.raises(LdapFault):  # this server shows people to nobody unknown
        search(directory, Query(PEOPLE, "(uid=alice)"))
    directory.close()


# --- fail-over -------------------------------------------------------------------------------


def two_hosts(slapd: SlapdServer, first: tuple[str, int]) -> str:
    return f"{first[0]}:{first[1]},{slapd.host}:{slapd.port}"


def test_a_server_that_refuses_is_passed_over(slapd: SlapdServer) -> None:
    directory = directory_of(slapd, HOST=two_hosts(slapd, refusing_address()))
    assert search(directory, Query(PEOPLE, "(uid=alice)"))
    assert directory.check_password(ALICE, ALICE_PASSWORD, soon()) == ""
    directory.close()


def test_a_black_hole_is_left_after_two_seconds_and_rests(slapd: SlapdServer) -> None:
    with black_hole() as hole:
        directory = directory_of(slapd, HOST=two_hosts(slapd, hole))
        began = time.monotonic()
        assert search(directory, Query(PEOPLE, "(uid=alice)"))
        first = time.monotonic() - began
        began = time.monotonic()
        assert directory.check_password(ALICE, ALICE_PASSWORD, soon()) == ""
        assert time.monotonic() - began < first
        assert first > 1.9
        directory.close()


def test_a_server_that_accepts_and_hangs_is_left_too(slapd: SlapdServer) -> None:
    with answering(b"", hangs=True) as hanging:
        directory = directory_of(slapd, HOST=two_hosts(slapd, hanging))
        assert search(directory, Query(PEOPLE, "(uid=alice)"))
        directory.close()


def test_when_no_server_answers_the_last_reason_is_told(slapd: SlapdServer) -> None:
    one, two = refusing_address(), refusing_address()
    directory = directory_of(slapd, HOST=f"{one[0]}:{one[1]},{two[0]}:{two[1]}")
    with pytest.raises(LdapFault, match="refused"):
        search(directory, Query(PEOPLE, "(uid=alice)"))


def test_a_wrong_password_is_not_tried_elsewhere(slapd: SlapdServer) -> None:
    with black_hole() as hole:
        directory = directory_of(slapd, HOST=f"{slapd.host}:{slapd.port},{hole[0]}:{hole[1]}")
        assert directory.check_password(ALICE, Secret("x"), soon()) == "wrong_password"


# --- the pool ----------------------------------------------------------------------------------


def test_a_connection_is_used_again(slapd: SlapdServer) -> None:
    directory = directory_of(slapd)
    seen: list[LdapConnection] = []

    def work(connection: LdapConnection, _: Deadline) -> None:
        seen.append(connection)

    for _ in range(3):
        directory.with_service(work, soon())
    assert len(set(seen)) == 1
    directory.close()


def test_parallel_work_gets_connections_of_its_own(slapd: SlapdServer) -> None:
    directory = directory_of(slapd)
    together = threading.Barrier(4)

    def work(connection: LdapConnection, until: Deadline) -> LdapConnection:
        together.wait(30)
        assert connection.search(Query(PEOPLE, "(uid=alice)"), until, Step.USER_SEARCH)
        return connection

    with ThreadPoolExecutor(4) as pool:
        used = [pool.submit(directory.with_service, work, soon()) for _ in range(4)]
        assert len({job.result() for job in used}) == 4
    directory.close()


def test_the_pool_heals_after_a_restart(own_slapd: SlapdServer) -> None:
    directory = directory_of(own_slapd)
    query = Query(PEOPLE, "(uid=alice)")
    assert search(directory, query)
    own_slapd.stop()
    with pytest.raises(LdapFault):
        search(directory, query)
    own_slapd.start()
    assert search(directory, query)
    own_slapd.stop()
    own_slapd.start()
    assert search(directory, query)
    directory.close()


def test_a_server_that_vanishes_behind_an_open_connection(own_slapd: SlapdServer) -> None:
    directory = directory_of(own_slapd)
    query = Query(PEOPLE, "(uid=alice)")
    assert search(directory, query)
    own_slapd.freeze()
    try:
        with pytest.raises(LdapFault, match="in time"):
            directory.with_service(
                lambda c, until: c.search(query, until, Step.USER_SEARCH), soon(2)
            )
    finally:
        own_slapd.thaw()
    assert search(directory, query)
    directory.close()


def test_an_answer_that_is_no_ldap_is_a_fault_of_the_host(slapd: SlapdServer) -> None:
    for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x30\x03\x02\x01\x01", b"\xff" * 40):
        with answering(answer) as (host, port):
            directory = directory_of(slapd, HOST=f"{host}:{port}", TLS_MODE="none")
            with pytest.raises(LdapFault):
                directory.check_password(ALICE, ALICE_PASSWORD, soon(5))


def test_closing_leaves_nothing_open(slapd: SlapdServer) -> None:
    with asked(slapd.env()) as one:
        assert search(one.directory, Query(PEOPLE, "(uid=alice)"))


def test_long_work_ends_when_the_server_stops(slapd: SlapdServer) -> None:
    directory = directory_of(slapd)
    directory.close()
    with pytest.raises(LdapFault, match="being stopped"):
        search(directory, Query(PEOPLE, "(uid=alice)"))
