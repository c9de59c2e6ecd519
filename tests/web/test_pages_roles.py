"""Settings, Roles, as a browser without scripts uses the page. Spec: line 270."""

from collections.abc import Iterator

import pytest

from started import StartedServer
from web.browsing import send, texts

PAGE = "/settings/roles"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("roles")) as started:
        yield started


def test_a_role_is_defined_changed_and_deleted(server: StartedServer) -> None:
    client = server.admin()
    fields: dict[str, str | list[str]] = {
        "name": "Reviewer",
        "permissions": ["traces:read", "annotations:write"],
    }
    assert send(client, f"{PAGE}?new=1", fields, PAGE).headers["location"] == f"{PAGE}?done=created"
    page = client.get(PAGE).text
    assert f'href="{PAGE}/Reviewer"' in page
    one = f"{PAGE}/Reviewer"
    assert client.get(one).text.count(" checked") == 2
    changed = send(client, one, {"name": "Reader", "permissions": ["traces:read"]})
    assert changed.headers["location"] == f"{PAGE}?done=changed"
    assert client.get(f"{PAGE}/Reader").text.count(" checked") == 1
    assert send(client, f"{PAGE}/Reader", {}, f"{PAGE}/Reader/delete").status_code == 303
    assert client.get(f"{PAGE}/Reader").status_code == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"name": " ", "permissions": ["traces:read"]},
        {"name": "x"},
        {"name": "admin", "permissions": ["traces:read"]},
    ],
)
def test_mistakes_are_told(server: StartedServer, fields: dict[str, str | list[str]]) -> None:
    answer = send(server.admin(), f"{PAGE}?new=1", fields, PAGE)
    assert 400 <= answer.status_code < 500
    assert texts(answer, "form-error")


def test_built_in_roles_stay(server: StartedServer) -> None:
    client = server.admin()
    page = client.get(f"{PAGE}/ADMIN")
    assert "cannot be changed" in page.text
    assert 'name="permissions"' not in page.text
    refused = send(client, PAGE + "?new=1", {"name": "x", "permissions": ["a"]}, f"{PAGE}/ADMIN")
    assert 400 <= refused.status_code < 500
