"""Mail: the server that sends it, and the one file that speaks SMTP.

Mail goes out after the request that caused it was answered, so that nobody learns from the time
of an answer whether there was anything to send. It is never sent without TLS.

Spec: line 167 (the password is sealed where it is stored). Contract: section 1f.
Source: RFC 5321, RFC 8314 section 3, RFC 3834 section 5 (automatic messages).
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Any, Final, Self

from bennu.kernel.clock import Clock
from bennu.kernel.env import Env, Variable
from bennu.kernel.errors import AppError, UnavailableError
from bennu.kernel.ids import Entropy
from bennu.kernel.secret import Secret

logger: Final = logging.getLogger("bennu.mail")

VARIABLES: Final = (
    Variable(
        "PHOENIX_SMTP_HOSTNAME",
        "text",
        "",
        "The mail server; without it no mail is sent.",
        167,
    ),
    Variable(
        "PHOENIX_SMTP_PORT",
        "whole number",
        "587",
        "Its port, 1 to 65535; 465 speaks TLS from the start, others STARTTLS.",
    ),
    Variable("PHOENIX_SMTP_USERNAME", "text", "", "The account at the mail server."),
    Variable(
        "PHOENIX_SMTP_PASSWORD",
        "text",
        "",
        "The password of that account.",
        167,
        secret=True,
    ),
    Variable("PHOENIX_SMTP_MAIL_FROM", "email", "noreply@localhost", "The sender of every mail."),
    Variable(
        "PHOENIX_SMTP_VALIDATE_CERTS",
        "flag",
        "true",
        "Whether the certificate of the mail server is checked.",
    ),
    Variable(
        "PHOENIX_SMTP_TLS_CA_CERT_FILE",
        "file",
        "the authorities of the system",
        "Authorities of the mail server's certificate, where they are your own; PEM.",
    ),
)

_HOST: Final = re.compile(r"[A-Za-z0-9_.:-]+|\[[0-9A-Fa-f:.]+\]")
_SENDER: Final = re.compile(r"([^<>@\r\n]*<[^@\s<>]+@[^@\s<>]+>|[^@\s<>]+@[^@\s<>]+)")
_MAX_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class MailSettings:
    """The mail server.

    Args:
        hostname: "" when no mail is sent.
        port: 1 to 65535.
        username: the account; given with a host name.
        password: of the account; given with a host name.
        mail_from: the sender of every mail.
        validate_certs: whether the certificate of the server is checked.
        ca_file: authorities in place of those of the system; holds for a stored server too.
    """

    hostname: str = ""
    port: int = 587
    username: str = ""
    password: Secret | None = None
    mail_from: str = "noreply@localhost"
    validate_certs: bool = True
    ca_file: Path | None = None

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read the mail server; user name and password are required with a host name."""
        settings = cls(
            hostname=env.text("PHOENIX_SMTP_HOSTNAME"),
            port=env.whole("PHOENIX_SMTP_PORT", 587, 1, _MAX_PORT),
            username=env.text("PHOENIX_SMTP_USERNAME"),
            password=env.secret("PHOENIX_SMTP_PASSWORD"),
            mail_from=env.text("PHOENIX_SMTP_MAIL_FROM", "noreply@localhost"),
            validate_certs=env.flag("PHOENIX_SMTP_VALIDATE_CERTS", default=True),
            ca_file=env.file("PHOENIX_SMTP_TLS_CA_CERT_FILE"),
        )
        if _SENDER.fullmatch(settings.mail_from) is None:
            env.refuse("PHOENIX_SMTP_MAIL_FROM", "an email address")
        if settings.hostname:
            _check_account(settings, env)
        return settings


def _check_account(settings: MailSettings, env: Env) -> None:
    if _HOST.fullmatch(settings.hostname) is None:
        env.refuse("PHOENIX_SMTP_HOSTNAME", "a host name or an IP address, without a port")
    for name in ("PHOENIX_SMTP_USERNAME", "PHOENIX_SMTP_PASSWORD"):
        if not env.is_set(name):
            env.refuse(name, "set, because PHOENIX_SMTP_HOSTNAME is set", secret=True)
    if not settings.validate_certs:
        env.warn("PHOENIX_SMTP_VALIDATE_CERTS", "the password may go to anybody in between")


# --- sending -------------------------------------------------------------------------------

TLS_PORT: Final = 465
_TIMEOUT_SECONDS: Final = 20
#: Before the second and the third attempt; a reset link lives for minutes only.
RETRY_SECONDS: Final = (2.0, 15.0)
_MOST_WAITING: Final = 200
_WORKERS: Final = 2
_STOP_SECONDS: Final = 3.0


class MailError(UnavailableError):
    """The mail server did not take a mail; the detail names the kind of failure only."""

    code = "mail"


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to one address, as plain text; the text may hold a link that nobody may log."""

    to: str
    subject: str
    text: str


#: Asked for the server when there is something to send: the settings or what is stored.
FindServer = Callable[[], Awaitable[MailSettings | None]]
#: Prepares a mail in the background; None when there is nothing to send.
Draft = Callable[[], Awaitable[Mail | None]]
Send = Callable[[MailSettings, Mail], Awaitable[None]]


class SmtpTalker:
    """Speaks SMTP with TLS from the start or from STARTTLS on, never without."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock, self._entropy = clock, entropy

    async def send(self, server: MailSettings, mail: Mail) -> None:
        """Hand one mail to the server.

        Raises:
            MailError: it was not taken: no connection, no TLS, a wrong certificate or password,
                or the address was refused.
        """
        import aiosmtplib  # noqa: PLC0415 - only those who send mail pay for it

        sender = parseaddr(server.mail_from)[1]
        try:
            await aiosmtplib.send(
                self.message(server, mail),
                sender=sender,
                recipients=[mail.to],
                **await asyncio.to_thread(_connection_to, server),
            )
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise MailError("The mail was not sent", detail=_kind_of(error)) from None

    async def greet(self, server: MailSettings) -> None:
        """Connect, start TLS and sign in, without sending anything.

        Raises:
            MailError: one of them did not work.
        """
        import aiosmtplib  # noqa: PLC0415 - only those who ask pay for it

        try:
            connection = await asyncio.to_thread(_connection_to, server)
            async with aiosmtplib.SMTP(**connection) as client:
                await client.noop()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise MailError("The mail server refused", detail=_kind_of(error)) from None

    def message(self, server: MailSettings, mail: Mail) -> EmailMessage:
        """Return the message with its headers."""
        domain = parseaddr(server.mail_from)[1].rpartition("@")[2]
        message = EmailMessage(policy=SMTP)
        message["From"] = server.mail_from
        message["To"] = mail.to
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(self._clock.now_utc())
        message["Message-ID"] = f"<{self._entropy.bytes(16).hex()}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
        return message


def _connection_to(server: MailSettings) -> dict[str, Any]:
    """Return how to connect and to sign in; reads the authorities from files.

    Raises:
        OSError: the file of the authorities cannot be read, or holds no certificate.
    """
    speaks_tls_at_once = server.port == TLS_PORT
    return {
        "hostname": server.hostname.strip("[]"),
        "port": server.port,
        "username": server.username or None,
        "password": server.password.reveal() if server.password else None,
        "local_hostname": parseaddr(server.mail_from)[1].rpartition("@")[2],
        "use_tls": speaks_tls_at_once,
        "start_tls": not speaks_tls_at_once,
        "tls_context": _tls_context(server),
        "timeout": _TIMEOUT_SECONDS,
    }


def _tls_context(server: MailSettings) -> ssl.SSLContext:
    """Make the context; reads the authorities from files."""
    context = ssl.create_default_context(cafile=server.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not server.validate_certs:
        # The operator asked for it and was warned: whoever is in between can read along.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _kind_of(error: Exception) -> str:
    """Name a failure without what the server said, which may repeat what was sent."""
    code = getattr(error, "code", None)
    return type(error).__name__ if code is None else f"{type(error).__name__} {code}"


class Outbox:
    """Sends mail in the background; whoever puts a draft there never waits for it.

    Args:
        find_server: asked for the server each time.
        send: such as ``SmtpTalker.send``.
        retry_seconds: pauses before further attempts.
    """

    def __init__(
        self,
        find_server: FindServer,
        send: Send,
        retry_seconds: tuple[float, ...] = RETRY_SECONDS,
    ) -> None:
        self._find_server, self._send, self._retry_seconds = find_server, send, retry_seconds
        self._drafts: asyncio.Queue[Draft] = asyncio.Queue(_MOST_WAITING)
        self._workers: list[asyncio.Task[None]] = []

    async def has_server(self) -> bool:
        """Whether a mail server is configured."""
        return await self._find_server() is not None

    def put(self, draft: Draft) -> None:
        """Have a mail prepared and sent later; a full box drops it, and the log says so."""
        try:
            self._drafts.put_nowait(draft)
        except asyncio.QueueFull:
            logger.warning("mail.dropped", extra={"waiting": _MOST_WAITING})

    def start(self) -> None:
        """Begin to send."""
        self._workers = [asyncio.create_task(self._work()) for _ in range(_WORKERS)]

    async def stop(self) -> None:
        """Give what waits a moment to go out, then end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS if self._workers else 0):
                await self._drafts.join()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            draft = await self._drafts.get()
            try:
                await self._send_one(draft)
            except AppError as error:
                reason = error.detail or error.public
                logger.warning("mail.failed", extra={"reason": reason})
            except Exception:
                # A defect in one mail must not keep all others from being sent.
                logger.exception("mail.failed")
            finally:
                self._drafts.task_done()

    async def _send_one(self, draft: Draft) -> None:
        mail = await draft()
        server = None if mail is None else await self._find_server()
        if mail is None or server is None:
            return
        for pause in (*self._retry_seconds, None):
            try:
                await self._send(server, mail)
            except MailError as error:
                if pause is None:
                    raise
                logger.info("mail.postponed", extra={"reason": error.detail})
                await asyncio.sleep(pause)
            else:
                return
