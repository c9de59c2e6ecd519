"""A server that people sign in to through a provider for a long time does not grow.

On PostgreSQL: the page cache that SQLite keeps in the process grows with its file up to a bound.
"""

import statistics
from pathlib import Path

import httpx
import pytest

from peers.oidc import OidcPeer, provider_variables, sign_in_at_peer
from started import StartedServer

WARM_UP, MEASURED, BLOCK = 100, 400, 50
#: Less than a kilobyte for each sign-in, within what the allocator and the page cache move.
MOST_KILOBYTES = 2048


def kilobytes_of(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1])
    raise AssertionError("no resident size")


@pytest.mark.soak
def test_five_hundred_sign_ins_leave_the_size_as_it_is(
    oidc_peer: OidcPeer, postgres_url: str, tmp_path: Path
) -> None:
    server = StartedServer(tmp_path)
    client = oidc_peer.register(f"{server.base_url}/oauth2/peer/tokens")
    config_url = oidc_peer.config_url(oidc_peer.issuer)
    server.env |= provider_variables("peer", config_url, client)
    server.env["PHOENIX_DISABLE_RATE_LIMIT"] = "true"
    server.env["PHOENIX_SQL_DATABASE_URL"] = postgres_url
    oidc_peer.add_account("mel", email="mel@corp.example", email_verified=True)
    sizes: list[int] = []
    with server, httpx.Client() as at_provider:
        for number in range(WARM_UP + MEASURED):
            with httpx.Client(base_url=server.base_url) as browser:
                address = browser.get("/oauth2/peer/login").headers["location"]
                there = sign_in_at_peer(at_provider, address, "mel", server.base_url)
                assert browser.get(there).status_code == 302
                assert browser.get("/v1/user").status_code == 200
            if number >= WARM_UP:
                sizes.append(kilobytes_of(server.pid))
            if number % BLOCK == 0:
                print(number, kilobytes_of(server.pid))  # noqa: T201
        assert server.log().count("oauth2.keys.fetched") == 1
    first, last = statistics.median(sizes[:BLOCK]), statistics.median(sizes[-BLOCK:])
    print(f"median size: first {BLOCK}: {first} kB, last {BLOCK}: {last} kB")  # noqa: T201
    assert last - first < MOST_KILOBYTES
