"""Settings, Audit log, as a browser without scripts uses the page. Spec: lines 252-260."""

from collections.abc import Iterator

import pytest

from started import StartedServer
from web.browsing import texts

PAGE = "/settings/audit"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("audit")) as started:
        client = started.admin()
        body = {"email": "nobody@example.com", "password": "wrong-one-1"}
        started.client(**{"user-agent": "<script>alert(1)</script>"}).post("/auth/login", json=body)
        for number in range(60):
            client.post("/v1/projects", json={"name": f"p{number}"})
        yield started


def test_records_are_listed_and_paged(server: StartedServer) -> None:
    client = server.admin()
    first = client.get(PAGE)
    assert len(texts(first, "audit-row")) == 50
    assert 'rel="next"' in first.text
    following = first.text.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert len(texts(client.get(following), "audit-row")) > 5


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ("event=auth.sign_in.failed", "auth.sign_in.failed"),
        ("outcome=failed", "auth.sign_in.failed"),
        ("event=project.created&from=2020-01-01", "project.created"),
    ],
)
def test_filters(server: StartedServer, query: str, seen: str) -> None:
    rows = texts(server.admin().get(f"{PAGE}?{query}"), "audit-row")
    assert rows
    assert all(seen in row for row in rows)


@pytest.mark.parametrize(
    "query",
    ["until=2001-01-01", "from=2999-01-01", "actor_id=bm9ib2R5", "target_id=bm90aGluZw"],
)
def test_nothing_fits(server: StartedServer, query: str) -> None:
    page = server.admin().get(f"{PAGE}?{query}")
    assert "No record fits this filter" in page.text


@pytest.mark.parametrize("query", ["event=x", "outcome=x", "from=x", "until=9999-99-99"])
def test_mistakes_stand_beside_their_field(server: StartedServer, query: str) -> None:
    page = server.admin().get(f"{PAGE}?{query}")
    assert page.status_code == 200
    assert f'id="wrong-{query.partition("=")[0]}"' in page.text


@pytest.mark.parametrize("beyond", ["x", "-1", "9" * 40, "0"])
def test_a_page_that_is_not_there(server: StartedServer, beyond: str) -> None:
    assert server.admin().get(f"{PAGE}?beyond={beyond}").status_code == 200


def test_the_chain_is_verified_on_demand(server: StartedServer) -> None:
    assert "The chain is as it was written" in server.admin().get(f"{PAGE}?verify=1").text


@pytest.mark.asvs("1.1.2")
def test_what_strangers_sent_is_text(server: StartedServer) -> None:
    page = server.admin().get(f"{PAGE}?event=auth.sign_in.failed").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
