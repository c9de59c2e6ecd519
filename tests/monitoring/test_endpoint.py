"""Who may read the metrics."""

import pytest

from bennu.kernel.secret import Secret
from bennu.monitoring.endpoint import MetricsEndpoint
from fakes.asgi import ask


async def render() -> bytes:
    return b"bennu_denials_total 0.0\n"


OPEN = MetricsEndpoint(render, None)
CLOSED = MetricsEndpoint(render, Secret("the-token"))


async def test_without_a_token_it_is_open() -> None:
    answer = await ask(OPEN, path="/metrics")
    assert (answer.status_code, answer.text) == (200, "bennu_denials_total 0.0\n")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.asvs("13.4.5")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 401),
        ([("authorization", "Bearer the-token")], 200),
        ([("authorization", "bearer  the-token ")], 200),
        ([("authorization", "Bearer the-tokeN")], 401),
        ([("authorization", "Bearer ")], 401),
        ([("authorization", "Basic the-token")], 401),
        ([("authorization", "the-token")], 401),
        ([("authorization", "Bearer x"), ("authorization", "Bearer the-token")], 401),
        ([("authorization", "Bearer the-töken")], 401),
    ],
)
async def test_with_a_token_only_who_sends_it_reads(
    headers: list[tuple[str, str]], status: int
) -> None:
    answer = await ask(CLOSED, path="/metrics", headers=headers)
    assert answer.status_code == status
    assert ("bennu" in answer.text) is (status == 200)
    assert (answer.headers.get("www-authenticate") == "Bearer") is (status == 401)


async def test_there_is_nothing_else() -> None:
    assert (await ask(OPEN, path="/")).status_code == 404
    assert (await ask(OPEN, path="/v1/projects")).status_code == 404
    assert (await ask(OPEN, "POST", "/metrics")).status_code == 405
