"""Rules as people write them, and which requests they meet."""

from typing import Any

import pytest

from bennu.access import Permission
from bennu.httpio.respond import empty_answer
from bennu.httpio.route import Door, Limit, Route
from bennu.network.rate_rules import (
    BUILT_IN,
    CountedBy,
    LimitTable,
    RuleError,
    check_rules_meet_routes,
    loosened_limits,
    parse_rate_rules,
)


def route(method: str, path: str, limit: Limit = Limit.API) -> Route:
    async def handler(_: Any) -> Any:
        return empty_answer()

    permission = Permission.TRACES_READ if limit is Limit.API else Door.OPEN
    return Route(
        method=method, path=path, handler=handler, permission=permission, summary="s", limit=limit
    )


ROUTES = (
    route("POST", "/v1/traces"),
    route("GET", "/v1/projects/{id}"),
    route("POST", "/auth/login", Limit.SIGN_IN),
    route("POST", "/auth/ldap/login", Limit.SIGN_IN),
    route("GET", "/oauth2/{provider}/tokens", Limit.SIGN_IN_CALLBACK),
    route("POST", "/auth/password-reset-email", Limit.PASSWORD_RESET),
    route("POST", "/auth/refresh"),
    route("GET", "/healthz", Limit.NONE),
)


def names(rules: str, method: str, path: str) -> list[str]:
    table = LimitTable(parse_rate_rules(rules), ROUTES)
    return [limit.name for limit in table.limits_of(method, path)]


@pytest.mark.parametrize(
    ("text", "count", "seconds", "counted_by"),
    [
        ("POST /v1/traces = 2000/second per key", 2000, 1, CountedBy.KEY),
        ("/v1/* = 600/minute per ip", 600, 60, CountedBy.IP),
        ("/v1/* = 600/minute", 600, 60, CountedBy.IP),
        ("/v1/*=10/5minutes per user", 10, 300, CountedBy.USER),
        ("GET /x = 1 / 2 hours", 1, 7200, CountedBy.IP),
        ("/api/v1/x = 7/day per user", 7, 86_400, CountedBy.USER),
    ],
)
def test_a_rule_is_read(text: str, count: int, seconds: int, counted_by: CountedBy) -> None:
    (rule,) = parse_rate_rules(text + " ; ;")
    limit = rule.limit
    assert (limit.count, limit.window_seconds, limit.counted_by) == (count, seconds, counted_by)
    assert "api" not in rule.path


@pytest.mark.parametrize("text", ["x", "/v1/x = 0/second", "/v1/x = 1/week", "/a b = 1/second"])
def test_what_is_no_rule_is_named(text: str) -> None:
    with pytest.raises(RuleError, match="is no rule"):
        parse_rate_rules(text)


def test_the_limits_of_the_spec_hold_without_rules() -> None:
    assert (BUILT_IN[Limit.SIGN_IN].count, BUILT_IN[Limit.SIGN_IN].window_seconds) == (5, 60)
    reset = BUILT_IN[Limit.PASSWORD_RESET]
    assert (reset.count, reset.window_seconds) == (3, 3600)
    assert names("", "POST", "/auth/login") == ["sign_in"]
    assert names("", "POST", "/auth/ldap/login") == ["sign_in"]
    assert names("", "GET", "/oauth2/google/tokens") == ["sign_in_callback"]
    assert names("", "POST", "/auth/password-reset-email") == ["password_reset"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/auth/refresh"),
        ("GET", "/auth/login"),
        ("POST", "/v1/traces"),
        ("GET", "/healthz"),
        ("GET", "/nope"),
        ("GET", "/"),
    ],
)
def test_nothing_else_is_limited_unless_a_rule_says_so(method: str, path: str) -> None:
    assert names("", method, path) == []


def test_the_first_rule_that_matches_counts() -> None:
    rules = "POST /v1/traces = 2000/second per key; /v1/* = 600/minute per ip; /* = 9/second"
    assert names(rules, "POST", "/v1/traces") == ["POST /v1/traces"]
    assert names(rules, "GET", "/v1/projects/1") == ["/v1/*"]
    assert names(rules, "HEAD", "/v1/projects/1") == ["/v1/*"]
    assert names(rules, "GET", "/nope") == ["/*"]


def test_a_wide_rule_never_replaces_the_limit_of_signing_in() -> None:
    assert names("/* = 1000/minute", "POST", "/auth/login") == ["sign_in", "/*"]
    assert names("/auth/* = 1000/minute", "POST", "/auth/login") == ["sign_in", "/auth/*"]
    one = names("GET /oauth2/google/tokens = 9/second", "GET", "/oauth2/google/tokens")
    assert one == ["sign_in_callback", "GET /oauth2/google/tokens"]


def test_a_rule_that_names_the_path_stands_in_for_it() -> None:
    rules = "POST /auth/login = 50/minute; GET /oauth2/{any}/tokens = 9/hour"
    assert names(rules, "POST", "/auth/login") == ["POST /auth/login"]
    assert names(rules, "POST", "/auth/ldap/login") == ["sign_in"]
    assert names(rules, "GET", "/oauth2/x/tokens") == ["GET /oauth2/{any}/tokens"]
    loosened = loosened_limits(parse_rate_rules(rules), ROUTES)
    assert loosened == ("POST /auth/login: 50 in 60 s per ip, not 5 in 60 s per ip",)


@pytest.mark.parametrize(
    "rule",
    [
        "POST /v1/trace = 1/second",
        "PUT /v1/traces = 1/second",
        "/v2/* = 1/second",
        "/v1/traces/ = 1/second",
    ],
)
def test_a_rule_that_meets_no_route_is_refused(rule: str) -> None:
    with pytest.raises(RuleError, match="no route is matched"):
        check_rules_meet_routes(parse_rate_rules(rule), ROUTES)


def test_rules_that_meet_a_route_are_good() -> None:
    text = "/api/v1/traces = 1/second; GET /v1/projects/demo = 1/second; /* = 1/second"
    check_rules_meet_routes(parse_rate_rules(text), ROUTES)
