"""The words of ASGI that the layers share."""

import pytest

from bennu.network.asgi import header_values, route_path


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
