"""Fixtures for every test; the README beside this file says how to use them."""

import os
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import settings

from bennu.storage.database import Database
from bennu.storage.migrate import migrate
from bennu.storage.settings import StorageSettings
from fakes.clock import FrozenClock
from fakes.entropy import RepeatableEntropy

# The same examples on every run, so that a result can be repeated; `make soak` draws new ones.
# No deadline: a busy machine is not a defect.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("fresh", deadline=None, max_examples=1000)
settings.load_profile("repeatable")

pytest_plugins = (
    "peers.pki",
    "peers.postgres",
    "peers.mail",
    "peers.oidc",
    "peers.netns",
    "peers.redis",
    "peers.slapd",
    "peers.samba",
    "peers.browser",
)


#: Peers that cost seconds to start: one worker runs all tests of each, so that it starts once.
COSTLY_PEERS = ("samba", "slapd", "oidc_peer")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a costly peer together, where the runner does as groups say."""
    for item in items:
        used = getattr(item, "fixturenames", ())
        for peer in COSTLY_PEERS:
            if peer in used:
                item.add_marker(pytest.mark.xdist_group(peer))
                break


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run ``async def`` tests on the event loop that the server runs on."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def entropy() -> RepeatableEntropy:
    return RepeatableEntropy()


@pytest.fixture
def sqlite_settings(tmp_path: Path) -> StorageSettings:
    """Settings for a SQLite file that does not exist yet."""
    return StorageSettings(working_dir=tmp_path, sqlite_path=tmp_path / "data" / "bennu.db")


@pytest.fixture(params=["sqlite", "postgresql"])
def storage_settings(request: pytest.FixtureRequest) -> StorageSettings:
    """Settings for an empty database of each kind; on PostgreSQL the tables are there already."""
    name = "sqlite_settings" if request.param == "sqlite" else "migrated_postgres_settings"
    settings: StorageSettings = request.getfixturevalue(name)
    return settings


@pytest.fixture
async def database(
    storage_settings: StorageSettings, clock: FrozenClock
) -> AsyncIterator[Database]:
    """A started, migrated database; a test that uses it runs on SQLite and on PostgreSQL."""
    database = Database(storage_settings, clock)
    await database.start()
    try:
        await migrate(database, storage_settings)
        yield database
    finally:
        await database.stop()


@pytest.fixture
def postgres_url(postgres_settings: StorageSettings) -> str:
    """Address of an empty PostgreSQL database, as PHOENIX_SQL_DATABASE_URL takes it."""
    postgres = postgres_settings.postgres
    assert postgres is not None
    password = "" if postgres.password is None else quote(postgres.password.reveal(), safe="")
    return (
        f"postgresql://{postgres.user}:{password}@{postgres.host}:{postgres.port}"
        f"/{postgres.database}?sslmode={postgres.sslmode}&sslrootcert={postgres.sslrootcert}"
    )


#: Set by `make test`, which installs all that a test could miss.
ALL_PEERS = "BENNU_ALL_PEERS"
#: What the reason of a skip says when `make setup-test` would have brought what is missing.
INSTALLABLE = "make setup-test"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what is skipped for want of a peer, where all of them are to be there.

    A peer that needs more than a package, such as root, still skips with that reason.
    """
    report = yield
    if report.skipped and os.environ.get(ALL_PEERS) == "1" and INSTALLABLE in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped under {ALL_PEERS}=1: {report.longrepr}"
    return report
