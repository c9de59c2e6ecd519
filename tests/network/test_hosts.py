"""Only hosts that are ours are answered."""

import pytest

from bennu.network.hosts import AllowedHosts, HostGuard, answered_hosts
from bennu.network.settings import NetworkSettings
from fakes.asgi import Behind, ask

EVERYWHERE = "0.0.0.0"  # noqa: S104
PUBLIC = NetworkSettings(host=EVERYWHERE, root_url="https://phoenix.example.com")


@pytest.mark.parametrize(
    ("settings", "host", "is_answered"),
    [
        (NetworkSettings(), "localhost:6006", True),
        (NetworkSettings(), "127.0.0.1:6006", True),
        (NetworkSettings(), "127.1.2.3", True),
        (NetworkSettings(), "[::1]:6006", True),
        (NetworkSettings(), "LOCALHOST.", True),
        (NetworkSettings(), "bennu.localhost:80", True),
        (NetworkSettings(), "evil.example", False),
        (NetworkSettings(), "localhost.evil.example", False),
        (NetworkSettings(), "evillocalhost", False),
        (NetworkSettings(), "127.0.0.1.nip.example", False),
        (NetworkSettings(), "user@localhost", False),
        (NetworkSettings(), "localhost:6006:1", False),
        (NetworkSettings(), "", False),
        (NetworkSettings(host=EVERYWHERE), "whatever.example", True),
        (NetworkSettings(host=EVERYWHERE), "a b", False),
        (PUBLIC, "phoenix.example.com", True),
        (PUBLIC, "phoenix.example.com:8443", True),
        (PUBLIC, "127.0.0.1:6006", True),
        (PUBLIC, "example.com", False),
        (PUBLIC, "x.phoenix.example.com", False),
        (NetworkSettings(host=EVERYWHERE, allowed_hosts=("*",)), "whatever.example", True),
        (NetworkSettings(allowed_hosts=("a.example",)), "localhost", False),
        (NetworkSettings(allowed_hosts=("*.a.example",)), "b.a.example", True),
        (NetworkSettings(allowed_hosts=("*.a.example",)), "c.b.a.example", True),
        (NetworkSettings(allowed_hosts=("*.a.example",)), "a.example", False),
        (NetworkSettings(allowed_hosts=("*.a.example",)), ".a.example", False),
        (NetworkSettings(allowed_hosts=("a.example:8080",)), "a.example:8080", True),
        (NetworkSettings(allowed_hosts=("a.example:8080",)), "a.example", False),
        (NetworkSettings(allowed_hosts=("10.0.0.0/8",)), "10.3.4.5:6006", True),
        (NetworkSettings(allowed_hosts=("10.0.0.0/8",)), "11.3.4.5:6006", False),
        (NetworkSettings(allowed_hosts=("10.0.0.0/8",)), "localhost", False),
        (NetworkSettings(allowed_hosts=("[::1]",)), "[::1]:6006", True),
    ],
)
def test_which_hosts_are_answered(
    settings: NetworkSettings, host: str, *, is_answered: bool
) -> None:
    assert AllowedHosts(answered_hosts(settings)).allows(host) is is_answered


async def test_another_host_is_refused_in_words() -> None:
    behind = Behind()
    guard = HostGuard(behind, AllowedHosts(answered_hosts(PUBLIC)))
    answer = await ask(guard, headers=[("host", "evil.example")])
    assert (answer.status_code, answer.text) == (400, "Invalid Host header")
    assert not behind.was_reached
    assert (await ask(guard, headers=[("host", "phoenix.example.com")])).status_code == 200


@pytest.mark.parametrize("hosts", [(), ("localhost",)])
async def test_two_hosts_or_none_are_refused_always(hosts: tuple[str, ...]) -> None:
    guard = HostGuard(Behind(), AllowedHosts(hosts))
    twice = [("host", "localhost"), ("host", "localhost")]
    assert (await ask(guard, headers=twice)).status_code == 400

    async def without_host(scope: dict[str, object], receive: object, send: object) -> None:
        scope["headers"] = []
        await guard(scope, receive, send)  # type: ignore[arg-type]

    assert (await ask(without_host)).status_code == 400


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_ask_by_address(path: str) -> None:
    guard = HostGuard(Behind(), AllowedHosts(("localhost",)))
    assert (await ask(guard, path=path, headers=[("host", "10.1.2.3:6006")])).status_code == 200


def test_what_is_remembered_is_bounded() -> None:
    hosts = AllowedHosts(("a.example",))
    assert not any(hosts.allows(f"{i}.example") for i in range(5_000))
    assert hosts.allows("a.example")
