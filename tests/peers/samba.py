"""An Active Directory of our own: a Samba domain controller on a loopback address of its own.

Samba's LDAP ports cannot be chosen, so its address is: each run takes another one.
"""

import base64
import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.pki import Pki

SAMBA = Path("/usr/sbin/samba")
DOMAIN = "DC=corp,DC=test"
SERVICE_DN = f"CN=svc-phoenix,CN=Users,{DOMAIN}"
SERVICE_PASSWORD = "Svc-Passw0rd"
EMPLOYEES, CONTRACTORS = f"OU=Employees,{DOMAIN}", f"OU=Contractors,{DOMAIN}"
GROUPS = f"OU=Groups,{DOMAIN}"
PASSWORD = "Some-Passw0rd"
LDAP_PORT = 389
_START_SECONDS = 60

_CONFIGURATION = """\
[global]
 netbios name = DC1
 realm = CORP.TEST
 workgroup = CORP
 server role = active directory domain controller
 server services = ldap
 dcerpc endpoint servers = none
 bind interfaces only = yes
 interfaces = {address}/8
 private dir = {folder}/private
 lock directory = {folder}
 state directory = {folder}/state
 cache directory = {folder}/cache
 pid directory = {folder}
 ncalrpc dir = {folder}/ncalrpc
 log file = {folder}/log.%m
 log level = 1
 tls enabled = yes
 tls keyfile = {folder}/server.key
 tls certfile = {folder}/server.pem
 tls cafile = {folder}/ca.pem
 ldap server require strong auth = yes
 idmap_ldb:use rfc2307 = yes
"""

NORMAL, DISABLED = 512, 514
#: Windows counts 100 ns from the year 1601; this is in 2001.
LONG_AGO = 126_000_000_000_000_000


def _person(name: str, unit: str, control: int = NORMAL, **values: str) -> str:
    more = "".join(f"{attribute}: {value}\n" for attribute, value in values.items())
    return (
        f"dn: CN={name},{unit}\nobjectClass: user\nsAMAccountName: {name}\n"
        f"userPrincipalName: {name}@corp.test\nuserAccountControl: {control}\n"
        f"mail: {name}@corp.test\ndisplayName: {name.title()} Example\n"
        f"clearTextPassword:: {_utf16(PASSWORD)}\n{more}\n"
    )


def _utf16(text: str) -> str:
    return base64.b64encode(text.encode("utf-16-le")).decode()


def _group(name: str, *members: str) -> str:
    lines = "".join(f"member: {dn}\n" for dn in members)
    return (
        f"dn: CN={name},{GROUPS}\nobjectClass: group\nsAMAccountName: {name}\n"
        f"groupType: -2147483646\n{lines}\n"
    )


def _unit(dn: str) -> str:
    return f"dn: {dn}\nobjectClass: organizationalUnit\n\n"


SEED = "".join(
    (
        _unit(EMPLOYEES),
        _unit(CONTRACTORS),
        _unit(GROUPS),
        _person("svc-phoenix", f"CN=Users,{DOMAIN}").replace(
            _utf16(PASSWORD), _utf16(SERVICE_PASSWORD)
        ),
        _person("alice", EMPLOYEES),
        _person("carol", EMPLOYEES),
        _person("bob", CONTRACTORS),
        _person("locked", EMPLOYEES),
        _person("gone", EMPLOYEES),
        _person("dis", EMPLOYEES, DISABLED),
        _person("late", EMPLOYEES, accountExpires=str(LONG_AGO)),
        _group("Eng Leads", f"CN=alice,{EMPLOYEES}"),
        _group("Phoenix Admins", f"CN=Eng Leads,{GROUPS}"),
        _group(
            "Phoenix Users",
            *(f"CN={name},{EMPLOYEES}" for name in ("locked", "gone", "dis", "late")),
            f"CN=bob,{CONTRACTORS}",
        ),
        _group("Everybody", f"CN=Domain Users,CN=Users,{DOMAIN}"),
    )
)


def _template() -> Path:
    """Return where a domain made from exactly this file by this Samba is kept between runs."""
    version = subprocess.run([SAMBA, "--version"], capture_output=True, check=True).stdout
    made_from = hashlib.sha256(version + Path(__file__).read_bytes()).hexdigest()[:16]
    return Path(sys.prefix) / "peers" / f"samba-{made_from}"


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Let one worker make the domain while others wait for it."""
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _keep(folder: Path, template: Path) -> None:
    """Keep a domain that nobody has served yet; making one takes most of the time."""
    for old in template.parent.glob("samba-*"):
        shutil.rmtree(old)
    unfinished = Path(tempfile.mkdtemp(dir=template.parent, prefix="samba-"))
    shutil.copytree(folder, unfinished, dirs_exist_ok=True)
    unfinished.rename(template)


class SambaServer:
    """One domain controller."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        self.folder = folder
        numbers = [64 + secrets.randbelow(64), secrets.randbelow(256), 1 + secrets.randbelow(254)]
        self.host = f"127.{numbers[0]}.{numbers[1]}.{numbers[2]}"
        self.port = LDAP_PORT
        self._process: subprocess.Popen[bytes] | None = None
        certificate = pki.authority.issue(
            f"dc-{numbers[1]}-{numbers[2]}",
            "/O=Test/CN=dc1.corp.test",
            names=f"DNS:dc1.corp.test,IP:{self.host}",
        )
        template = _template()
        with _one_at_a_time(template.parent):
            if template.exists():
                shutil.copytree(template, folder, dirs_exist_ok=True)
                self._configure()
            else:
                self._provision()
                self._configure()
                self._seed()
                _keep(folder, template)
        shutil.copyfile(pki.authority.cert, folder / "ca.pem")
        shutil.copyfile(certificate.cert, folder / "server.pem")
        shutil.copyfile(certificate.key, folder / "server.key")
        (folder / "server.key").chmod(0o600)

    def _configure(self) -> None:
        (self.folder / "etc" / "smb.conf").write_text(
            _CONFIGURATION.format(address=self.host, folder=self.folder)
        )

    def _run(self, *command: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            command,
            input=stdin,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def _provision(self) -> None:
        self._run(
            *("samba-tool", "domain", "provision", f"--targetdir={self.folder}"),
            *("--realm=CORP.TEST", "--domain=CORP", "--server-role=dc", "--dns-backend=NONE"),
            *("--adminpass=Adm1n-Passw0rd", "--host-name=dc1", "--host-ip=127.0.0.1"),
            *("--use-rfc2307", "--option=server services=ldap"),
        )

    def ldb(self, program: str, ldif: str) -> None:
        """Run ``ldbadd`` or ``ldbmodify`` on the database of the domain."""
        database = str(self.folder / "private" / "sam.ldb")
        self._run(program, "-H", database, stdin=ldif)

    def _seed(self) -> None:
        # Three wrong passwords lock an account for half an hour.
        self.ldb(
            "ldbmodify",
            f"dn: {DOMAIN}\nchangetype: modify\nreplace: lockoutThreshold\nlockoutThreshold: 3\n",
        )
        self.ldb("ldbadd", SEED)
        self.ldb("ldbmodify", f"dn: CN=gone,{EMPLOYEES}\nchangetype: delete\n")

    def start(self) -> None:
        with (self.folder / "log.samba").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(SAMBA, "-s", self.folder / "etc" / "smb.conf", "-i", "-M", "single"),
                    "--debug-stdout",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection((self.host, LDAP_PORT), 1).close()
                return
            assert self._process.poll() is None, (self.folder / "log.samba").read_text()
            time.sleep(0.05)
        raise AssertionError("samba does not listen")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_START_SECONDS)
            # It has children, which need not end with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def set_value(self, dn: str, attribute: str, *values: str) -> None:
        """Replace the values of an attribute while the domain is served."""
        lines = "".join(f"{attribute}: {value}\n" for value in values)
        self.ldb("ldbmodify", f"dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{lines}")

    def env(self, **more: str) -> dict[str, str]:
        """Return the settings of Bennu for this directory; ``more`` without PHOENIX_LDAP_."""
        values = {
            "HOST": self.host,
            "TLS_CA_CERT_FILE": str(self.folder / "ca.pem"),
            "BIND_DN": SERVICE_DN,
            "BIND_PASSWORD": SERVICE_PASSWORD,
            "USER_SEARCH_BASE_DNS": f"{EMPLOYEES};{CONTRACTORS}",
            "ATTR_UNIQUE_ID": "objectGUID",
            **more,
        }
        return {f"PHOENIX_LDAP_{name}": value for name, value in values.items()}


@pytest.fixture(scope="session")
def samba(pki: Pki) -> Iterator[SambaServer]:
    """One domain for the whole run; tests that change it change it back."""
    if not SAMBA.exists() or shutil.which("ldbadd") is None:
        pytest.skip("Samba is not installed; `make setup-test` installs it")
    if os.geteuid() != 0:
        pytest.skip("a domain controller listens on port 389, which needs root")
    folder = Path(tempfile.mkdtemp(prefix="bennu-samba-"))
    try:
        server = SambaServer(folder, pki)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
