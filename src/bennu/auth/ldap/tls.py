"""TLS of the directory: what is demanded and shown, StartTLS, the handshake, what was wrong.

It is that of Python: it can be interrupted, says its reasons in plain words, and opens keys that
have a password; the one inside the LDAP library does none of these.

Spec: lines 30-31, 48-51 (TLS modes), 84-90. Source: RFC 4511 section 4.14 (StartTLS), RFC 4513
section 3.1.3 (names in certificates).
"""

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Final

from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.faults import LdapFault, Step
from bennu.auth.ldap.settings import LdapServer, LdapSettings
from bennu.auth.ldap.wire import wait_for

STARTTLS: Final = "starttls"
NO_TLS: Final = "none"
_MOST_ANSWER_BYTES: Final = 4096

#: An extended request of message 1 with the name 1.3.6.1.4.1.1466.20037.
_START_TLS_REQUEST: Final = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
_SEQUENCE: Final = 0x30
_EXTENDED_RESPONSE: Final = 0x78
_ENUMERATED: Final = 0x0A
_LONG_LENGTH: Final = 0x80

_HOST: Final = "PHOENIX_LDAP_HOST"
_PORT: Final = "PHOENIX_LDAP_PORT"
_MODE: Final = "PHOENIX_LDAP_TLS_MODE"
_VERIFY: Final = "PHOENIX_LDAP_TLS_VERIFY"
_CA: Final = "PHOENIX_LDAP_TLS_CA_CERT_FILE"
_CERT: Final = "PHOENIX_LDAP_TLS_CLIENT_CERT_FILE"
_KEY: Final = "PHOENIX_LDAP_TLS_CLIENT_KEY_FILE"
_KEY_PASSWORD: Final = "PHOENIX_LDAP_TLS_CLIENT_KEY_FILE_PASSWORD"  # noqa: S105 - a name

#: OpenSSL's numbers of what is wrong with a certificate (X509_V_ERR_…).
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_WRONG_NAMES: Final = frozenset({62, 64})


class TlsContexts:
    """What TLS to the directory demands and shows, read again when a file of it was replaced.

    Raises:
        LdapFault: a file cannot be used.
    """

    def __init__(self, settings: LdapSettings) -> None:
        self._settings = settings
        names = (
            settings.tls_ca_cert_file,
            settings.tls_client_cert_file,
            settings.tls_client_key_file,
        )
        self._files = tuple(path for path in names if path is not None)
        self._known = (self._versions(), make_tls_context(settings))

    def _versions(self) -> tuple[tuple[int, int, int], ...]:
        try:
            found = [path.stat() for path in self._files]
        except OSError:
            return ()
        return tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in found)

    def current(self) -> ssl.SSLContext | None:
        """Return the context, None for the mode without TLS.

        Files that cannot be used, such as a certificate whose key is not there yet, are read
        again next time; until then what was read before stays.
        """
        versions = self._versions()
        if versions != self._known[0]:
            with contextlib.suppress(LdapFault):
                self._known = (versions, make_tls_context(self._settings))
        return self._known[1]


def make_tls_context(settings: LdapSettings) -> ssl.SSLContext | None:
    """Return what TLS to the directory demands and shows; None for the mode without TLS.

    Raises:
        LdapFault: a file cannot be used.
    """
    if settings.tls_mode == NO_TLS:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # An authority of one's own need not be a root.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _load_authorities(context, settings.tls_ca_cert_file)
    _load_client_certificate(context, settings)
    if not settings.tls_verify:
        # Why safe: it is not; the operator asked for it and every start warns of it.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_authorities(context: ssl.SSLContext, file: Path | None) -> None:
    if file is None:
        context.load_default_certs()
        return
    try:
        context.load_verify_locations(file)
    except OSError as error:  # ssl.SSLError is one
        reason = "no certificates in PEM form" if isinstance(error, ssl.SSLError) else str(error)
        raise LdapFault(Step.TLS, f"{file}: {reason}", (_CA,)) from None


def _load_client_certificate(context: ssl.SSLContext, settings: LdapSettings) -> None:
    if settings.tls_client_cert_file is None:
        return
    given = settings.tls_client_key_password
    # Never ask on the terminal: without a password an encrypted key is refused.
    password = "" if given is None else given.reveal()
    try:
        context.load_cert_chain(
            settings.tls_client_cert_file, settings.tls_client_key_file, lambda: password
        )
    except (OSError, ValueError) as error:
        text = str(error)
        is_mismatch = "MISMATCH" in text
        variables = (_CERT, _KEY) if is_mismatch else (_KEY, _KEY_PASSWORD, _CERT)
        reason = "the key is not that of the certificate" if is_mismatch else text
        raise LdapFault(Step.TLS, f"client certificate: {reason}", variables) from None


def secure(
    connection: socket.socket,
    server: LdapServer,
    mode: str,
    deadline: Deadline,
    context: ssl.SSLContext,
) -> ssl.SSLSocket:
    """Put TLS on a connection, after asking for it in the mode ``starttls``.

    The connection is closed when that fails.

    Raises:
        LdapFault: the server does not want it, or shows a certificate that is not acceptable.
    """
    current = connection
    try:
        if mode == STARTTLS:
            _ask_for_tls(connection, deadline)
        secured = context.wrap_socket(
            connection, server_hostname=server.host, do_handshake_on_connect=False
        )
        current = secured
        _shake_hands(secured, deadline)
    except BaseException as error:
        current.close()
        if isinstance(error, ssl.SSLError):
            raise tls_fault(error) from None
        if isinstance(error, OSError):
            raise _cut_off(error) from None
        raise
    return secured


def _ask_for_tls(connection: socket.socket, deadline: Deadline) -> None:
    """Send StartTLS and read its answer, byte by byte so that nothing of TLS is taken away."""
    connection.send(_START_TLS_REQUEST)
    answer = b""
    while (left := _missing_bytes(answer)) > 0:
        wait_for(connection, deadline, Step.TLS)
        part = connection.recv(left)
        if not part or len(answer) > _MOST_ANSWER_BYTES:
            raise ConnectionResetError("the server ended the connection")
        answer += part
    code = _result_code(answer)
    if code != 0:
        raise LdapFault(
            Step.TLS,
            f"the server refuses StartTLS (result code {code}); does it speak TLS at all?",
            (_MODE, _PORT),
            is_of_host=True,
        )


def _missing_bytes(answer: bytes) -> int:
    """Return how many bytes of one BER value may be read without reading beyond its end."""
    if len(answer) < 2:  # noqa: PLR2004 - tag and length
        return 2 - len(answer)
    if answer[0] != _SEQUENCE:
        raise ConnectionResetError("the answer is not LDAP")
    header, length = 2, answer[1]
    if length >= _LONG_LENGTH:
        header += length - _LONG_LENGTH
        if len(answer) < header:
            return header - len(answer)
        length = int.from_bytes(answer[2:header], "big")
    if length > _MOST_ANSWER_BYTES:
        raise ConnectionResetError("the answer is not one to StartTLS")
    return header + length - len(answer)


def _result_code(answer: bytes) -> int:
    """Return the result code of an extended response; -1 when it is something else."""
    start = answer.find(bytes([_ENUMERATED, 1]))
    is_response = bytes([_EXTENDED_RESPONSE]) in answer[:12]
    return answer[start + 2] if is_response and 0 < start < len(answer) - 2 else -1


def _shake_hands(secured: ssl.SSLSocket, deadline: Deadline) -> None:
    while True:
        try:
            secured.do_handshake()
        except ssl.SSLWantReadError:
            wait_for(secured, deadline, Step.TLS)
        except ssl.SSLWantWriteError:
            wait_for(secured, deadline, Step.TLS, to_write=True)
        else:
            return


def tls_fault(error: ssl.SSLError) -> LdapFault:
    """Return what was wrong, in words for people and with the settings to look at."""
    if isinstance(error, ssl.SSLCertVerificationError):
        code, reason = error.verify_code, error.verify_message
        if code in _WRONG_NAMES:
            variables: tuple[str, ...] = (_HOST, _CA, _VERIFY)
        elif code in {_EXPIRED, _NOT_YET_VALID}:
            reason += "; or the clock of this machine is wrong"
            variables = (_HOST, _CA, _VERIFY)
        else:
            variables = (_CA, _VERIFY, _HOST)
        text = f"the certificate of the server is not accepted: {reason}"
        return LdapFault(Step.TLS, text, variables, is_of_host=True)
    if isinstance(error, ssl.SSLEOFError):
        reason = "the server ended the connection"
        return LdapFault(Step.TLS, reason, (_MODE, _PORT, _CERT, _KEY), is_of_host=True)
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if "alert" in reason or "certificate required" in reason:
        variables = (_CERT, _KEY, _CA, _MODE)
    else:
        variables = (_MODE, _PORT, _CA)
    return LdapFault(Step.TLS, reason, variables, is_of_host=True)


def _cut_off(error: OSError) -> LdapFault:
    reason = error.strerror or str(error)
    return LdapFault(Step.TLS, reason, (_MODE, _PORT, _CERT), is_of_host=True)
