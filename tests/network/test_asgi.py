"""The words of ASGI that the layers share."""

import pytest

from bennu.network.asgi import cookie_of, header_values, route_path, with_cookies


@pytest.mark.parametrize(
    ("path", "root", "expected"),
    [
        ("/v1/traces", "", "/v1/traces"),
        ("/api/v1/traces", "", "/v1/traces"),
        ("/api/v2/traces", "", "/api/v2/traces"),
        ("/phoenix/v1/traces", "/phoenix", "/v1/traces"),
        ("/phoenix/api/v1/traces", "/phoenix", "/v1/traces"),
    ],
)
def test_a_path_is_that_of_the_route_table(path: str, root: str, expected: str) -> None:
    assert route_path({"path": path, "root_path": root}) == expected


def test_all_values_of_a_header_in_order() -> None:
    scope = {"headers": [(b"a", b"1"), (b"b", b"2"), (b"a", "ä".encode("latin-1"))]}
    assert header_values(scope, b"a") == ["1", "ä"]


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ([], ""),
        ([b"a=1"], "1"),
        ([b"aa=0; ba=0;a=1;a=2"], "1"),
        ([b"x=1", b" a = 1 "], "1"),
        ([b'{"a=3": 1}; other[]; a=b=c'], "b=c"),
        ([b"a"], ""),
        ([b"a=; a=2"], ""),
    ],
)
def test_the_first_cookie_of_a_name_counts_whatever_stands_beside_it(
    headers: list[bytes], value: str
) -> None:
    given = [(b"accept", b"a=9"), *((b"cookie", header) for header in headers)]
    assert cookie_of(given, b"a") == value


def test_cookies_are_replaced_and_the_rest_stays_as_sent() -> None:
    given = [(b"cookie", b'x={"y": 1};a=1; aa=2 '), (b"cookie", b"a=4;c=5"), (b"host", b"a=1")]
    assert with_cookies(given, {b"a": b"new", b"b": b"too"}) == [
        (b"host", b"a=1"),
        (b"cookie", b'x={"y": 1}; aa=2; c=5; a=new; b=too'),
    ]
