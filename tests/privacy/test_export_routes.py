"""How requests about exports are read. Spec: line 266."""

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx
import pytest
import zstandard

from bennu.access import ADMIN, BUILT_IN_ROLES, Caller, Principal, PrincipalKind
from bennu.httpio.dispatch import application_of
from bennu.httpio.request import CALLER, JSON_BODY_LIMIT_BYTES
from bennu.privacy.export import Exports
from bennu.privacy.export_routes import export_routes
from bennu.privacy.jobs import PrivacyJobs
from bennu.privacy.jobs_store import Job, JobKind, JobStatus
from bennu.privacy.subject import Subject

pytestmark = pytest.mark.anyio
CALLING = Caller(Principal(PrincipalKind.USER, "VXNlcjo3", permissions=BUILT_IN_ROLES[ADMIN]))
JOB = Job(5, JobKind.EXPORT, JobStatus.QUEUED, False, "VXNlcjo3", None, "user", "d", None, "e")


@dataclass
class Asked:
    """Takes the place of the flows and writes down whom they were asked about."""

    subjects: list[Subject | None] = field(default_factory=list)

    async def request_export(self, _: Caller, subject: Subject | None) -> Job:
        self.subjects.append(subject)
        return JOB

    async def project_lines(self, _: Caller, project: str) -> AsyncIterator[bytes]:
        return pieces(project.encode(), b" and more")

    def token_of(self, _: Job) -> str:
        return ""


def client_of(asked: Asked) -> httpx.AsyncClient:
    inner = application_of(export_routes(cast("PrivacyJobs", asked), cast("Exports", asked)))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope[CALLER] = CALLING
        await inner(scope, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bennu.test")


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for one in given:
        yield one


NAMED = (b'{"subject": {"attribute": "user.id",', b' "value": "x"}}')


async def test_a_body_in_pieces_names_its_subject() -> None:
    """Without a content-length: to take it for no body would export the caller instead."""
    asked = Asked()
    async with client_of(asked) as client:
        for content in (pieces(*NAMED), b"".join(NAMED)):
            assert (await client.post("/v1/privacy/exports", content=content)).status_code == 202
        for nothing in (pieces(), b"", b"{}"):
            assert (await client.post("/v1/privacy/exports", content=nothing)).status_code == 202
    person = Subject(attribute="user.id", value="x")
    assert asked.subjects == [person, person, None, None, None]


async def test_a_body_in_pieces_has_the_bounds_of_any_body() -> None:
    asked = Asked()
    large = [b" " * JSON_BODY_LIMIT_BYTES, b"{}"]
    async with client_of(asked) as client:
        answer = await client.post("/v1/privacy/exports", content=pieces(*large))
        assert answer.status_code == 413
        answer = await client.post("/v1/privacy/exports", content=pieces(b"{"))
        assert answer.status_code == 400
        nul = NAMED[0] + b' "value": "\\u0000"}}'
        assert (await client.post("/v1/privacy/exports", content=pieces(nul))).status_code == 422
    assert asked.subjects == []


async def test_a_project_is_compressed_beside_the_event_loop() -> None:
    """A piece takes long enough that others would wait for it."""
    on_the_loop: list[str] = []

    def note(_: Any, event: str, called: Any) -> None:
        if event == "c_call":
            on_the_loop.append(called.__qualname__)

    async with client_of(Asked()) as client:
        sys.setprofile(note)
        try:
            answer = await client.get("/v1/projects/p/export?compression=zstd")
        finally:
            sys.setprofile(None)
    assert zstandard.ZstdDecompressor().decompressobj().decompress(answer.content) == b"p and more"
    assert on_the_loop
    assert [name for name in on_the_loop if name.startswith("ZstdCompressionObj")] == []


@pytest.mark.asvs("5.4.1", "5.4.2")
async def test_a_download_has_a_name_of_the_servers_own(tmp_path: Path) -> None:
    """Whatever stands in the address; and no browser shows it as a page."""

    class Ready(Asked):
        async def fetch(self, _: Caller, __: str, token: str) -> Path:
            file = tmp_path / "file"
            file.write_bytes(f"PK of {len(token)}".encode())
            return file

    for hostile in ("evil.html", 'x"; filename="evil.html', "a%0d%0aset-cookie:%20x=1"):
        async with client_of(Ready()) as client:
            address = f"/v1/privacy/exports/{quote(hostile)}/download"
            answer = await client.get(address, params={"token": hostile, "filename": hostile})
        assert answer.status_code == 200, answer.text
        named = answer.headers.get_list("content-disposition")
        assert named == ['attachment; filename="bennu-export.zip"']
        assert answer.headers["content-type"] == "application/zip"
        assert "set-cookie" not in answer.headers
