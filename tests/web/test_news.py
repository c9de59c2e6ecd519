"""The stream of new traces of a project, on a server that runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from bennu.web.streams import MOST_OF_A_SESSION
from started import StartedServer
from web.browsing import send
from web.site_world import exporting


def send_trace(server: StartedServer, key: str) -> None:
    provider = exporting(server, key)
    with provider.get_tracer("t").start_as_current_span("order"):
        pass
    provider.shutdown()


@contextmanager
def events(client: httpx.Client, address: str) -> Iterator[Iterator[str]]:
    with client.stream("GET", address, timeout=60) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield (line for line in answer.iter_lines() if line and not line.startswith(":"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("news")) as started:
        yield started


def address_of(client: httpx.Client) -> str:
    page = client.get("/projects").text
    project = page.split('">shop<')[0].rsplit('href="', 1)[1]
    address = client.get(project).text.split('data-news="')[1].split('"')[0]
    assert "data-news" not in client.get(f"{project}?errors=1").text
    assert "data-news" not in client.get(f"{project}?tab=spans").text
    return address


@pytest.mark.timeout(300)
def test_new_traces_are_told_until_the_session_has_ended(server: StartedServer) -> None:
    client, key = server.admin(), server.api_key()
    send_trace(server, key)
    address = address_of(client)
    with events(client, address) as lines:
        assert [next(lines), next(lines)] == ["event: news", "data: 0"]
        send_trace(server, key)
        assert [next(lines), next(lines)] == ["event: news", "data: 1"]
        other = server.admin()
        other.cookies.clear()
        other.cookies.update(client.cookies)
        assert send(other, "/account", {}, "/logout").status_code in {200, 303}
        assert next(lines) == "event: ended"
    assert client.get(address).status_code == 401


def test_who_may_not_gets_no_stream(server: StartedServer) -> None:
    assert server.client().get("/events/projects/shop").status_code == 401
    assert server.admin().get("/events/projects/nothing").status_code == 404
    assert server.admin().get("/events/projects/nothing?since=x").status_code == 404


@pytest.mark.timeout(300)
def test_streams_are_few_and_end_with_the_server(tmp_path: Path) -> None:
    with StartedServer(tmp_path) as server:
        client = server.admin()
        address = "/events/projects/default?since=0"
        open_streams = [events(client, address) for _ in range(MOST_OF_A_SESSION)]
        read = [stream.__enter__() for stream in open_streams]
        for lines in read:
            next(lines)
        assert client.get(address).status_code == 429
        status, _ = server.terminate(60)
        assert status == 0
        assert "timeout graceful shutdown exceeded" not in server.log()
        for lines, stream in zip(read, open_streams, strict=True):
            assert "ended" not in "".join(lines)
            stream.__exit__(None, None, None)
