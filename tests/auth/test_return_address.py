"""Nobody is led to another site by a sign-in. Issue: open redirects."""

import pytest

from bennu.auth.return_address import safe_return_path


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/projects", "/projects/UHJvamVjdDox/traces/abc", "/projects?filter=a%20b&x=1"),
        *("/projects#top", "/?tab=1", "/settings/api-keys", "/redirects/spans/a1?to=https://x"),
        "/projects/a%2Fb",
    ],
)
def test_a_path_of_our_own_is_kept(path: str) -> None:
    assert safe_return_path(path) == path


@pytest.mark.parametrize(
    "path", ["", "/login", "/logout?error=x", "/login/", "/a" * 2000, "//evil" * 500]
)
def test_without_a_place_to_go_it_is_home(path: str) -> None:
    assert safe_return_path(path) == "/"


@pytest.mark.asvs("1.1.1", "3.7.2")
@pytest.mark.parametrize(
    "path",
    [
        *("//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil"),
        *("https://evil.example", "http:evil.example", "javascript:alert(1)", "evil.example"),
        *("/%2fevil.example", "/%2Fevil.example", "/%5cevil.example", "/%252fevil.example"),
        *("/%25252fevil.example", "%2f%2fevil.example", "/\t/evil.example", "/\n/evil.example"),
        *("/\x00/evil.example", "/a\r\nset-cookie: x", "/@evil.example", "/user@evil.example"),
        *("/.//evil.example", "/..//evil.example", "/a/..//evil.example", "/a//evil.example"),
        *("/%0d%0a", "/%09/evil.example", " /projects", "/projects x", "/pröjects", "?a=b", "#a"),
        *("/oauth2/x/login", "/auth/logout", "/OAUTH2/x/login", "/%61uth/logout"),
        *("/a/../auth/logout", "/;/evil.example", "/.evil", "/" + "%25" * 200 + "2fevil"),
    ],
)
def test_what_leads_elsewhere_is_refused(path: str) -> None:
    assert safe_return_path(path) is None
