"""Tokens of a cloud as passwords of PostgreSQL."""

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import Connection, text

from bennu.kernel.errors import UnavailableError
from bennu.storage.cloud_identity import (
    MissingCloudClientError,
    NoTokenError,
    cloud_password_source,
    region_of,
)
from bennu.storage.database import Database, Lane
from bennu.storage.migrate import migrate
from bennu.storage.settings import PostgresSettings, StorageSettings
from fakes.clock import FrozenClock
from peers.iam import ACCESS_KEY, REGION, SECRET_KEY, TokenService, token_service
from peers.postgres import IAM_USER, PostgresServer, with_postgres

AWS = PostgresSettings(
    host="db.abc.eu-central-1.rds.amazonaws.com",
    port=5432,
    user="iam",
    password=None,
    database="x",
    use_aws_iam_auth=True,
)
AZURE = replace(
    AWS, use_aws_iam_auth=False, use_azure_managed_identity=True, azure_scope="s/.default"
)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Credentials of nobody, where the client of the cloud looks for them first."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    return monkeypatch


# --- RDS -----------------------------------------------------------------------------------


@pytest.fixture
def service(postgres_server: PostgresServer) -> Iterator[TokenService]:
    port = postgres_server.port
    with token_service(postgres_server.token_port, "127.0.0.1", port, IAM_USER) as started:
        yield started


@pytest.fixture
def iam_settings(
    postgres_server: PostgresServer, postgres_settings: StorageSettings
) -> StorageSettings:
    """Settings for an empty database that a token opens; only the user's tokens do."""
    assert postgres_settings.postgres is not None
    name = postgres_settings.postgres.database
    postgres_server.sql(f"ALTER DATABASE {name} OWNER TO {IAM_USER}")
    return with_postgres(
        postgres_settings, user=IAM_USER, password=None, use_aws_iam_auth=True, sslmode="require"
    )


def session(connection: Connection) -> tuple[int, bool]:
    """Return the process of this connection and whether it is encrypted."""
    statement = text("SELECT pid, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    pid, is_encrypted = connection.execute(statement).one()
    return pid, is_encrypted


@pytest.mark.asvs("13.2.1")
@pytest.mark.usefixtures("aws")
async def test_every_connection_has_a_token_of_its_own_over_tls(
    iam_settings: StorageSettings, service: TokenService, clock: FrozenClock
) -> None:
    database = Database(iam_settings, clock)
    await database.start()
    await migrate(database, iam_settings)
    one = await database.read(session)
    other = await database.write(session, lane=Lane.INGEST)
    await database.read(session)
    await database.stop()
    assert one[0] != other[0]
    assert (one[1], other[1]) == (True, True)
    assert len(service.taken) == 2
    assert service.refused == []


@pytest.mark.usefixtures("aws")
async def test_a_refused_token_is_not_tried_again(
    iam_settings: StorageSettings, service: TokenService, clock: FrozenClock
) -> None:
    service.takes_nothing = True
    database = Database(iam_settings, clock)
    with pytest.raises(UnavailableError):
        await database.start()
    await asyncio.sleep(0.2)  # the driver closes a refused connection in the background
    service.takes_nothing = False
    await database.start()
    await database.stop()
    assert len(service.taken) == 1
    assert len(service.refused) == 1


async def test_tokens_of_somebody_else_open_nothing(
    aws: pytest.MonkeyPatch,
    iam_settings: StorageSettings,
    service: TokenService,
    clock: FrozenClock,
) -> None:
    aws.setenv("AWS_SECRET_ACCESS_KEY", "another")
    database = Database(iam_settings, clock)
    with pytest.raises(UnavailableError):
        await database.start()
    await asyncio.sleep(0.2)  # the driver closes a refused connection in the background
    await database.stop()
    assert service.taken == []


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("db.abc.eu-central-1.rds.amazonaws.com", "eu-central-1"),
        ("DB.cluster-abc.us-gov-west-1.rds.amazonaws.com", "us-gov-west-1"),
        ("db.abc.cn-north-1.rds.amazonaws.com.cn", "cn-north-1"),
        ("db.example.com", None),
        ("eu-central-1.rds.amazonaws.com.example.com", None),
    ],
)
def test_the_region_stands_in_the_name_of_the_server(host: str, region: str | None) -> None:
    assert region_of(host) == region


def test_the_token_is_for_the_region_of_the_server(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_DEFAULT_REGION", "us-east-1")
    source = cloud_password_source(AWS)
    assert source is not None
    token = source()
    assert token.startswith(f"{AWS.host}:5432/?")
    assert "eu-central-1" in token
    assert "DBUser=iam" in token


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION"])
def test_without_credentials_or_region_there_is_no_token(
    aws: pytest.MonkeyPatch, name: str
) -> None:
    aws.delenv(name)
    source = cloud_password_source(replace(AWS, host="db.example.com"))
    assert source is not None
    with pytest.raises(NoTokenError) as refusal:
        source()
    assert "IAM token for db.example.com: " in refusal.value.detail
    assert SECRET_KEY not in refusal.value.detail


# --- Azure ---------------------------------------------------------------------------------


@pytest.fixture
def identity_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, list[str]]]]:
    """The endpoint of managed identities, as App Service has it; yields what it was asked."""
    asked: list[dict[str, list[str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(parse_qs(urlsplit(self.path).query))
            is_known = self.headers["X-IDENTITY-HEADER"] == "header-of-the-tests"
            body = {"access_token": f"token-{len(asked)}", "expires_on": "4102444800"}
            self.send_response(200 if is_known else 401)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body if is_known else {}).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.server_port}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "header-of-the-tests")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield asked
        server.shutdown()
        thread.join()


def test_the_token_of_a_managed_identity(
    identity_endpoint: list[dict[str, list[str]]],
) -> None:
    source = cloud_password_source(AZURE)
    assert source is not None
    assert source().startswith("token-")
    assert identity_endpoint[0]["resource"] == ["s"]


# --- both ----------------------------------------------------------------------------------


def test_a_password_of_the_settings_needs_no_cloud() -> None:
    assert cloud_password_source(replace(AWS, use_aws_iam_auth=False)) is None


@pytest.mark.parametrize(
    ("settings", "module", "extra"),
    [(AWS, "boto3", "aws"), (AZURE, "azure.identity", "azure"), (AZURE, "azure", "azure")],
)
def test_a_missing_client_is_told_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch, settings: PostgresSettings, module: str, extra: str
) -> None:
    monkeypatch.delitem(sys.modules, "azure.identity", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingCloudClientError, match=rf"pip install 'bennu\[{extra}\]'"):
        cloud_password_source(settings)
