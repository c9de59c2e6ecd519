"""A forgotten password on a started server, by mail through a real SMTP server.

The server insists on STARTTLS and a password; its certificate is of an authority of our own.
"""

import re
from pathlib import Path

import httpx
import pytest

from peers.mail import PASSWORD as MAIL_PASSWORD
from peers.mail import USER as MAIL_USER
from peers.mail import MailPeer
from peers.pki import Pki
from started import ADMIN_SECRET, FIRST_PASSWORD, StartedServer

ROOT_URL = "http://bennu.example.com/traces"
LINK = re.compile(rf"^{re.escape(ROOT_URL)}/reset-password-with-token\?token=(\S+)$", re.MULTILINE)
NEW_PASSWORD = "chosen-after-Forgetting-8"
ADA = "ada@example.com"
#: What a request could try to lead the link elsewhere with, and how it is answered.
STEERING = (
    # The rules about hosts and origins refuse it before there is a mail to steer.
    ({"host": "evil.example"}, 400),
    ({"origin": "https://evil.example"}, 403),
    ({"referer": "https://evil.example/login"}, 403),
    ({"x-forwarded-host": "evil.example", "x-forwarded-proto": "http"}, 204),
    ({"forwarded": "host=evil.example;proto=http"}, 204),
)


def environment(pki: Pki, **more: str) -> dict[str, str]:
    return {
        "PHOENIX_ROOT_URL": ROOT_URL,
        "PHOENIX_SMTP_TLS_CA_CERT_FILE": str(pki.authority.cert),
        "PHOENIX_DISABLE_RATE_LIMIT": "true",
        **more,
    }


def smtp_environment(mail_server: MailPeer) -> dict[str, str]:
    return {
        "PHOENIX_SMTP_HOSTNAME": "127.0.0.1",
        "PHOENIX_SMTP_PORT": str(mail_server.port),
        "PHOENIX_SMTP_USERNAME": MAIL_USER,
        "PHOENIX_SMTP_PASSWORD": MAIL_PASSWORD,
        "PHOENIX_SMTP_MAIL_FROM": "Bennu <bennu@example.com>",
    }


def add_ada(server: StartedServer, *, welcome: bool = False) -> None:
    user = {"email": ADA, "username": "ada", "role": "MEMBER", "password": FIRST_PASSWORD}
    body = {"user": user, "send_welcome_email": welcome}
    with server.client(ADMIN_SECRET) as admin:
        assert admin.post("/v1/users", json=body).status_code == 201


def ask(server: StartedServer, email: str = ADA, **headers: str) -> httpx.Response:
    with server.client(**headers) as client:
        return client.post("/auth/password-reset-email", json={"email": email})


def test_the_link_comes_by_mail_and_cannot_be_steered(
    tmp_path: Path, mail_server: MailPeer, pki: Pki
) -> None:
    env = environment(pki, **smtp_environment(mail_server))
    with StartedServer(tmp_path, env) as server:
        add_ada(server)
        session = server.sign_in(ADA, FIRST_PASSWORD)
        assert session.get("/v1/user").status_code == 200
        tokens = []
        for headers, expected in STEERING:
            answer = ask(server, **headers)
            assert answer.status_code == expected, (headers, answer.text)
            if answer.status_code == 204:
                arrived = mail_server.wait_for(len(tokens) + 1)[-1]
                assert "evil" not in arrived.message.as_string(), headers
                found = LINK.search(arrived.text.replace("\r\n", "\n"))
                assert found, arrived.text
                tokens.append(found[1])
        assert len(tokens) == 2
        assert arrived.over_tls
        assert arrived.signed_in_as == MAIL_USER
        assert arrived.recipients == [ADA]
        with server.client() as client:
            for token in tokens[:-1]:
                body = {"token": token, "password": NEW_PASSWORD}
                assert client.post("/auth/password-reset", json=body).status_code == 401
            body = {"token": tokens[-1], "password": NEW_PASSWORD}
            assert client.post("/auth/password-reset", json=body).status_code == 204
            assert client.post("/auth/password-reset", json=body).status_code == 401
        assert session.get("/v1/user").status_code == 401
        assert server.sign_in(ADA, NEW_PASSWORD).get("/v1/projects").status_code == 200
        for token in tokens:
            assert token not in server.log()
            assert token.encode() not in (tmp_path / "work" / "bennu.db").read_bytes()


def test_a_stored_mail_server_is_used_without_a_restart(
    tmp_path: Path, mail_server: MailPeer, pki: Pki
) -> None:
    with StartedServer(tmp_path, environment(pki)) as server:
        add_ada(server)
        assert ask(server).status_code == 503
        stored = {
            "hostname": "127.0.0.1",
            "port": mail_server.port,
            "username": MAIL_USER,
            "password": MAIL_PASSWORD,
            "mail_from": "Bennu <bennu@example.com>",
        }
        with server.client(ADMIN_SECRET) as admin:
            assert admin.put("/v1/settings/smtp", json=stored).status_code == 200
        assert ask(server, "nobody@example.com").status_code == 204
        assert ask(server).status_code == 204
        (arrived,) = mail_server.wait_for(1)
        assert LINK.search(arrived.text.replace("\r\n", "\n"))


def test_a_new_account_is_welcomed(tmp_path: Path, mail_server: MailPeer, pki: Pki) -> None:
    env = environment(pki, **smtp_environment(mail_server))
    with StartedServer(tmp_path, env) as server:
        add_ada(server, welcome=True)
        (arrived,) = mail_server.wait_for(1)
        assert arrived.recipients == [ADA]
        assert ROOT_URL in arrived.text
        assert FIRST_PASSWORD not in arrived.text


@pytest.mark.asvs("16.3.4")
def test_a_certificate_that_is_not_trusted_gets_no_mail(
    tmp_path: Path, mail_server: MailPeer, pki: Pki
) -> None:
    env = environment(pki, **smtp_environment(mail_server))
    env["PHOENIX_SMTP_TLS_CA_CERT_FILE"] = str(pki.foreign.cert)
    with StartedServer(tmp_path, env) as server:
        add_ada(server)
        assert ask(server).status_code == 204
        status, _ = server.terminate()
        assert status == 0
        assert "reason=SSLCertVerificationError" in server.log()
    assert mail_server.attempts == 0


def test_without_a_root_url_the_link_leads_where_the_server_listens(
    tmp_path: Path, mail_server: MailPeer, pki: Pki
) -> None:
    env = environment(pki, **smtp_environment(mail_server)) | {"PHOENIX_ROOT_URL": ""}
    with StartedServer(tmp_path, env) as server:
        add_ada(server)
        ask(server, **STEERING[3][0])
        (arrived,) = mail_server.wait_for(1)
        assert f"{server.base_url}/reset-password-with-token?token=" in arrived.text
        assert "PHOENIX_ROOT_URL" in server.log()
