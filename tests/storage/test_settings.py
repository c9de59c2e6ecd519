"""The working folder and the database."""

from pathlib import Path

import pytest

from bennu.kernel.env import MASK
from bennu.storage.settings import PostgresSettings
from fakes.settings import names_of_problems, names_of_warnings, problems_of, read_settings

URL = "PHOENIX_SQL_DATABASE_URL"
SERVER = {
    "PHOENIX_POSTGRES_HOST": "db.example.com",
    "PHOENIX_POSTGRES_USER": "ada",
    "PHOENIX_POSTGRES_PASSWORD": "hunter2",
}


def read_postgres(values: dict[str, str], **more: str) -> PostgresSettings:
    storage = read_settings(values, **more).storage
    assert storage.dialect == "postgresql"
    assert storage.sqlite_path is None
    assert storage.postgres is not None
    return storage.postgres


def test_the_default_is_a_file_of_our_own_in_the_home_folder() -> None:
    storage = read_settings().storage
    assert storage.dialect == "sqlite"
    assert storage.working_dir == Path("~/.bennu").expanduser()
    assert storage.sqlite_path == storage.working_dir / "bennu.db"
    assert storage.log_migrations
    assert not storage.migrations_disabled


def test_the_working_folder_holds_the_database(tmp_path: Path) -> None:
    storage = read_settings(PHOENIX_WORKING_DIR=str(tmp_path / "new")).storage
    assert storage.sqlite_path == tmp_path / "new" / "bennu.db"
    assert not (tmp_path / "new").exists()


def test_a_file_is_no_working_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (str(tmp_path / "file"), "~nobody-of-this-name/bennu"):
        assert names_of_problems(PHOENIX_WORKING_DIR=path) == ["PHOENIX_WORKING_DIR"]


def test_sqlite_by_address() -> None:
    assert read_settings({URL: "sqlite:///:memory:"}).storage.sqlite_path is None
    assert read_settings({URL: "sqlite:////x/y.db"}).storage.sqlite_path == Path("/x/y.db")


def test_postgresql_by_address(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("x")
    postgres = read_postgres(
        {URL: f"postgresql://ada:hunter2@db:6543/traces?sslmode=verify-full&sslrootcert={ca}"}
    )
    assert (postgres.host, postgres.port, postgres.user) == ("db", 6543, "ada")
    assert postgres.password is not None
    assert postgres.password.reveal() == "hunter2"
    assert (postgres.database, postgres.sslmode, postgres.sslrootcert) == (
        "traces",
        "verify-full",
        ca,
    )
    assert "hunter2" not in repr(postgres)


def test_postgresql_by_single_variables(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("hunter2")
    postgres = read_postgres(
        {name: SERVER[name] for name in SERVER if "PASSWORD" not in name},
        PHOENIX_POSTGRES_PASSWORD_FILE=str(password),
        PHOENIX_POSTGRES_PORT="6543",
        PHOENIX_POSTGRES_DB="traces",
        PHOENIX_POSTGRES_SSLMODE="verify-full",
        PHOENIX_POSTGRES_SSLROOTCERT="system",
        PHOENIX_POSTGRES_SSLPASSWORD="x",
    )
    assert (postgres.host, postgres.port, postgres.database) == ("db.example.com", 6543, "traces")
    assert postgres.password is not None
    assert postgres.password.reveal() == "hunter2"
    assert (postgres.sslmode, postgres.sslrootcert) == ("verify-full", Path("system"))
    assert postgres.sslpassword is not None


def test_the_address_wins_over_single_variables() -> None:
    assert read_settings(SERVER, **{URL: "sqlite:///x.db"}).storage.dialect == "sqlite"
    assert read_postgres(SERVER, **{URL: "postgresql://a:b@other/x"}).host == "other"


def test_a_token_of_the_cloud_travels_encrypted_and_without_a_password() -> None:
    values = {name: SERVER[name] for name in SERVER if "PASSWORD" not in name}
    aws = {**values, "PHOENIX_POSTGRES_USE_AWS_IAM_AUTH": "true"}
    postgres = read_postgres(aws)
    assert postgres.use_aws_iam_auth
    assert (postgres.sslmode, postgres.database, postgres.password) == ("require", "postgres", None)
    assert read_postgres(aws, PHOENIX_POSTGRES_SSLMODE="verify-full").sslmode == "verify-full"
    assert names_of_problems(aws, PHOENIX_POSTGRES_PASSWORD="x") == ["PHOENIX_POSTGRES_PASSWORD"]
    assert names_of_problems(aws, PHOENIX_POSTGRES_SSLMODE="disable") == [
        "PHOENIX_POSTGRES_USE_AWS_IAM_AUTH"
    ]
    azure = {**values, "PHOENIX_POSTGRES_USE_AZURE_MANAGED_IDENTITY": "true"}
    assert names_of_problems(azure) == ["PHOENIX_POSTGRES_DB"]
    assert read_postgres(azure, PHOENIX_POSTGRES_DB="x").use_azure_managed_identity
    assert names_of_problems({**aws, **azure}, PHOENIX_POSTGRES_DB="x") == [
        "PHOENIX_POSTGRES_USE_AZURE_MANAGED_IDENTITY"
    ]


@pytest.mark.asvs("13.2.3")
@pytest.mark.parametrize("missing", ["PHOENIX_POSTGRES_USER", "PHOENIX_POSTGRES_PASSWORD"])
def test_a_server_needs_user_and_password(missing: str) -> None:
    assert names_of_problems({k: v for k, v in SERVER.items() if k != missing}) == [missing]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (URL, "postgresql://ada:hunter2@db"),
        (URL, "postgresql://ada:hunter2@db/x?sslmode=always"),
        (URL, "postgresql://ada:hunter2@db/x?sslrootcert=/nowhere"),
        (URL, "postgresql://:hunter2@db/x"),
        (URL, "bennu.db"),
        ("PHOENIX_POSTGRES_PORT", "0"),
        ("PHOENIX_POSTGRES_PORT", "tcp://10.0.0.1:5432"),
        ("PHOENIX_POSTGRES_SSLMODE", "always"),
        ("PHOENIX_POSTGRES_SSLCERT", "/nowhere"),
        ("PHOENIX_POSTGRES_USE_AWS_IAM_AUTH", "yes"),
        ("PHOENIX_SQL_DATABASE_SCHEMA", 'x"; drop'),
        ("PHOENIX_LOG_SQL", "1"),
        ("PHOENIX_LOG_MIGRATIONS", ""),
        ("PHOENIX_DANGEROUSLY_DISABLE_MIGRATIONS", "no"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    found = problems_of(SERVER, **{name: value})
    assert [p.name for p in found] == [name]
    assert "hunter2" not in str(found)
    if name == URL:
        assert found[0].read == MASK


def test_a_schema_means_nothing_to_sqlite() -> None:
    name = "PHOENIX_SQL_DATABASE_SCHEMA"
    assert names_of_warnings({name: "x"}) == [name]
    assert read_settings(SERVER, **{name: "traces"}).storage.schema == "traces"
