"""One trace, its annotations and notes, as a browser without scripts uses the page."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from bennu.web.pages_trace import content_of_span
from started import StartedServer
from web.browsing import send, texts
from web.site_world import SiteWorld, filled_site
from web.watched_span import watched_span

ROUTE = "/projects/{project}/traces/{trace_id}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteWorld]:
    with StartedServer(tmp_path_factory.mktemp("trace")) as started:
        yield filled_site(started)


@pytest.fixture(scope="module")
def client(world: SiteWorld) -> httpx.Client:
    return world.server.admin()


def span_on(client: httpx.Client, trace: str) -> str:
    return client.get(trace).text.split('name="span" value="')[1].split('"')[0]


def say(client: httpx.Client, trace: str, **fields: str) -> httpx.Response:
    body: dict[str, str | list[str]] = {"span": span_on(client, trace), **fields}
    return send(client, trace, body, f"{trace}/annotations")


def test_a_span_is_annotated_and_the_annotation_read(
    world: SiteWorld, client: httpx.Client
) -> None:
    trace = world.addresses[ROUTE]
    answer = say(client, trace, name="tone", label="kind", score="0.25", explanation="<b>nice</b>")
    assert answer.status_code == 303, answer.text
    page = client.get(answer.headers["location"])
    assert "Your annotation is kept." in page.text
    (row,) = (row for row in texts(page, "annotation-row") if "tone" in row)
    assert "kind" in row
    assert "score 0.25" in row
    assert "admin" in row
    assert "&lt;b&gt;nice" in page.text


def test_a_trace_is_given_a_note(world: SiteWorld, client: httpx.Client) -> None:
    trace = world.addresses[ROUTE]
    assert say(client, trace, about="trace", explanation="look again").status_code == 303
    assert any(
        "note" in row and "whole trace" in row and "look again" in row
        for row in texts(client.get(trace), "annotation-row")
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "tone"}, "label"),
        ({"name": "tone", "score": "x", "label": "as typed"}, "score"),
        ({"explanation": "  "}, "explanation"),
        ({"name": "note", "label": "x"}, ""),
    ],
)
def test_mistakes_stand_beside_their_field(
    world: SiteWorld, client: httpx.Client, fields: dict[str, str], field: str
) -> None:
    answer = say(client, world.addresses[ROUTE], **fields)
    assert 400 <= answer.status_code < 500
    assert texts(answer, "form-error")
    assert not field or f'id="wrong-{field}"' in answer.text
    assert "label" not in fields or f'value="{fields["label"]}"' in answer.text


def test_nobody_annotates_what_is_not_there_or_without_the_permission(
    world: SiteWorld, client: httpx.Client
) -> None:
    trace = world.addresses[ROUTE]
    absent = f"{trace.rpartition('/')[0]}/{'0' * 32}"
    body: dict[str, str | list[str]] = {"explanation": "x"}
    assert send(client, trace, body, f"{absent}/annotations").status_code == 404
    account = {"email": "v@example.com", "username": "v", "role": "VIEWER"}
    made = {**account, "auth_method": "LOCAL", "password": "a-first-Password-11"}
    client.post("/v1/users", json={"user": made})
    first = world.server.sign_in("v@example.com", "a-first-Password-11")
    change = {"current_password": "a-first-Password-11", "password": "another-Password-12"}
    assert first.patch("/v1/user", json=change).status_code < 300
    viewer = world.server.sign_in("v@example.com", "another-Password-12")
    page = viewer.get(trace)
    assert page.status_code == 200
    assert f'action="{trace}/annotations"' not in page.text
    assert send(viewer, trace, body, f"{trace}/annotations").status_code == 403


async def test_what_a_program_sent_is_read_in_a_thread() -> None:
    span = watched_span()
    assert await content_of_span(span)
    assert span.readers
    assert threading.get_ident() not in span.readers
