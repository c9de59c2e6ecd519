"""Words for user agents; nothing is decided by them."""

import pytest

from bennu.web.client_names import client_name


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox on Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/150.0 Safari/537.36 Edg/150.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 14) AppleWebKit/605 Safari/605",
            "Safari on macOS",
        ),
        ("curl/8.0", "curl"),
        ("", "unknown client"),
        ("some-agent " * 20, ("some-agent " * 20)[:60]),
    ],
)
def test_names(agent: str, name: str) -> None:
    assert client_name(agent) == name
