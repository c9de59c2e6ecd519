"""A real SMTP server of its own, with STARTTLS or TLS, that asks for a password."""

import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from peers.pki import Certificate, Pki
from started import free_port

USER, PASSWORD = "bennu", "p4ss-of-the-mail-server"
ARRIVAL_SECONDS = 30


@dataclass
class Arrived:
    """One mail as the server took it."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    over_tls: bool
    signed_in_as: str

    @property
    def text(self) -> str:
        return str(self.message.get_content())


@dataclass
class MailPeer:
    """The server; what arrived at it, and how it is to behave."""

    port: int = 0
    arrived: list[Arrived] = field(default_factory=list)
    attempts: int = 0
    #: This many attempts are answered with a temporary failure first.
    failures: int = 0

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _: Any, session: Session, envelope: Envelope
    ) -> str:
        self.attempts += 1
        if self.attempts <= self.failures:
            return "451 Try again later"
        raw = envelope.original_content or b""
        message = message_from_bytes(raw, policy=default)
        assert isinstance(message, EmailMessage)
        login = session.auth_data.login.decode() if session.auth_data else ""
        sender, recipients = str(envelope.mail_from), [str(to) for to in envelope.rcpt_tos]
        over_tls = session.ssl is not None
        self.arrived.append(Arrived(sender, recipients, message, over_tls, login))
        return "250 OK"

    def wait_for(self, count: int) -> list[Arrived]:
        """Return what arrived once it is so much."""
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while len(self.arrived) < count:
            assert time.monotonic() < deadline, f"{len(self.arrived)} of {count} mails arrived"
            time.sleep(0.02)
        return self.arrived


def _authenticate(_: Any, __: Any, ___: Any, ____: str, data: LoginPassword) -> AuthResult:
    is_right = data == LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=is_right, handled=False, auth_data=data)


def _context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    return context


def _running(peer: MailPeer, certificate: Certificate | None, *, at_once: bool) -> Controller:
    """Start a server; without a certificate it offers no TLS and asks for no password."""
    context = None if certificate is None else _context(certificate)
    account: dict[str, Any] = {}
    if context is not None:
        account = {"authenticator": _authenticate, "auth_required": True}
    if not at_once and context is not None:
        account |= {"tls_context": context, "require_starttls": True}
    controller = Controller(
        peer,
        hostname="127.0.0.1",
        port=free_port(),
        ready_timeout=ARRIVAL_SECONDS,
        ssl_context=context if at_once else None,
        auth_require_tls=not at_once,
        **account,
    )
    controller.start()
    peer.port = controller.port
    return controller


@pytest.fixture
def mail_server(pki: Pki) -> Iterator[MailPeer]:
    """A server that insists on STARTTLS and on a password."""
    peer = MailPeer()
    controller = _running(peer, pki.server, at_once=False)
    yield peer
    controller.stop()


@pytest.fixture
def plain_mail_server() -> Iterator[MailPeer]:
    """A server that offers no TLS at all."""
    peer = MailPeer()
    controller = _running(peer, None, at_once=False)
    yield peer
    controller.stop()
