"""What every answer tells a browser."""

import pytest

from bennu.httpio.frame import FrameOptions, RequestFrame
from bennu.network.headers import PAGE_POLICY, answer_headers
from fakes.asgi import Behind, ask
from fakes.clock import FrozenClock
from fakes.entropy import RepeatableEntropy


def framed(*, is_https: bool = False, headers: dict[str, str] | None = None) -> RequestFrame:
    options = FrameOptions(headers=answer_headers(is_https=is_https))
    return RequestFrame(Behind(headers), FrozenClock(), RepeatableEntropy(), options)


@pytest.mark.asvs("3.2.1", "3.4.3")
async def test_the_interface_may_load_nothing() -> None:
    headers = (await ask(framed())).headers
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]


@pytest.mark.asvs("3.4.3")
async def test_pages_may_load_what_is_ours_and_nothing_inline() -> None:
    answer = await ask(framed(headers={"content-type": "text/html; charset=utf-8"}))
    policy = answer.headers["content-security-policy"]
    assert policy == PAGE_POLICY.decode()
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


async def test_an_answer_may_bring_its_own() -> None:
    answer = await ask(framed(headers={"cache-control": "public, max-age=60"}))
    assert answer.headers.get_list("cache-control") == ["public, max-age=60"]


@pytest.mark.asvs("3.4.1")
async def test_hsts_is_for_those_who_come_by_tls() -> None:
    name = "strict-transport-security"
    assert name not in (await ask(framed())).headers
    by_tls = await ask(framed(), scheme="https")
    assert by_tls.headers[name] == "max-age=31536000; includeSubDomains"
    assert (await ask(framed(is_https=True))).headers.get_list(name) == [by_tls.headers[name]]


async def test_the_version_is_told_to_clients_of_the_interface_only() -> None:
    assert "x-phoenix-server-version" in (await ask(framed(), path="/v1/projects")).headers
    assert "x-phoenix-server-version" not in (await ask(framed(), path="/login")).headers
    below = await ask(framed(), path="/bennu/v1/x", root_path="/bennu")
    assert "x-phoenix-server-version" in below.headers
