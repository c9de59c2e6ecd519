"""Certificates and private keys: read, compared, made.

The one file that asks ``cryptography`` about certificates.

Spec: lines 179-204, 286-292.
Source: RFC 5280 (certificates), RFC 4514 (names as text), RFC 7468 (PEM).
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

RSA_BITS: Final = 2048
EC_BITS: Final = 256
#: Clocks differ a little; a new certificate is good at once on all of them.
_BACKDATED: Final = timedelta(hours=1)
#: Names of attributes beside those of RFC 4514, as openssl writes them.
_ATTRIBUTES: Final = {
    "emailAddress": NameOID.EMAIL_ADDRESS,
    "E": NameOID.EMAIL_ADDRESS,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "GN": NameOID.GIVEN_NAME,
    "SN": NameOID.SURNAME,
    "title": NameOID.TITLE,
}
_SLASHED: Final = re.compile(r"/(?=[A-Za-z0-9.]+=)")
_SPACED: Final = re.compile(r"(^|(?<!\\)[,+])\s*([A-Za-z][A-Za-z0-9]*|[0-9.]+)\s*=\s*")
_SPECIAL: Final = re.compile(r'([,+"\\<>;])')
_KEY_BLOCK: Final = re.compile(
    rb"-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL
)

#: What the library raises for a certificate or key that it cannot read; only the first is a
#: ValueError.
UNREADABLE: Final = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

ServerKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
#: A distinguished name in comparable form: its parts in the order of the certificate.
NameKey = tuple[frozenset[tuple[str, str]], ...]


class PemError(ValueError):
    """What was read is not what it should be; the text says what is wrong, without secrets."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says.

    Args:
        subject: RFC 4514, the most special part first, such as ``CN=agent-7,O=Example``.
        issuer: written alike.
        names: alternative names with their kind: ``DNS:``, ``IP:``, ``email:``, ``URI:``.
        not_before_utc: good from then.
        not_after_utc: good until then.
        fingerprint: SHA-256 of the DER form, 64 hexadecimal digits.
        key: kind and size of its key, such as ``RSA 2048``.
        key_is_strong: whether TLS of today takes that key.
        public_key: DER of its public key, to compare with a private one.
        subject_key: the subject in comparable form.
        may_serve: whether its extended usages, if any, allow a server.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before_utc: datetime
    not_after_utc: datetime
    fingerprint: str
    key: str
    key_is_strong: bool
    public_key: bytes = field(repr=False)
    subject_key: NameKey = field(repr=False)
    may_serve: bool = True

    @property
    def is_self_issued(self) -> bool:
        """Whether it names itself as its issuer."""
        return self.subject == self.issuer


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A private key that was read.

    Args:
        key: kind and size, such as ``EC secp256r1``.
        public_key: DER of its public half.
        pem: the key without a password, PKCS#8; kept in memory only.
        was_encrypted: whether it needed a password.
    """

    key: str
    public_key: bytes = field(repr=False)
    pem: bytes = field(repr=False)
    was_encrypted: bool = False


# --- reading -------------------------------------------------------------------------------


def read_certificates(pem: bytes) -> tuple[CertificateFacts, ...]:
    """Return every certificate of a PEM file, in its order, at least one.

    Raises:
        PemError: there is none, or one cannot be read.
    """
    return tuple(_facts_of(certificate) for certificate in _parse_all(pem))


def read_certificate_der(der: bytes) -> CertificateFacts:
    """Return what one certificate in DER form says.

    Raises:
        PemError: it cannot be read.
    """
    try:
        return _facts_of(x509.load_der_x509_certificate(der))
    except UNREADABLE as error:
        raise PemError(f"not a certificate ({error})") from None


def chain_gap(pem: bytes) -> str:
    """Return where a chain does not fit together, "" when each one issued the one before."""
    chain = _parse_all(pem)
    for number, (issued, issuer) in enumerate(pairwise(chain), start=1):
        try:
            issued.verify_directly_issued_by(issuer)
        except (*UNREADABLE, TypeError, InvalidSignature):
            return (
                f"certificate {number + 1} ({issuer.subject.rfc4514_string()}) did not issue "
                f"certificate {number} ({issued.subject.rfc4514_string()})"
            )
    return ""


def read_private_key(pem: bytes, password: str) -> KeyFacts:
    """Read a private key: PKCS#8 or traditional, RSA or EC, encrypted or not.

    Args:
        pem: the file; what stands before or after the key is skipped.
        password: only used where the key is encrypted; "" for none.

    Raises:
        PemError: there is none, it is of another kind, or the password is wrong or missing.
    """
    found = _KEY_BLOCK.search(pem)
    if found is None:
        raise PemError("no private key in PEM form")
    block = found[0]
    is_encrypted = b"ENCRYPTED" in block[:200]
    if is_encrypted and not password:
        raise PemError("the key is encrypted and there is no password")
    secret = password.encode() if is_encrypted else None
    try:
        key = serialization.load_pem_private_key(block, secret)
    except (ValueError, TypeError) as error:
        wrong = "wrong password" if is_encrypted and "password" in str(error).lower() else ""
        raise PemError(wrong or "the private key cannot be read") from None
    except UnsupportedAlgorithm:
        raise PemError("a private key of a kind that is not known") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise PemError("the key is neither RSA nor EC, so that not every client could connect")
    return KeyFacts(_kind_of(key.public_key())[0], _public(key), _plain_pem(key), is_encrypted)


def _parse_all(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except UNREADABLE:
        raise PemError("no certificate in PEM form, or one that cannot be read") from None


def _facts_of(certificate: x509.Certificate) -> CertificateFacts:
    try:
        public_key = certificate.public_key()
        kind, is_strong = _kind_of(public_key)
        return CertificateFacts(
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            names=_alternative_names(certificate),
            not_before_utc=certificate.not_valid_before_utc,
            not_after_utc=certificate.not_valid_after_utc,
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            key=kind,
            key_is_strong=is_strong,
            public_key=_spki(public_key),
            subject_key=_name_key(certificate.subject),
            may_serve=_may_serve(certificate),
        )
    except UNREADABLE as error:
        raise PemError(f"a certificate that cannot be read ({error})") from None


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    kinds: tuple[tuple[str, type[x509.GeneralName]], ...] = (
        ("DNS", x509.DNSName),
        ("IP", x509.IPAddress),
        ("email", x509.RFC822Name),
        ("URI", x509.UniformResourceIdentifier),
    )
    return tuple(
        f"{prefix}:{name.value}"
        for name in names
        for prefix, kind in kinds
        if isinstance(name, kind)
    )


def _may_serve(certificate: x509.Certificate) -> bool:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    allowed = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return any(usage in allowed for usage in usages)


def _kind_of(key: object) -> tuple[str, bool]:
    """Return kind and size of a public key, and whether TLS of today takes it."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}", key.key_size >= RSA_BITS
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}", key.curve.key_size >= EC_BITS
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return type(key).__name__.removesuffix("PublicKey"), True
    return "unknown", False


def _spki(key: object) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    encoded: bytes = key.public_bytes(serialization.Encoding.DER, form)  # type: ignore[attr-defined]
    return encoded


def _public(key: ServerKey) -> bytes:
    return _spki(key.public_key())


def _plain_pem(key: ServerKey) -> bytes:
    # Why safe: it stays in memory; grpc takes no encrypted key.
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


# --- names ---------------------------------------------------------------------------------


def subject_keys(text: str) -> frozenset[NameKey]:
    """Read a distinguished name in either order, as RFC 4514 or openssl write it.

    ``CN=agent-7,O=Example``, ``O = Example, CN = agent-7`` and ``/O=Example/CN=agent-7`` are the
    same name; it is compared as a whole, never in part.

    Raises:
        PemError: it is no distinguished name.
    """
    key = _name_key(_name_of(text))
    return frozenset({key, key[::-1]})


def _name_of(text: str) -> x509.Name:
    if text.startswith("/"):
        parts = [_SPECIAL.sub(r"\\\1", part) for part in _SLASHED.split(text) if part]
        text = ",".join(reversed(parts))
    try:
        return x509.Name.from_rfc4514_string(_SPACED.sub(r"\1\2=", text.strip()), _ATTRIBUTES)
    except ValueError:
        raise PemError(f"not a distinguished name: {text}") from None


def _name_key(name: x509.Name) -> NameKey:
    return tuple(
        frozenset((part.oid.dotted_string, str(part.value)) for part in rdn) for rdn in name.rdns
    )


# --- making --------------------------------------------------------------------------------


def make_self_signed(
    hosts: Sequence[str], days: int, now_utc: datetime, *, use_ec: bool = False
) -> tuple[bytes, bytes]:
    """Make a key and a certificate that it signs itself, for development and tests.

    Args:
        hosts: names and addresses that the certificate is good for; the first is its subject.
        days: how long it is good, at least 1.
        now_utc: the time.
        use_ec: P-256 instead of RSA 2048, which the ``-modulus`` of the spec needs.

    Returns:
        Certificate and key, both PEM; the key PKCS#8 without a password.

    Raises:
        PemError: a host is neither a name nor an address.
    """
    names = [_host(host) for host in hosts]
    key: ServerKey
    if use_ec:
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_encipherment=not use_ec,
        key_cert_sign=False,
        crl_sign=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    public_key = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now_utc - _BACKDATED)
        .not_valid_after(now_utc + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), _plain_pem(key)


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    if re.fullmatch(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*", text):
        return x509.DNSName(text)
    raise PemError(f"neither a host name nor an address: {text}")
