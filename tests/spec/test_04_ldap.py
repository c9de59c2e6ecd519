"""Signing in through a real directory with the settings that the spec prints.

Spec: lines 24-90, 279-285. Of the three samples only hosts, names and passwords are adapted, and
the authority of the test's own certificates is added (line 85).
"""

import os
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from bennu.kernel.env_file import EnvFile, env_of
from fakes.directories import mapped, refusing_address
from peers import samba as ad
from peers.pki import Pki
from peers.samba import SambaServer
from peers.slapd import GROUPS, PEOPLE, SERVICE_DN, SERVICE_PASSWORD, SlapdServer, running_slapd
from started import StartedServer

SAMPLES = Path(__file__).parent / "samples"
WRONG = "Invalid username and/or password"
#: The tests sign in more often than people do.
MANY = {"PHOENIX_DISABLE_RATE_LIMIT": "true"}
COMPANY = {"DC=company,DC=com": ad.DOMAIN, "dc=company,dc=com": "dc=corp,dc=test"}


def sample(name: str, password: str, ca_file: Path, names: Mapping[str, str]) -> dict[str, str]:
    """Read a sample as an env file, with names replaced; return the settings."""
    text = (SAMPLES / f"{name}.env").read_text("utf-8")
    for old, new in {**names, **COMPANY}.items():
        text = text.replace(old, new)
    environment = {"LDAP_PASSWORD": password, "LDAP_BIND_PASSWORD": password}
    env = env_of({}, EnvFile(text, name, environment))
    assert env.problems == []
    values = {name: value.text for name, value in env.values.items()}
    return {**values, **MANY, "PHOENIX_LDAP_TLS_CA_CERT_FILE": str(ca_file)}


def try_to_sign_in(server: StartedServer, username: str, password: str) -> httpx.Response:
    body = {"username": username, "password": password}
    return server.client().post("/auth/ldap/login", json=body)


def sign_in(server: StartedServer, username: str, password: str) -> httpx.Client:
    client = server.client()
    body = {"username": username, "password": password}
    answer = client.post("/auth/ldap/login", json=body)
    assert answer.status_code == 204, f"{answer.status_code} {answer.text}\n{server.log()}"
    return client


def account(server: StartedServer, username: str, password: str) -> dict[str, str]:
    found: dict[str, str] = sign_in(server, username, password).get("/v1/user").json()["data"]
    return found


def assert_refused(server: StartedServer, *people: tuple[str, str]) -> None:
    """Try names with passwords at once, as each refusal is held for a second."""
    with ThreadPoolExecutor(len(people)) as pool:
        answers = list(pool.map(lambda person: try_to_sign_in(server, *person), people))
    for answer, person in zip(answers, people, strict=True):
        assert (answer.status_code, answer.text) == (401, WRONG), person


# --- the three samples, lines 26-83 ------------------------------------------------------------


def test_the_basic_sample_with_role_mappings(samba: SambaServer, tmp_path: Path) -> None:
    env = sample(
        "027-047-basic-ldap",
        ad.SERVICE_PASSWORD,
        samba.folder / "ca.pem",
        {
            "ldap.company.com": samba.host,
            "OU=Service Accounts": "CN=Users",
            "OU=Users": "OU=Employees",
        },
    )
    with StartedServer(tmp_path, env) as server:
        # Eng Leads, where alice is, is a member of Phoenix Admins.
        alice = account(server, "alice", ad.PASSWORD)
        assert (alice["email"], alice["role"]) == ("alice@corp.test", "ADMIN")
        assert (alice["username"], alice["auth_method"]) == ("Alice Example", "LDAP")
        names = ("carol", "dis", "late", "gone", "bob", "nobody")
        assert_refused(
            server,
            ("alice", "wrong"),
            *[("locked", "wrong")] * 3,
            *((name, ad.PASSWORD) for name in names),
        )
        assert_refused(server, ("locked", ad.PASSWORD))


def test_the_active_directory_sample_with_fail_over(samba: SambaServer, tmp_path: Path) -> None:
    host, port = refusing_address()
    env = sample(
        "054-066-active-directory",
        ad.SERVICE_PASSWORD,
        samba.folder / "ca.pem",
        {
            "dc1.company.com": f"{host}:{port}",
            "dc2.company.com": samba.host,
            "CN=Phoenix Service,OU=Service Accounts": "CN=svc-phoenix,CN=Users",
        },
    )
    with StartedServer(tmp_path, env) as server:
        # Without mappings everybody has the default role; both bases are searched.
        assert account(server, "alice", ad.PASSWORD)["role"] == "VIEWER"
        assert account(server, "bob", ad.PASSWORD)["email"] == "bob@corp.test"
        assert_refused(server, *((n, ad.PASSWORD) for n in ("dis", "late", "gone", "nobody")))


def test_the_openldap_sample_with_posix_groups(slapd: SlapdServer, tmp_path: Path) -> None:
    env = sample(
        "068-083-openldap",
        SERVICE_PASSWORD,
        slapd.folder / "ca.pem",
        {"ldap.company.com": f"{slapd.host}:{slapd.port}"},
    )
    with StartedServer(tmp_path, env) as server:
        alice = account(server, "alice", "alicepw")
        assert (alice["username"], alice["role"]) == ("Alice Ärger", "VIEWER")
        assert_refused(server, ("alice", "x"), ("twice", "twicepw"), ("locked", "lockedpw"))
    mappings = mapped((f"cn=posix-viewers,{GROUPS}", "MEMBER"))
    env |= {"PHOENIX_LDAP_GROUP_ROLE_MAPPINGS": mappings}
    (tmp_path / "again").mkdir()
    with StartedServer(tmp_path / "again", env) as server:
        assert account(server, "bob", "bobpw")["role"] == "MEMBER"
        assert_refused(server, ("carol", "carolpw"))


# --- TLS, lines 48-51 and 84-90 ------------------------------------------------------------------


def test_ldaps_with_a_client_certificate(pki: Pki, tmp_path: Path) -> None:
    with running_slapd(pki, verify_client="demand") as slapd:
        env = slapd.env(
            PORT=str(slapd.tls_port),
            TLS_MODE="ldaps",
            TLS_CLIENT_CERT_FILE=str(pki.client.cert),
            TLS_CLIENT_KEY_FILE=str(pki.client.key),
        )
        with StartedServer(tmp_path, {**env, **MANY}) as server:
            assert account(server, "alice", "alicepw")["role"] == "VIEWER"


# --- failures ------------------------------------------------------------------------------------


def test_a_directory_that_goes_away_and_comes_back(own_slapd: SlapdServer, tmp_path: Path) -> None:
    with StartedServer(tmp_path, {**own_slapd.env(), **MANY}) as server:
        alice = sign_in(server, "alice", "alicepw")
        own_slapd.stop()
        answer = try_to_sign_in(server, "alice", "alicepw")
        assert answer.status_code == 503
        assert "try again later" in answer.text
        assert "retry-after" in answer.headers
        assert "PHOENIX_LDAP_HOST" in server.log()
        # Who is signed in stays so, and local accounts are not concerned.
        assert alice.get("/v1/user").status_code == 200
        assert server.admin().get("/v1/users").status_code == 200
        own_slapd.start()
        deadline = time.monotonic() + 60
        while try_to_sign_in(server, "alice", "alicepw").status_code != 204:
            assert time.monotonic() < deadline


def test_names_and_passwords_are_in_no_log(slapd: SlapdServer, tmp_path: Path) -> None:
    env = {**slapd.env(), **MANY, "PHOENIX_LOGGING_LEVEL": "debug"}
    with StartedServer(tmp_path, env) as server:
        sign_in(server, "alice", "alicepw")
        assert_refused(server, ("bob", "a-wrong-password"))
        log = server.log()
        for word in ("alicepw", "a-wrong-password", SERVICE_PASSWORD, "uid=alice", "uid=bob"):
            assert word not in log


# --- troubleshooting, lines 283-285 -------------------------------------------------------------


def ldapsearch(ca_file: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["ldapsearch", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LDAPTLS_CACERT": str(ca_file)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_search_by_hand_of_the_spec(slapd: SlapdServer, samba: SambaServer) -> None:
    found = ldapsearch(
        slapd.folder / "ca.pem",
        *("-H", f"ldap://{slapd.host}:{slapd.port}", "-x", "-D", SERVICE_DN),
        *("-w", SERVICE_PASSWORD, "-b", PEOPLE, "(uid=alice)"),
    )
    assert "mail: alice@corp.test" in found
    # A domain controller takes passwords over TLS only: -ZZ.
    found = ldapsearch(
        samba.folder / "ca.pem",
        *("-ZZ", "-H", f"ldap://{samba.host}:389", "-x", "-D", ad.SERVICE_DN),
        *("-w", ad.SERVICE_PASSWORD, "-b", ad.EMPLOYEES, "(sAMAccountName=alice)"),
    )
    assert "mail: alice@corp.test" in found
