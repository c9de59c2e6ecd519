"""Trying the directory step by step: twelve faults, and each leads to its step and setting."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bennu.auth.ldap.diagnosis import Diagnosis
from bennu.auth.ldap.diagnosis_report import DiagnosisReport
from bennu.kernel.clock import SystemClock
from bennu.kernel.secret import Secret
from fakes.directories import ldap_settings, mapped, refusing_address
from fakes.settings import SECRET
from peers import samba as ad
from peers.pki import Pki
from peers.samba import SambaServer
from peers.slapd import CONTRACTORS, GROUPS, PEOPLE, SUFFIX, SlapdServer, running_slapd

STEPS = [
    *("dns", "connect", "tls", "service_bind", "user_search", "attributes", "user_bind"),
    *("groups", "role"),
]
MAPPINGS = mapped((f"cn=phoenix-admins,{GROUPS}", "ADMIN"))
COMMAND = ("-m", "bennu", "ldap", "test", "alice", "--json")
SEARCHED = {
    "GROUP_SEARCH_BASE_DNS": GROUPS,
    "GROUP_SEARCH_FILTER": "(&(objectClass=groupOfNames)(member=%d))",
    "GROUP_ROLE_MAPPINGS": MAPPINGS,
}


def diagnose(
    env: dict[str, str],
    name: str = "alice",
    password: str = "alicepw",  # noqa: S107 - of a test
) -> DiagnosisReport:
    return Diagnosis(ldap_settings(env), SystemClock()).diagnose(name, Secret(password))


def first_fault(report: DiagnosisReport) -> tuple[str, tuple[str, ...], str]:
    """Return step, variables and text of the first step that failed."""
    assert not report.ok
    found = next(step for step in report.steps if not step.ok)
    return found.step, found.variables, found.detail


def test_when_all_is_well_every_step_says_so(slapd: SlapdServer) -> None:
    report = diagnose(slapd.env(GROUP_ROLE_MAPPINGS=MAPPINGS))
    assert report.ok
    assert [step.step for step in report.steps] == STEPS
    assert report.role == "ADMIN"
    told = {str(step.step): step.detail for step in report.steps}
    assert "TLSv1.3; subject CN=localhost,O=Test; names DNS:localhost, IP:127.0.0.1" in told["tls"]
    assert "(&(objectClass=inetOrgPerson)(uid=alice))" in told["user_search"]
    assert "mail: alice@corp.test" in told["attributes"]
    assert "phoenix-admins" in told["groups"]
    assert "phoenix-admins" in told["role"]
    assert all(step.seconds >= 0 and not step.variables for step in report.steps)
    assert "alicepw" not in repr(report)
    assert "svcpw" not in repr(report)


def test_active_directory(samba: SambaServer) -> None:
    mappings = mapped((f"CN=Phoenix Admins,{ad.GROUPS}", "ADMIN"))
    report = diagnose(samba.env(GROUP_ROLE_MAPPINGS=mappings), password=ad.PASSWORD)
    assert (report.ok, report.role) == (True, "ADMIN")
    told = {str(step.step): step.detail for step in report.steps}
    assert "nested: “CN=Domain Users" in told["groups"]
    assert "Phoenix Admins" in told["groups"]


FAULTS = {
    "wrong host": ({"HOST": "no-such-host.invalid"}, "dns", "PHOENIX_LDAP_HOST"),
    "wrong bind DN": ({"BIND_DN": f"cn=x,{SUFFIX}"}, "service_bind", "PHOENIX_LDAP_BIND_DN"),
    "wrong bind password": (
        {"BIND_PASSWORD": "x"},
        "service_bind",
        "PHOENIX_LDAP_BIND_PASSWORD",
    ),
    "wrong base": (
        {"USER_SEARCH_BASE_DNS": f"ou=nowhere,{SUFFIX}"},
        "user_search",
        "PHOENIX_LDAP_USER_SEARCH_BASE_DNS",
    ),
    "another base": (
        {"USER_SEARCH_BASE_DNS": CONTRACTORS},
        "user_search",
        "PHOENIX_LDAP_USER_SEARCH_BASE_DNS",
    ),
    "wrong filter": (
        {"USER_SEARCH_FILTER": "(&(objectClass=user)(sAMAccountName=%s))"},
        "user_search",
        "PHOENIX_LDAP_USER_SEARCH_FILTER",
    ),
    "missing e-mail attribute": (
        {"ATTR_EMAIL": "userPrincipalName"},
        "attributes",
        "PHOENIX_LDAP_ATTR_EMAIL",
    ),
    "missing unique id": (
        {"ATTR_UNIQUE_ID": "objectGUID"},
        "attributes",
        "PHOENIX_LDAP_ATTR_UNIQUE_ID",
    ),
    "group base wrong": (
        {**SEARCHED, "GROUP_SEARCH_BASE_DNS": f"ou=nowhere,{SUFFIX}"},
        "groups",
        "PHOENIX_LDAP_GROUP_SEARCH_BASE_DNS",
    ),
    "another group base": (
        {**SEARCHED, "GROUP_SEARCH_BASE_DNS": PEOPLE},
        "groups",
        "PHOENIX_LDAP_GROUP_SEARCH_BASE_DNS",
    ),
    "group base wrong without mappings": (
        {**SEARCHED, "GROUP_SEARCH_BASE_DNS": f"ou=x,{SUFFIX}", "GROUP_ROLE_MAPPINGS": ""},
        "groups",
        "PHOENIX_LDAP_GROUP_SEARCH_BASE_DNS",
    ),
    "wrong mode": ({"TLS_MODE": "ldaps"}, "tls", "PHOENIX_LDAP_TLS_MODE"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_leads_to_its_step_and_setting(slapd: SlapdServer, fault: str) -> None:
    more, step, variable = FAULTS[fault]
    env = {k: v for k, v in slapd.env(**more).items() if v}
    found, variables, detail = first_fault(diagnose(env))
    assert found == step, detail
    assert variable in variables
    assert "svcpw" not in detail


def test_a_wrong_port(slapd: SlapdServer) -> None:
    _, port = refusing_address()
    step, variables, _ = first_fault(diagnose(slapd.env(PORT=str(port))))
    assert (step, "PHOENIX_LDAP_PORT" in variables) == ("connect", True)
    step, variables, _ = first_fault(diagnose(slapd.env(PORT=str(slapd.tls_port))))
    assert (step, "PHOENIX_LDAP_PORT" in variables) == ("tls", True)


def test_a_wrong_authority(slapd: SlapdServer, pki: Pki) -> None:
    report = diagnose(slapd.env(TLS_CA_CERT_FILE=str(pki.foreign.cert)))
    step, variables, detail = first_fault(report)
    assert (step, variables[0]) == ("tls", "PHOENIX_LDAP_TLS_CA_CERT_FILE")
    assert "issued by CN=Test CA" in detail
    assert len(report.steps) == 3


@pytest.fixture(scope="module")
def past(pki: Pki) -> Iterator[SlapdServer]:
    made = pki.authority.issue("was-good", "/O=Test/CN=past", days=0)
    with running_slapd(pki, made) as server:
        yield server


def test_an_expired_certificate(past: SlapdServer) -> None:
    step, variables, detail = first_fault(diagnose(past.env()))
    assert step == "tls"
    assert "PHOENIX_LDAP_TLS_VERIFY" in variables
    assert "expired" in detail
    assert "valid from" in detail


@pytest.mark.parametrize("offset", ["+400d", "-400d"])
def test_a_clock_far_off(slapd: SlapdServer, offset: str) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed; `make setup-test` installs it")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PHOENIX_")}
    done = subprocess.run(
        [
            "faketime",
            "-f",
            offset,
            sys.executable,
            "-m",
            "bennu",
            "ldap",
            "test",
            "alice",
            "--json",
        ],
        input="alicepw\n",
        env={**kept, **slapd.env(), "PHOENIX_SECRET": SECRET},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    step = json.loads(done.stdout)["steps"][-1]
    assert (step["step"], step["ok"]) == ("tls", False)
    assert "the clock of this machine says" in step["detail"]
    assert "PHOENIX_LDAP_HOST" in step["variables"]


def test_a_group_without_a_mapping(slapd: SlapdServer) -> None:
    report = diagnose(slapd.env(GROUP_ROLE_MAPPINGS=MAPPINGS), "bob", "bobpw")
    step, variables, detail = first_fault(report)
    assert (step, variables) == ("role", ("PHOENIX_LDAP_GROUP_ROLE_MAPPINGS",))
    assert "phoenix-admins" in detail
    assert report.role is None


@pytest.mark.parametrize(
    ("name", "password", "step", "word"),
    [
        ("alice", "wrong", "user_bind", "wrong_password"),
        ("expired", "expiredpw", "user_bind", "expired"),
        ("nobody", "x", "user_search", "it finds others there"),
        ("alice ", "alicepw", "user_search", "another login name"),
        ("twice", "twicepw", "user_search", "several entries"),
    ],
)
def test_faults_of_people(
    slapd: SlapdServer, name: str, password: str, step: str, word: str
) -> None:
    found, _, detail = first_fault(diagnose(slapd.env(), name, password))
    assert (found, word in detail) == (step, True), detail


def test_every_server_is_tried(slapd: SlapdServer) -> None:
    host, port = refusing_address()
    report = diagnose(slapd.env(HOST=f"{host}:{port},{slapd.host}:{slapd.port}"))
    assert first_fault(report)[0] == "connect"
    assert [step.step for step in report.steps] == ["dns", "connect", *STEPS]
    assert report.role == "VIEWER"
    alone = Diagnosis(ldap_settings(slapd.env()), SystemClock()).diagnose_servers()
    assert [step.step for step in alone.steps] == STEPS[:4]


def test_what_is_not_safe_is_said(slapd: SlapdServer) -> None:
    for more, variable in (
        ({"TLS_MODE": "none"}, "PHOENIX_LDAP_TLS_MODE"),
        ({"TLS_VERIFY": "false"}, "PHOENIX_LDAP_TLS_VERIFY"),
    ):
        report = diagnose(slapd.env(**more))
        assert report.ok
        assert [v for step in report.steps for v in step.variables] == [variable]


def test_without_a_password_its_step_is_left_out(slapd: SlapdServer) -> None:
    report = Diagnosis(ldap_settings(slapd.env()), SystemClock()).diagnose("alice", None)
    assert report.ok
    assert [step.step for step in report.steps] == [s for s in STEPS if s != "user_bind"]
