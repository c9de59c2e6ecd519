"""A certificate authority of our own, made with the openssl command."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

LOCAL_NAMES = "DNS:localhost,IP:127.0.0.1,IP:::1"
KEY_PASSWORD = "s3cr3t-of-the-key"


def openssl(folder: Path, *arguments: str) -> None:
    """Run one openssl command in ``folder``."""
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def openssl_text(key: Path) -> str:
    """Return what openssl says about a private key, its kind among it."""
    done = subprocess.run(
        ["openssl", "pkey", "-in", str(key), "-noout", "-text"],
        capture_output=True,
        text=True,
        check=True,
    )
    return "RSA" if "publicExponent" in done.stdout else done.stdout


@dataclass(frozen=True)
class Certificate:
    """Paths of a certificate and of its key."""

    cert: Path
    key: Path


class Authority:
    """One authority in a folder of its own; issues as many certificates as a test wants."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.cert, self.key = folder / "ca.pem", folder / "ca.key"
        self._make_key("ca")
        openssl(
            folder,
            *("req", "-x509", "-new", "-key", "ca.key", "-sha256", "-days", "30"),
            *("-subj", f"/O=Test/CN={name}", "-out", "ca.pem"),
            *("-addext", "basicConstraints=critical,CA:TRUE"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    def _make_key(self, name: str, algorithm: str = "EC") -> None:
        option = "ec_paramgen_curve:P-256" if algorithm == "EC" else "rsa_keygen_bits:2048"
        parameters = ("-algorithm", algorithm, "-pkeyopt", option)
        openssl(self.folder, "genpkey", *parameters, "-out", f"{name}.key")

    def issue(
        self,
        name: str,
        subject: str,
        *,
        names: str = LOCAL_NAMES,
        usage: str = "serverAuth",
        days: int = 30,
        algorithm: str = "EC",
    ) -> Certificate:
        """Issue a certificate; ``names`` is a subjectAltName as openssl writes it.

        Args:
            days: how long it is good from now; below 0 it has expired (openssl calls it so).
            algorithm: ``EC`` (P-256) or ``RSA`` (2048 bits).
        """
        self._make_key(name, algorithm)
        openssl(
            self.folder,
            "req",
            "-new",
            "-key",
            f"{name}.key",
            "-subj",
            subject,
            "-out",
            f"{name}.csr",
        )
        (self.folder / f"{name}.ext").write_text(
            f"subjectAltName={names}\nextendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n"
            "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
        )
        openssl(
            self.folder,
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-sha256", "-days", str(days)),
            *("-extfile", f"{name}.ext", "-out", f"{name}.pem"),
        )
        return Certificate(self.folder / f"{name}.pem", self.folder / f"{name}.key")

    def encrypt_key(self, certificate: Certificate, password: str = KEY_PASSWORD) -> Certificate:
        """Return the same certificate with a copy of its key that needs a password."""
        encrypted = certificate.key.with_suffix(".enc.key")
        openssl(
            self.folder,
            *("pkcs8", "-topk8", "-in", certificate.key.name, "-out", encrypted.name),
            *("-passout", f"pass:{password}", "-v2", "aes-256-cbc"),
        )
        return Certificate(certificate.cert, encrypted)

    def encrypt_key_traditionally(
        self, certificate: Certificate, password: str = KEY_PASSWORD
    ) -> Certificate:
        """Return the same with a key in the form that OpenSSL wrote before PKCS#8."""
        encrypted = certificate.key.with_suffix(".old.key")
        kind = "rsa" if "RSA" in openssl_text(certificate.key) else "ec"
        form = ("-traditional",) if kind == "rsa" else ()
        openssl(
            self.folder,
            *(kind, *form, "-in", certificate.key.name, "-out", encrypted.name),
            *("-aes256", "-passout", f"pass:{password}"),
        )
        return Certificate(certificate.cert, encrypted)

    def revocation_list(self, *revoked: Certificate) -> Path:
        """Return a list that revokes these certificates."""
        (self.folder / "index.txt").write_text("")
        (self.folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca=test\n[test]\ndatabase=index.txt\ncertificate=ca.pem\n"
            "private_key=ca.key\ndefault_md=sha256\ndefault_crl_days=30\n"
        )
        for certificate in revoked:
            openssl(self.folder, "ca", "-config", "ca.cnf", "-revoke", certificate.cert.name)
        openssl(self.folder, "ca", "-config", "ca.cnf", "-gencrl", "-out", "ca.crl")
        return self.folder / "ca.crl"


@dataclass(frozen=True)
class Pki:
    """What most tests need: a trusted authority and one that nobody trusts."""

    authority: Authority
    foreign: Authority
    server: Certificate
    client: Certificate
    foreign_client: Certificate


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Make both authorities once per run."""
    folder = tmp_path_factory.mktemp("pki")
    authority = Authority(folder / "trusted")
    foreign = Authority(folder / "foreign", "Foreign CA")
    subject, names = "/O=Test/OU=Agents/CN=agent-7", "email:agent7@corp.test"
    return Pki(
        authority=authority,
        foreign=foreign,
        server=authority.issue("server", "/O=Test/CN=localhost"),
        client=authority.issue("client", subject, names=names, usage="clientAuth"),
        foreign_client=foreign.issue("client", subject, names=names, usage="clientAuth"),
    )
