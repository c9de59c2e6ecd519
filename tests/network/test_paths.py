"""Paths of routes and rules."""

import pytest

from bennu.network.paths import PathSet, first_part, is_literal, may_meet, path_pattern, same_shape


@pytest.mark.asvs("1.2.9")
@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/v1/traces", "/v1/traces", True),
        ("/v1/traces", "/v1/traces/", False),
        ("/v1/*", "/v1/a", True),
        ("/v1/*", "/v1/a/b", True),
        ("/v1/*", "/v1/", False),
        ("/v1/*/spans", "/v1/a/spans", True),
        ("/v1/*/spans", "/v1/a/b/spans", False),
        ("/v1/{id}", "/v1/a", True),
        ("/v1/{id}", "/v1/a/b", False),
        ("/static/{file:path}", "/static/a/b", True),
        ("/*", "/anything", True),
        ("/a.b", "/aXb", False),
    ],
)
def test_a_pattern_matches_whole_paths(pattern: str, path: str, *, matches: bool) -> None:
    assert (path_pattern(pattern).fullmatch(path) is not None) is matches


@pytest.mark.parametrize(
    ("rule", "route", "meets"),
    [
        ("/v1/traces", "/v1/traces", True),
        ("/v1/trace", "/v1/traces", False),
        ("/v1/*", "/v1/projects/{id}", True),
        ("/v1/projects/demo", "/v1/projects/{id}", True),
        ("/v1/projects/demo/spans", "/v1/projects/{id}/spans", True),
        ("/v1/projects/*/spans", "/v1/projects/{id}/spans", True),
        ("/v1/projects/{x}/spans", "/v1/projects/{id}/spans", True),
        ("/v1/projects/demo/*", "/v1/projects/{id}/spans", True),
        ("/v1/projects/demo/x", "/v1/projects/{id}/spans", False),
        ("/v1/projects", "/v1/projects/{id}", False),
        ("/v1/projects/*", "/v1/projects", False),
        ("/static/a/b", "/static/{file:path}", True),
        ("/*", "/auth/login", True),
        ("/v2/*", "/v1/projects", False),
    ],
)
def test_whether_a_rule_can_meet_a_route(rule: str, route: str, *, meets: bool) -> None:
    assert may_meet(rule, route) is meets


def test_shapes_and_parts() -> None:
    assert same_shape("/oauth2/{a}/login", "/oauth2/{provider}/login")
    assert not same_shape("/oauth2/google/login", "/oauth2/{provider}/login")
    assert is_literal("/v1/a*b")
    assert not is_literal("/v1/*")
    assert [first_part(path) for path in ("/v1/x", "/v1", "/")] == ["v1", "v1", ""]


def test_a_set_is_asked_with_method_and_path() -> None:
    paths = PathSet([("POST", "/auth/login"), ("GET", "/projects/{id}")])
    assert paths.holds("POST", "/auth/login")
    assert not paths.holds("GET", "/auth/login")
    assert paths.holds("GET", "/projects/1")
    assert not paths.holds("GET", "/projects/1/2")
