"""Settings, Retention, as a browser without scripts uses the page. Spec: lines 262-264."""

import re
from collections.abc import Iterator

import pytest

from started import StartedServer
from web.browsing import send, texts

PAGE = "/settings/retention"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("retention")) as started:
        yield started


def test_a_policy_is_made_followed_changed_and_deleted(server: StartedServer) -> None:
    client = server.admin()
    made = send(client, PAGE, {"name": "short", "max_days": "7"})
    assert made.status_code == 303, made.text
    page = client.get(PAGE)
    assert any("short" in row and "keeps 7 days" in row for row in texts(page, "policy-row"))
    found = re.search(r'href="(/settings/retention/[^"]+)">short<', page.text)
    assert found is not None
    one = found[1]
    project = client.post("/v1/projects", json={"name": "shop"}).json()["data"]["id"]
    follow: dict[str, str | list[str]] = {"project": project, "policy": one.rpartition("/")[2]}
    assert send(client, PAGE, follow, "/settings/retention-of-project").status_code == 303
    assert "1 project follows" in client.get(one).text
    fields: dict[str, str | list[str]] = {"name": "shorter", "max_days": "3", "max_count": "10"}
    assert send(client, one, fields).status_code == 303
    rows = texts(client.get(PAGE), "policy-row")
    assert any("shorter" in row and "3 days and at most the newest 10" in row for row in rows)
    assert send(client, one, {}, f"{one}/delete").status_code == 303
    assert client.get(one).status_code == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "x", "max_days": "many"}, "max_days"),
        ({"name": "x", "max_days": "-1"}, "max_days"),
        ({"name": "x", "max_count": "1.5"}, "max_count"),
        ({"name": " "}, "name"),
        ({"name": "x", "cron_expression": "never"}, ""),
    ],
)
def test_mistakes_stand_beside_their_field(
    server: StartedServer, fields: dict[str, str], field: str
) -> None:
    answer = send(server.admin(), PAGE, {**fields})
    assert answer.status_code == 422
    assert texts(answer, "form-error")
    assert not field or f'id="wrong-{field}"' in answer.text


def test_the_default_policy_stays(server: StartedServer) -> None:
    client = server.admin()
    found = re.search(r'href="(/settings/retention/[^"]+)">Default<', client.get(PAGE).text)
    assert found is not None
    assert send(client, found[1], {"max_days": "30"}).status_code == 303
    assert send(client, found[1], {}, f"{found[1]}/delete").status_code == 403
