"""How often what may be asked: the built-in limits, and the rules of ``PHOENIX_RATE_LIMITS``.

A rule is ``[METHOD ]/path = N/unit [per ip|key|user]``; the first that matches a request counts.
All requests that a rule matches share one count. Limits of signing in and of resets hold besides,
unless a rule names such a path exactly: then the rule stands in for them.

Spec: lines 212-218.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from bennu.httpio.route import Limit, Route
from bennu.kernel.errors import InvalidError
from bennu.network.paths import first_part, is_literal, may_meet, path_pattern, same_shape
from bennu.network.settings import RATE_RULE

_UNITS: Final = MappingProxyType({"second": 1, "minute": 60, "hour": 3_600, "day": 86_400})


class RuleError(InvalidError):
    """A rule that cannot be read, or that no route ever meets."""

    code = "rate_limit_rule"


class CountedBy(StrEnum):
    """Whose requests are counted together."""

    IP = "ip"
    KEY = "key"  # of callers without a credential: the address
    USER = "user"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many requests in a moving window.

    Args:
        name: for headers, records and counters: a class such as ``sign_in``, or a rule's path.
        count: at least 1.
        window_seconds: at least 1.
        counted_by: whose requests are counted together.
    """

    name: str
    count: int
    window_seconds: int
    counted_by: CountedBy = CountedBy.IP

    @property
    def in_words(self) -> str:
        """Return the limit as people write it."""
        return f"{self.count} in {self.window_seconds} s per {self.counted_by}"


#: What holds whatever the settings say, by the class of the route.
BUILT_IN: Final = MappingProxyType(
    {
        Limit.SIGN_IN: RateLimit("sign_in", 5, 60),
        Limit.SIGN_IN_CALLBACK: RateLimit("sign_in_callback", 5, 60),
        Limit.PASSWORD_RESET: RateLimit("password_reset", 3, 3_600),
        Limit.PASSWORD_RESET_USE: RateLimit("password_reset_use", 3, 3_600),
    }
)


@dataclass(frozen=True, slots=True)
class RateRule:
    """One rule of the settings; ``method`` is "" for any."""

    method: str
    path: str
    limit: RateLimit

    def meets(self, route: Route) -> bool:
        """Whether some request for this route is counted."""
        return self.method in {"", route.method} and may_meet(self.path, route.path)


def parse_rate_rules(text: str) -> tuple[RateRule, ...]:
    """Read rules that are split by semicolons.

    Raises:
        RuleError: one cannot be read; it is named.
    """
    return tuple(_parse(rule) for part in text.split(";") if (rule := part.strip()))


def _parse(text: str) -> RateRule:
    match = RATE_RULE.fullmatch(text)
    if match is None:
        raise RuleError(f"PHOENIX_RATE_LIMITS: {text!r} is no rule")
    method, path = match["method"] or "", match["path"]
    path = path.removeprefix("/api") if path.startswith("/api/v1/") else path
    seconds = int(match["units"] or 1) * _UNITS[match["unit"]]
    per = CountedBy(match["per"] or "ip")
    return RateRule(
        method, path, RateLimit(f"{method} {path}".strip(), int(match["count"]), seconds, per)
    )


def check_rules_meet_routes(rules: Iterable[RateRule], routes: Sequence[Route]) -> None:
    """Refuse rules that no request can ever meet: a slip of the pen would leave a door unlimited.

    Raises:
        RuleError: names the rule.
    """
    for rule in rules:
        if not any(rule.meets(route) for route in routes):
            raise RuleError(
                f"PHOENIX_RATE_LIMITS: no route is matched by {rule.limit.name!r}; "
                "docs/operations/network.md lists the paths"
            )


def loosened_limits(rules: Sequence[RateRule], routes: Iterable[Route]) -> tuple[str, ...]:
    """Return in words which built-in limits the rules replace by weaker ones."""
    found = []
    for route in routes:
        built_in, rule = BUILT_IN.get(route.limit), _naming(rules, route)
        if built_in is not None and rule is not None:
            ours = rule.limit.count * built_in.window_seconds
            if ours > built_in.count * rule.limit.window_seconds:
                found.append(f"{rule.limit.name}: {rule.limit.in_words}, not {built_in.in_words}")
    return tuple(found)


def _naming(rules: Iterable[RateRule], route: Route) -> RateRule | None:
    """Return the rule that names exactly this route, if there is one."""
    for rule in rules:
        if rule.meets(route) and same_shape(rule.path, route.path):
            return rule
    return None


class LimitTable:
    """Which limits a request meets, found quickly: most requests meet none.

    Args:
        rules: of the settings, in their order.
        routes: the table of routes, for the built-in limits.
    """

    def __init__(self, rules: Sequence[RateRule], routes: Iterable[Route]) -> None:
        self._built_in = [
            (route.method, path_pattern(route.path), BUILT_IN[route.limit], first_part(route.path))
            for route in routes
            if route.limit in BUILT_IN and _naming(rules, route) is None
        ]
        self._rules = [
            (rule.method, path_pattern(rule.path), rule.limit, first_part(rule.path))
            for rule in rules
        ]
        entries = (*self._built_in, *self._rules)
        self._areas = frozenset(area for *_, area in entries)
        self._has_wide_rule = any(not is_literal("/" + area) for area in self._areas)

    def limits_of(self, method: str, path: str) -> tuple[RateLimit, ...]:
        """Return the limits that a request meets: of a built-in class, and of the first rule."""
        if not self._has_wide_rule and first_part(path) not in self._areas:
            return ()
        method = "GET" if method == "HEAD" else method
        found = []
        for entries in (self._built_in, self._rules):
            for of, pattern, limit, _ in entries:
                if of in {"", method} and pattern.fullmatch(path):
                    found.append(limit)
                    break
        return tuple(found)
