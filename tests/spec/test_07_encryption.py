"""Spec lines 156-178: what is encrypted at rest, with which key, and what that protects against."""

import base64
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet, InvalidToken

from bennu.storage.settings import StorageSettings
from peers.postgres import PostgresServer
from started import SECRET, StartedServer

#: Lines 159-162, written down here once more and not imported.
ITERATIONS, SALT, LENGTH_BYTES = 600_000, b"bennu:encryption:v1", 32
OF_EACH_KIND = 10
BytesAtRest = Callable[[], bytes]


def fernet_of(secret: str) -> Fernet:
    """Make the key with nothing but the standard library."""
    raw = hashlib.pbkdf2_hmac("sha256", secret.encode(), SALT, ITERATIONS, LENGTH_BYTES)
    return Fernet(base64.urlsafe_b64encode(raw))


class Planted:
    """Fifty secrets, ten of each kind that line 164 names, put in through REST."""

    def __init__(self, server: StartedServer) -> None:
        self.admin = server.admin()
        numbers = range(OF_EACH_KIND)
        self.client_secrets = [f"planted-client-secret-{n}-Qz7" for n in numbers]
        self.smtp_passwords = [f"planted-smtp-password-{n}-Qz7" for n in numbers]
        self.values = [f"planted-secret-value-{n}-Qz7" for n in numbers]
        self.passwords = [f"planted-User-password-{n}-Qz7" for n in numbers]
        self.keys = [server.api_key(self.admin, name=f"key {n}") for n in numbers]
        for n in numbers:
            self._plant(n)
        self.cookies = self._cookies_of_a_person(server)

    def _plant(self, n: int) -> None:
        provider = {
            "client_id": f"shown-client-{n}",
            "client_secret": self.client_secrets[n],
            "oidc_config_url": "https://id.example.com/.well-known/openid-configuration",
        }
        self._good("PUT", f"/v1/settings/oauth2_providers/planted{n}", provider)
        mail = {"hostname": "mail.example.com", "username": "u", "password": self.smtp_passwords[n]}
        self._good("PUT", "/v1/settings/smtp", mail)
        named = [{"key": f"PLANTED_{n}", "value": self.values[n]}]
        self._good("PUT", "/v1/secrets", {"secrets": named})
        user = {"username": f"user{n}", "email": f"user{n}@example.com", "role": "MEMBER"}
        user |= {"auth_method": "LOCAL", "password": self.passwords[n]}
        self._good("POST", "/v1/users", {"user": user})

    def _good(self, method: str, path: str, body: Any) -> None:
        answer = self.admin.request(method, path, json=body)
        assert answer.status_code < 300, f"{method} {path}: {answer.text}"
        assert "planted-" not in answer.text

    def _cookies_of_a_person(self, server: StartedServer) -> list[str]:
        person = server.sign_in("user0@example.com", self.passwords[0])
        first = list(person.cookies.values())
        assert person.post("/auth/refresh").status_code == 204
        return [*first, *person.cookies.values()]

    @property
    def of_all_kinds(self) -> list[str]:
        kinds = (self.client_secrets, self.smtp_passwords, self.values, self.passwords, self.keys)
        found = [secret for kind in kinds for secret in kind]
        assert len(set(found)) == 50
        return found + self.cookies


def forms_of(secret: str) -> dict[str, bytes]:
    """Return the forms in which a secret would be as good as readable."""
    raw = secret.encode()
    digest = hashlib.sha256(raw)
    return {
        "as it is": raw,
        "reversed": raw[::-1],
        "base64": base64.b64encode(raw).rstrip(b"="),
        "url-safe base64": base64.urlsafe_b64encode(raw).rstrip(b"="),
        "hex": raw.hex().encode(),
        "UTF-16": secret.encode("utf-16-le"),
        "SHA-256": digest.digest(),
        "SHA-256 in hex": digest.hexdigest().encode(),
        "SHA-256 in base64": base64.b64encode(digest.digest()).rstrip(b"="),
    }


def readable_in(dump: bytes, secrets: list[str]) -> list[tuple[str, str]]:
    return [
        (secret, form)
        for secret in secrets
        for form, raw in forms_of(secret).items()
        if raw in dump
    ]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, str], BytesAtRest]:
    """Where the server stores things, and how to read all of it without the server."""
    if request.param == "sqlite":
        work = tmp_path / "work"

        def files() -> bytes:
            paths = sorted(path for path in work.iterdir() if path.is_file())
            assert "bennu.db" in [path.name for path in paths]
            return b"".join(path.read_bytes() for path in paths)

        return {}, files
    postgres_server: PostgresServer = request.getfixturevalue("postgres_server")
    settings: StorageSettings = request.getfixturevalue("postgres_settings")
    assert settings.postgres is not None
    name = settings.postgres.database
    url = request.getfixturevalue("postgres_url")
    return {"PHOENIX_SQL_DATABASE_URL": url}, lambda: postgres_server.dump(name)


def test_fifty_planted_secrets_cannot_be_found_in_what_is_stored(
    tmp_path: Path, place: tuple[dict[str, str], BytesAtRest]
) -> None:
    """Line 173: database backups and dumps in the wrong hands."""
    env, at_rest = place
    with StartedServer(tmp_path, env) as server:
        planted = Planted(server)
        secrets = planted.of_all_kinds
        while_it_runs = at_rest()  # with the write-ahead log
        assert b"shown-client-3" in while_it_runs
        assert b"user3@example.com" in while_it_runs
        assert readable_in(while_it_runs, secrets) == []
        assert server.terminate()[0] == 0
        assert readable_in(at_rest(), secrets) == []
        assert readable_in(server.log_file.read_bytes(), secrets) == []
        # And the answers that show these settings do not give them away either.
        server.start()
        shown = b"".join(
            planted.admin.get(path).content
            for path in ("/v1/settings/smtp", "/v1/settings/oauth2_providers", "/v1/users")
        )
        assert b"shown-client-3" in shown
        assert readable_in(shown, secrets) == []


# --- the key ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("encryption")) as started:
        yield started


@pytest.fixture(scope="module")
def admin(server: StartedServer) -> httpx.Client:
    return server.admin()


def sealed(server: StartedServer, statement: str, *values: str) -> Any:
    """Run a statement on the file beside the server; return the first value of the first row."""
    database = sqlite3.connect(server.folder / "work" / "bennu.db", timeout=20)
    try:
        row = database.execute(statement, values).fetchone()
        database.commit()
    finally:
        database.close()
    return None if row is None else row[0]


def command(server: StartedServer, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bennu", *arguments, "--json"],
        env={"PATH": os.defpath, **server.env},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_what_is_stored_is_a_plain_fernet_token_of_the_derived_key(
    server: StartedServer, admin: httpx.Client
) -> None:
    body = {"secrets": [{"key": "PLAIN", "value": "opened elsewhere"}]}
    assert admin.put("/v1/secrets", json=body).status_code == 200
    text = sealed(server, "SELECT value FROM secret_values WHERE name = 'PLAIN'")
    key_id, _, token = text.partition(":")
    assert fernet_of(SECRET).decrypt(token) == b"opened elsewhere"
    with pytest.raises(InvalidToken):
        fernet_of(SECRET[::-1]).decrypt(token)
    (key,) = command(server, "secret", "status")["keys"]
    assert (key["key_id"], key["current"]) == (key_id, True)


def test_a_plain_fernet_token_made_elsewhere_opens_in_the_server(
    server: StartedServer, admin: httpx.Client
) -> None:
    key = server.api_key(admin, name="sealed elsewhere")
    assert server.client(key).get("/v1/projects").status_code == 200
    lookup = key.split("_")[2]
    where = "FROM credentials WHERE lookup = ?"
    key_id, _, token = sealed(server, f"SELECT digest {where}", lookup).partition(":")
    digest = fernet_of(SECRET).decrypt(token)
    assert digest.decode() == hashlib.sha256(key.encode()).hexdigest()
    for kept, status in ((digest, 200), (b"0" * 64, 401)):
        again = f"{key_id}:{fernet_of(SECRET).encrypt(kept).decode()}"
        sealed(server, "UPDATE credentials SET digest = ? WHERE lookup = ?", again, lookup)
        sealed(server, "UPDATE security_epoch SET value = value + 1")
        assert server.client(key).get("/v1/projects").status_code == status


@pytest.mark.asvs("11.4.4")
def test_the_parameters_are_told(server: StartedServer) -> None:
    kdf = command(server, "secret", "status")["kdf"]
    assert kdf == {"name": kdf["name"], "iterations": 600_000, "salt": "bennu:encryption:v1"}
    assert "PBKDF2" in kdf["name"]
    assert "256" in kdf["name"]


# --- what the process does against the rest (lines 175-177) ----------------------------------


def test_a_running_server_leaves_no_core_dump(server: StartedServer) -> None:
    limits = Path(f"/proc/{server.pid}/limits").read_text().splitlines()
    (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
    assert core[4:6] == ["0", "0"]


def test_files_that_others_can_read_are_warned_about_at_start(tmp_path: Path) -> None:
    env_file = tmp_path / "bennu.env"
    env_file.write_text(f"PHOENIX_WORKING_DIR={tmp_path / 'work'}\nPHOENIX_SECRET={SECRET}\n")
    with StartedServer(tmp_path) as closed:
        assert "files.open_to_others" not in closed.log()
    path = tmp_path / "work" / "bennu.db"
    path.chmod(0o644)
    with StartedServer(tmp_path) as opened:
        (line,) = [x for x in opened.log().splitlines() if "files.open_to_others" in x]
        assert f"chmod 600 {path}" in line
        assert SECRET not in opened.log()
