"""A directory of our own: OpenLDAP with StartTLS, ldaps, memberOf and password policies."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from peers.pki import Certificate, Pki
from started import free_port

SLAPD = Path("/usr/sbin/slapd")
MODULES = Path("/usr/lib/ldap")
SUFFIX = "dc=corp,dc=test"
ADMIN_DN, ADMIN_PASSWORD = f"cn=admin,{SUFFIX}", "adminpw"
SERVICE_DN, SERVICE_PASSWORD = f"cn=phoenix,ou=services,{SUFFIX}", "svcpw"
PEOPLE, CONTRACTORS = f"ou=people,{SUFFIX}", f"ou=contractors,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
HOST = "127.0.0.1"
_START_SECONDS = 20

#: At most 500 entries for one request, any number in pages.
LIMITS = "limits * size.soft=500 size.pr=500 size.prtotal=unlimited"

_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath {modules}
moduleload back_mdb
moduleload memberof
moduleload refint
moduleload ppolicy
TLSCACertificateFile {folder}/ca.pem
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
TLSVerifyClient {verify_client}
TLSProtocolMin 3.3
sizelimit 500
database mdb
suffix "{suffix}"
rootdn "{admin_dn}"
rootpw {admin_password}
directory {folder}/db
{limits}
maxsize 67108864
dbnosync
index objectClass eq
index uid,mail,member,memberUid,entryUUID eq
access to attrs=userPassword by anonymous auth by self write by * none
access to * by users read by * none
overlay memberof
memberof-group-oc groupOfNames
memberof-member-ad member
memberof-memberof-ad memberOf
overlay refint
refint_attributes memberOf member
overlay ppolicy
"""


class SlapdServer:
    """One directory in a folder of its own; started, frozen, restarted and killed at will.

    Args:
        folder: short, as a socket lies in it.
        pki: whose authority client certificates are checked against.
        certificate: of the server; that of ``pki`` by default.
        verify_client: ``never``, or ``demand`` for client certificates.
    """

    def __init__(
        self,
        folder: Path,
        pki: Pki,
        certificate: Certificate | None = None,
        verify_client: str = "never",
    ) -> None:
        self.folder, self.host = folder, HOST
        self.port, self.tls_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        # Debian's own user for it, where this runs as root.
        self._user = "openldap" if os.geteuid() == 0 else None
        (folder / "db").mkdir()
        pair = certificate or pki.server
        shutil.copyfile(pki.authority.cert, folder / "ca.pem")
        shutil.copyfile(pair.cert, folder / "server.pem")
        shutil.copyfile(pair.key, folder / "server.key")
        (folder / "slapd.conf").write_text(
            _CONFIGURATION.format(
                modules=MODULES,
                folder=folder,
                verify_client=verify_client,
                limits=LIMITS,
                suffix=SUFFIX,
                admin_dn=ADMIN_DN,
                admin_password=ADMIN_PASSWORD,
            )
        )
        if self._user is not None:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, self._user, self._user)

    @property
    def _socket(self) -> str:
        return f"ldapi://{quote(str(self.folder / 'ldapi'), safe='')}"

    def start(self) -> None:
        addresses = f"ldap://{HOST}:{self.port} ldaps://{HOST}:{self.tls_port} {self._socket}"
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [SLAPD, "-f", self.folder / "slapd.conf", "-h", addresses, "-d", "0"],
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else [],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 1):
                return
            assert self._process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.01)
        raise AssertionError("slapd does not listen")

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(_START_SECONDS)
            self._process = None

    def restart_with_limits(self, line: str) -> None:
        """Restart with other limits; see slapd.conf(5)."""
        self.stop()
        file = self.folder / "slapd.conf"
        file.write_text(file.read_text().replace(LIMITS, line))
        self.start()

    def freeze(self) -> None:
        """Keep every connection open and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        status = Path(f"/proc/{self._process.pid}/stat")
        while status.read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.001)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _run(self, program: str, ldif: str) -> None:
        done = subprocess.run(
            [program, "-H", self._socket, "-x", "-D", ADMIN_DN, "-w", ADMIN_PASSWORD],
            input=ldif,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def add(self, ldif: str) -> None:
        """Add entries as the directory's own admin."""
        self._run("ldapadd", ldif)

    def modify(self, ldif: str) -> None:
        """Change entries as the directory's own admin."""
        self._run("ldapmodify", ldif)

    def set_values(self, dn: str, attribute: str, *values: str) -> None:
        """Replace the values of an attribute; none removes it."""
        lines = "".join(f"{attribute}: {value}\n" for value in values)
        self.modify(f"dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{lines}")

    def env(self, **more: str) -> dict[str, str]:
        """Return the settings of Bennu for this directory; ``more`` without PHOENIX_LDAP_."""
        values = {
            "HOST": HOST,
            "PORT": str(self.port),
            "TLS_CA_CERT_FILE": str(self.folder / "ca.pem"),
            "BIND_DN": SERVICE_DN,
            "BIND_PASSWORD": SERVICE_PASSWORD,
            "USER_SEARCH_BASE_DNS": PEOPLE,
            "USER_SEARCH_FILTER": "(&(objectClass=inetOrgPerson)(uid=%s))",
            "ATTR_DISPLAY_NAME": "cn",
            "ATTR_UNIQUE_ID": "entryUUID",
            **more,
        }
        return {f"PHOENIX_LDAP_{name}": value for name, value in values.items()}


@contextlib.contextmanager
def running_slapd(
    pki: Pki, certificate: Certificate | None = None, verify_client: str = "never"
) -> Iterator[SlapdServer]:
    """Run a directory with the people of ``corp.ldif`` for as long as the context lasts."""
    if not SLAPD.exists():
        pytest.skip("slapd is not installed; `make setup-test` installs it")
    folder = Path(tempfile.mkdtemp(prefix="bennu-slapd-"))
    try:
        server = SlapdServer(folder, pki, certificate, verify_client)
        server.start()
        try:
            server.add((Path(__file__).parent / "corp.ldif").read_text("utf-8"))
            server.set_values(f"uid=locked,{PEOPLE}", "pwdAccountLockedTime", "000001010000Z")
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def slapd(pki: Pki) -> Iterator[SlapdServer]:
    """One directory for the whole run; change and stop only ``own_slapd``."""
    with running_slapd(pki) as server:
        yield server


@pytest.fixture
def own_slapd(pki: Pki) -> Iterator[SlapdServer]:
    """A directory for one test, which may do with it what it likes."""
    with running_slapd(pki) as server:
        yield server
