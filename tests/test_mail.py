"""The mail server's settings, and sending through a real one."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bennu.kernel.secret import Secret
from bennu.mail import Mail, MailError, MailSettings, Outbox, SmtpTalker
from fakes.clock import FrozenClock
from fakes.entropy import RepeatableEntropy
from fakes.settings import names_of_problems, names_of_warnings, read_settings
from peers.mail import PASSWORD, USER, MailPeer
from peers.pki import Pki

GOOD = {
    "PHOENIX_SMTP_HOSTNAME": "mail.example.com",
    "PHOENIX_SMTP_USERNAME": "phoenix",
    "PHOENIX_SMTP_PASSWORD": "hunter2",
}


def test_without_a_host_name_no_mail_is_sent() -> None:
    mail = read_settings().mail
    assert (mail.hostname, mail.port, mail.validate_certs) == ("", 587, True)


def test_everything_is_read() -> None:
    mail = read_settings(
        GOOD, PHOENIX_SMTP_PORT="465", PHOENIX_SMTP_MAIL_FROM="Bennu <bennu@example.com>"
    ).mail
    assert (mail.hostname, mail.port, mail.username) == ("mail.example.com", 465, "phoenix")
    assert mail.password is not None
    assert mail.password.reveal() == "hunter2"
    assert mail.mail_from == "Bennu <bennu@example.com>"
    assert "hunter2" not in repr(mail)


@pytest.mark.parametrize("name", ["PHOENIX_SMTP_USERNAME", "PHOENIX_SMTP_PASSWORD"])
def test_a_host_name_needs_an_account(name: str) -> None:
    assert names_of_problems({k: v for k, v in GOOD.items() if k != name}) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PHOENIX_SMTP_PORT", "0"),
        ("PHOENIX_SMTP_MAIL_FROM", "nobody"),
        ("PHOENIX_SMTP_MAIL_FROM", "a@b\nBcc: c@d"),
        ("PHOENIX_SMTP_HOSTNAME", "smtp://mail"),
        ("PHOENIX_SMTP_VALIDATE_CERTS", "0"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    assert names_of_problems({**GOOD, name: value}) == [name]


def test_an_unchecked_certificate_is_warned_about() -> None:
    values = {**GOOD, "PHOENIX_ROOT_URL": "https://bennu.example.com"}
    assert names_of_warnings(values) == []
    assert names_of_warnings(values, PHOENIX_SMTP_VALIDATE_CERTS="false") == [
        "PHOENIX_SMTP_VALIDATE_CERTS"
    ]


def test_mail_without_a_root_url_is_warned_about() -> None:
    assert names_of_warnings(GOOD) == ["PHOENIX_ROOT_URL"]


def settings_for(peer: MailPeer, pki: Pki, **more: Any) -> MailSettings:
    return replace(
        MailSettings(
            "127.0.0.1",
            peer.port,
            USER,
            Secret(PASSWORD),
            "Bennu <bennu@example.com>",
            ca_file=pki.authority.cert,
        ),
        **more,
    )


@pytest.fixture
def talker(clock: FrozenClock, entropy: RepeatableEntropy) -> SmtpTalker:
    return SmtpTalker(clock, entropy)


MAIL = Mail("ada@example.com", "Grüße", "Hello Ada,\n.\na line with ü\n")


async def test_a_mail_arrives_over_starttls_with_a_password(
    talker: SmtpTalker, mail_server: MailPeer, pki: Pki
) -> None:
    await talker.send(settings_for(mail_server, pki), MAIL)
    (arrived,) = mail_server.arrived
    assert arrived.over_tls
    assert (arrived.signed_in_as, arrived.sender) == (USER, "bennu@example.com")
    assert arrived.recipients == ["ada@example.com"]
    assert arrived.message["From"] == "Bennu <bennu@example.com>"
    assert (arrived.message["To"], arrived.message["Subject"]) == (MAIL.to, MAIL.subject)
    assert arrived.message["Auto-Submitted"] == "auto-generated"
    assert arrived.message["Message-ID"].endswith("@example.com>")
    assert arrived.message["Date"] == "Fri, 02 Jan 2026 03:04:05 +0000"
    assert arrived.text.replace("\r\n", "\n") == MAIL.text


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"password": Secret("wrong")}, "SMTPAuthenticationError 535"),
        ({"ca_file": None}, "SSLCertVerificationError|SMTPConnectError|SMTPException"),
        ({"hostname": "127.0.0.2"}, "ConnectionRefusedError|SMTPConnectError"),
    ],
)
async def test_what_the_server_does_not_take_is_told_without_its_words(
    talker: SmtpTalker, mail_server: MailPeer, pki: Pki, change: dict[str, Any], kind: str
) -> None:
    with pytest.raises(MailError) as failed:
        await talker.send(settings_for(mail_server, pki, **change), MAIL)
    assert re.fullmatch(kind, failed.value.detail)
    assert failed.value.__cause__ is None
    assert mail_server.arrived == []


@pytest.mark.asvs("12.3.2")
async def test_a_certificate_of_another_name_or_authority_is_refused(
    talker: SmtpTalker, mail_server: MailPeer, pki: Pki
) -> None:
    settings = settings_for(mail_server, pki, ca_file=pki.foreign.cert)
    with pytest.raises(MailError):
        await talker.send(settings, MAIL)
    await talker.send(replace(settings, validate_certs=False), MAIL)
    assert len(mail_server.arrived) == 1


@pytest.mark.asvs("12.3.1")
async def test_nothing_is_sent_without_tls(
    talker: SmtpTalker, plain_mail_server: MailPeer, pki: Pki
) -> None:
    settings = settings_for(plain_mail_server, pki, username="", password=None)
    with pytest.raises(MailError, match="not sent"):
        await talker.send(settings, MAIL)
    assert plain_mail_server.attempts == 0


@pytest.mark.asvs("1.3.11")
async def test_a_header_cannot_be_smuggled_in(
    talker: SmtpTalker, mail_server: MailPeer, pki: Pki
) -> None:
    for mail in (
        Mail("a@example.com\r\nBcc: b@example.com", "s", "t"),
        Mail("a@example.com", "s\r\nBcc: b@example.com", "t"),
    ):
        with pytest.raises(MailError):
            await talker.send(settings_for(mail_server, pki), mail)
    assert mail_server.arrived == []


class Recorder:
    """Sends nowhere, and fails as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.sent = failures, list[Mail]()

    async def send(self, _: MailSettings, mail: Mail) -> None:
        if self.failures:
            self.failures -= 1
            raise MailError("no", detail="x")
        self.sent.append(mail)


async def server() -> MailSettings | None:
    return MailSettings("mail.example.com")


async def no_server() -> MailSettings | None:
    return None


async def draft() -> Mail | None:
    return MAIL


async def nothing() -> Mail | None:
    return None


async def broken() -> Mail | None:
    raise MailError("x", detail="not prepared")


async def test_the_outbox_sends_what_is_put_there_and_survives_failures() -> None:
    recorder = Recorder(failures=2)
    outbox = Outbox(server, recorder.send, retry_seconds=(0, 0))
    for job in (broken, nothing, draft, draft):
        outbox.put(job)
    assert recorder.sent == []
    outbox.start()
    await outbox.stop()
    assert recorder.sent == [MAIL, MAIL]


async def test_the_outbox_gives_up_after_its_attempts() -> None:
    recorder = Recorder(failures=3)
    outbox = Outbox(server, recorder.send, retry_seconds=(0, 0))
    outbox.put(draft)
    outbox.start()
    await outbox.stop()
    assert (recorder.failures, recorder.sent) == (0, [])


async def test_a_full_outbox_drops_and_never_waits(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    outbox = Outbox(server, recorder.send)
    for _ in range(1000):
        outbox.put(draft)
    assert "mail.dropped" in caplog.messages
    outbox.start()
    await outbox.stop()
    assert 0 < len(recorder.sent) < 1000


async def test_without_a_server_nothing_is_sent() -> None:
    recorder = Recorder()
    outbox = Outbox(no_server, recorder.send)
    assert not await outbox.has_server()
    outbox.put(draft)
    outbox.start()
    await outbox.stop()
    assert recorder.sent == []


async def test_a_greeting_signs_in_and_sends_nothing(
    talker: SmtpTalker, mail_server: MailPeer, pki: Pki
) -> None:
    await talker.greet(settings_for(mail_server, pki))
    with pytest.raises(MailError, match="refused"):
        await talker.greet(settings_for(mail_server, pki, password=Secret("wrong")))
    assert mail_server.arrived == []


async def test_a_file_that_is_no_certificate_is_a_failure_of_mail(tmp_path: Path) -> None:
    wrong = tmp_path / "ca.pem"
    wrong.write_text("this is no certificate")
    server = MailSettings("localhost", ca_file=wrong)
    talker = SmtpTalker(FrozenClock(), RepeatableEntropy())
    with pytest.raises(MailError) as refused:
        await talker.greet(server)
    assert "SSL" in refused.value.detail
    with pytest.raises(MailError):
        await talker.send(server, Mail("ada@example.com", "s", "t"))
