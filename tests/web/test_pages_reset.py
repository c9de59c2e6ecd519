"""Forgotten passwords on pages. Spec: line 215."""

from pathlib import Path

from started import ADMIN_EMAIL, StartedServer
from web.browsing import send, texts


def test_without_a_mail_server_the_page_says_so(tmp_path: Path) -> None:
    with StartedServer(tmp_path) as server:
        assert "Forgot the password?" not in server.client().get("/login").text
        answer = send(server.client(), "/forgot-password", {"email": ADMIN_EMAIL})
        assert answer.status_code == 503
        assert texts(answer, "form-error")


def test_with_one_every_address_is_answered_alike(tmp_path: Path) -> None:
    env = {
        "PHOENIX_SMTP_HOSTNAME": "127.0.0.1",
        "PHOENIX_SMTP_PORT": "9",
        "PHOENIX_SMTP_USERNAME": "u",
        "PHOENIX_SMTP_PASSWORD": "p",
    }
    with StartedServer(tmp_path, env) as server:
        assert "Forgot the password?" in server.client().get("/login").text
        for email in (ADMIN_EMAIL, "nobody@example.com"):
            answer = send(server.client(), "/forgot-password", {"email": email})
            assert answer.headers["location"] == "/login?done=reset-sent"
        empty = send(server.client(), "/forgot-password", {"email": " "})
        assert 400 <= empty.status_code < 500


def test_a_link_that_is_worth_nothing(tmp_path: Path) -> None:
    with StartedServer(tmp_path) as server:
        client = server.client()
        fields: dict[str, str | list[str]] = {
            "token": "nonsense",
            "password": "a-long-new-Password-1",
            "repeated_password": "a-long-new-Password-1",
        }
        answer = send(client, "/reset-password-with-token?token=nonsense", fields)
        assert answer.status_code == 401
        assert texts(answer, "form-error")
        different = {**fields, "repeated_password": "another"}
        answer = send(client, "/reset-password-with-token?token=nonsense", different)
        assert answer.status_code == 422
        assert 'id="wrong-repeated_password"' in answer.text
