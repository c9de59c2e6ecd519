"""How long a refused sign-in takes tells nothing about the account. Spec: line 258."""

import time
from bisect import bisect_right
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from math import sqrt

import httpx
import pytest

from bennu.auth.answer_boundary import LOCAL_BOUNDARY_SECONDS
from started import ADMIN_SECRET, StartedServer

PASSWORD = "a-Password-of-somebody-9"
KINDS = ("unknown", "wrong", "deactivated")
ACCOUNTS = 50
TRIES = 500
#: Two samples of one distribution differ by more only once in a thousand (Kolmogorov, Smirnov).
LARGEST_DISTANCE = 1.95 * sqrt(2 / TRIES)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    env = {
        "PHOENIX_DISABLE_RATE_LIMIT": "true",
        "PHOENIX_BRUTE_FORCE_LOGIN_PROTECTION_MAX_ATTEMPTS": "1000",
    }
    with StartedServer(tmp_path_factory.mktemp("timing"), env) as started:
        yield started


def add_accounts(server: StartedServer, count: int) -> None:
    """Make active and deactivated accounts; those of the unknown are not made."""
    with server.client(ADMIN_SECRET) as client:
        for kind in KINDS[1:]:
            for number in range(count):
                user = {"email": f"{kind}{number}@example.com", "username": f"{kind}{number}"}
                user |= {"role": "MEMBER", "auth_method": "LOCAL", "password": PASSWORD}
                made = client.post("/v1/users", json={"user": user})
                assert made.status_code == 201, made.text
                if kind == "deactivated":
                    path = f"/v1/users/{made.json()['data']['id']}"
                    assert client.patch(path, json={"active": False}).status_code == 200


def seconds_of_refusal(client: httpx.Client, kind: str, number: int) -> float:
    password = "another-Password-8" if kind == "wrong" else PASSWORD
    body = {"email": f"{kind}{number}@example.com", "password": password}
    began = time.perf_counter()
    answer = client.post("/auth/login", json=body)
    took = time.perf_counter() - began
    assert (answer.status_code, answer.text) == (401, "Invalid email and/or password")
    return took


def refusals(
    server: StartedServer, tries: int, accounts: int, workers: int
) -> dict[str, list[float]]:
    """Try each kind so often, in turns, so that what else the machine does meets all alike."""
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    clients = [server.client() for _ in range(workers)]

    def run(worker: int) -> None:
        for turn in range(worker, tries, workers):
            for shift in range(len(KINDS)):
                kind = KINDS[(turn + shift) % len(KINDS)]
                took = seconds_of_refusal(clients[worker], kind, turn % accounts)
                seconds[kind].append(took)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, range(workers)))
    return seconds


def largest_distance(one: list[float], other: list[float]) -> float:
    """Return how far two empirical distributions are apart, from 0 to 1."""
    first, second = sorted(one), sorted(other)
    return max(
        abs(bisect_right(first, x) / len(first) - bisect_right(second, x) / len(second))
        for x in first + second
    )


def test_no_refusal_comes_before_the_boundary(server: StartedServer) -> None:
    add_accounts(server, 2)
    for kind, seconds in refusals(server, 4, 2, 1).items():
        assert min(seconds) >= LOCAL_BOUNDARY_SECONDS, kind


def test_distances_are_seen() -> None:
    even = [i / 100 for i in range(100)]
    assert largest_distance(even, even) == 0
    assert largest_distance(even, [x + 0.5 for x in even]) == pytest.approx(0.5, abs=0.02)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_times_of_all_refusals_are_of_one_distribution(server: StartedServer) -> None:
    add_accounts(server, ACCOUNTS)
    seconds = refusals(server, TRIES, ACCOUNTS, 3)
    for kind, found in seconds.items():
        assert len(found) == TRIES
        assert min(found) >= LOCAL_BOUNDARY_SECONDS, kind
    distances = {
        f"{a}, {b}": largest_distance(seconds[a], seconds[b]) for a, b in combinations(KINDS, 2)
    }
    print({kind: sorted(found)[TRIES // 2] for kind, found in seconds.items()}, distances)  # noqa: T201
    assert max(distances.values()) < LARGEST_DISTANCE, distances
