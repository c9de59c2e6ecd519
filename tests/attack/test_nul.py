"""The character NUL anywhere is the client's mistake, on both databases, and never a defect."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from started import ADMIN_SECRET, StartedServer


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartedServer]:
    env = {}
    if request.param == "postgresql":
        env["PHOENIX_SQL_DATABASE_URL"] = request.getfixturevalue("postgres_url")
    with StartedServer(tmp_path, env) as started:
        yield started


def test_nul_is_refused_everywhere(server: StartedServer) -> None:
    with server.client(ADMIN_SECRET) as client:
        for path in ("/v1/projects/a%00b", "/v1/projects/a%00b/spans", "/v1/users/%00"):
            assert client.get(path).status_code == 404, path
        for path in (
            "/v1/projects?name_contains=%00",
            "/v1/projects?cursor=%00",
            "/v1/projects/default/spans?name=%00",
            "/v1/projects/default/spans?attribute=a:%00",
        ):
            assert client.get(path).status_code == 422, path
        key = {"data": {"name": "k", "description": "a\0b"}}
        for path, body, expected in (
            ("/v1/projects", {"name": "a\0b"}, 422),
            ("/v1/system/api_keys", key, 422),
            ("/auth/login", {"email": "a\0b", "password": "x"}, 422),
        ):
            assert client.post(path, json=body).status_code == expected, path
        assert client.post("/v1/projects", json={"name": r"a\u0000b"}).status_code == 200
        headers = {"content-type": "application/json", "x-project-name": "default"}
        span = '{"traceId":"%s","spanId":"%s","name":"a\\u0000b","startTimeUnixNano":"1",'
        span = span % ("a" * 32, "b" * 16) + '"endTimeUnixNano":"2","attributes":[{"key":"k",'
        span += '"value":{"stringValue":"v\\u0000w"}}]}'
        export = '{"resourceSpans":[{"scopeSpans":[{"spans":[' + span + "]}]}]}"
        assert client.post("/v1/traces", content=export, headers=headers).status_code == 200
        stored = client.get("/v1/projects/default/spans").json()["data"]
        assert len(stored) == 1
        assert stored[0]["attributes"]["k"] == "v\0w"
