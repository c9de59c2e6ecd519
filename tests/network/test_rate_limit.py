"""429 for what exceeds a limit, counted by address, key or user."""

from typing import Any

import pytest

from bennu.access import Caller, Principal, PrincipalKind
from bennu.httpio.request import BLOCKED
from bennu.kernel.errors import DeniedError
from bennu.network.paths import PathSet
from bennu.network.rate_counters import MemoryCounters
from bennu.network.rate_limit import LimitExceededError, RateLimitLayer, RateLimits
from bennu.network.rate_rules import LimitTable, RateLimit, parse_rate_rules
from fakes.asgi import Behind, ask
from fakes.clock import FrozenClock

NOBODY = Principal(PrincipalKind.ANONYMOUS)


def caller(address: str = "192.0.2.1", user: str = "", key: str = "") -> Caller:
    kind = PrincipalKind.USER_KEY if key else PrincipalKind.USER
    return Caller(Principal(kind, user, credential_id=key) if user else NOBODY, address)


class Limited:
    """A layer with these rules and no built-in limits."""

    def __init__(self, rules: str) -> None:
        self.clock, self.behind = FrozenClock(), Behind()
        self.noted: list[tuple[str, str, str]] = []

        async def note(limit: RateLimit, who: Caller, door: str) -> None:
            self.noted.append((limit.name, who.address, door))

        counters = MemoryCounters(self.clock.monotonic_seconds)
        self.limits = RateLimits(LimitTable(parse_rate_rules(rules), ()), counters, note)
        self.layer = RateLimitLayer(self.behind, self.limits, PathSet([("POST", "/login")]))

    async def ask(self, who: Caller, path: str = "/v1/x", method: str = "GET") -> Any:
        return await ask(self.layer, method, path, caller=who)

    async def passes(self, who: Caller, **more: Any) -> bool:
        return bool((await self.ask(who, **more)).status_code == 200)


async def test_the_answer_says_how_long_to_wait_and_that_is_true() -> None:
    limited = Limited("/v1/* = 2/minute")
    assert await limited.passes(caller())
    limited.clock.advance(10)
    assert await limited.passes(caller())
    limited.clock.advance(0.5)
    answer = await limited.ask(caller())
    assert (answer.status_code, answer.text) == (429, "Too Many Requests")
    assert answer.headers["retry-after"] == "50"
    assert answer.headers["ratelimit-policy"] == '"/v1/*";q=2;w=60'
    assert answer.headers["ratelimit"] == '"/v1/*";r=0;t=50'
    assert limited.noted == [("/v1/*", "192.0.2.1", "http")]
    limited.clock.advance(48)
    assert not await limited.passes(caller())
    limited.clock.advance(2)
    assert await limited.passes(caller())


async def test_other_paths_and_other_addresses_are_not_concerned() -> None:
    limited = Limited("/v1/* = 1/minute")
    assert await limited.passes(caller())
    assert not await limited.passes(caller())
    assert await limited.passes(caller("192.0.2.2"))
    assert await limited.passes(caller(), path="/healthz")
    assert not await limited.passes(caller(), path="/api/v1/y")


async def test_an_ipv6_site_is_one_address() -> None:
    limited = Limited("/v1/* = 1/minute")
    assert await limited.passes(caller("2001:db8::1"))
    assert not await limited.passes(caller("2001:db8::ffff:1"))
    assert await limited.passes(caller("2001:db8:0:1::1"))


async def test_per_key_per_user_and_who_has_neither() -> None:
    by_key = Limited("/v1/* = 1/minute per key")
    assert await by_key.passes(caller(user="u1", key="k1"))
    assert not await by_key.passes(caller("192.0.2.2", user="u1", key="k1"))
    assert await by_key.passes(caller(user="u1", key="k2"))
    assert await by_key.passes(caller())
    assert not await by_key.passes(caller())
    by_user = Limited("/v1/* = 1/minute per user")
    assert await by_user.passes(caller(user="u1", key="k1"))
    assert not await by_user.passes(caller("192.0.2.2", user="u1", key="k2"))
    assert await by_user.passes(caller(user="u2", key="k1"))


async def test_grpc_shares_the_count_of_its_twin() -> None:
    limited = Limited("POST /v1/traces = 2/second per key")
    who = caller(user="u1", key="k1")
    assert await limited.passes(who, path="/v1/traces", method="POST")
    await limited.limits.admit_export(who)
    with pytest.raises(LimitExceededError) as caught:
        await limited.limits.admit_export(who)
    assert caught.value.retry_after_seconds == 1
    assert limited.noted == [("POST /v1/traces", "192.0.2.1", "grpc")]
    assert not await limited.passes(who, path="/v1/traces", method="POST")


async def test_a_page_shows_the_refusal_itself() -> None:
    limited = Limited("POST /login = 1/minute")
    assert await limited.passes(caller(), path="/login", method="POST")
    assert BLOCKED not in limited.behind.scopes[-1]
    await limited.ask(caller(), path="/login", method="POST")
    assert isinstance(limited.behind.scopes[-1][BLOCKED], LimitExceededError)


async def test_what_was_refused_before_is_not_counted() -> None:
    """Another website cannot use up the attempts of its visitors."""
    limited, refusal = Limited("POST /login = 1/minute"), DeniedError("untrusted origin")
    for _ in range(3):
        await ask(limited.layer, "POST", "/login", caller=caller(), **{BLOCKED: refusal})
        assert limited.behind.scopes[-1][BLOCKED] is refusal
    assert await limited.passes(caller(), path="/login", method="POST")


async def test_without_a_rule_exports_cost_nothing() -> None:
    limited = Limited("")
    for _ in range(10):
        await limited.limits.admit_export(caller())
        assert await limited.passes(caller())
