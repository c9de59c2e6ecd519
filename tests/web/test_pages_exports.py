"""The page of one's own data, as a browser without scripts uses it. Spec: line 266."""

import io
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from html import unescape

import httpx
import pytest

from bennu.privacy.jobs_store import Job, JobKind, JobStatus
from bennu.web.pages_exports import export_row, progress_text
from started import StartedServer
from web.browsing import send, signed_in_browser, texts

PAGE = "/account/exports"
JOB = Job(7, JobKind.EXPORT, JobStatus.RUNNING, False, "me", None, "user", "", None, "")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("exports")) as started:
        yield started


@pytest.mark.parametrize(
    ("job", "token", "state", "percent"),
    [
        (replace(JOB, progress=0.25), "", "running", 25),
        (replace(JOB, status=JobStatus.QUEUED), "", "queued", 0),
        (replace(JOB, status=JobStatus.DONE, expires_at=9), "t", "done", 100),
        (replace(JOB, status=JobStatus.DONE, fetched_at=9), "", "fetched", 100),
        (replace(JOB, status=JobStatus.DONE, expires_at=9), "", "expired", 100),
        (replace(JOB, status=JobStatus.FAILED), "", "failed", 100),
    ],
)
def test_rows(job: Job, token: str, state: str, percent: int) -> None:
    row = export_row(job, token, "me")
    assert (row.state, row.percent, row.is_own) == (state, percent, True)
    assert (row.expires_at is not None) is bool(token)
    assert progress_text([row, row]) == ",".join([f"{job.public_id} {percent} {state}"] * 2)
    assert not export_row(job, token, "other").is_own


def ready_page(client: httpx.Client) -> httpx.Response:
    for _ in range(240):
        page = client.get(PAGE)
        if texts(page, "export-link"):
            return page
        assert "data-progress" in page.text
        time.sleep(0.25)
    raise AssertionError(page.text)


@pytest.mark.timeout(300)
def test_an_export_is_asked_for_watched_and_fetched_once(server: StartedServer) -> None:
    client = signed_in_browser(server)
    assert "No exports yet" in client.get(PAGE).text
    answer = send(client, PAGE, {})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGE}?done=export-asked")
    with client.stream("GET", "/events/exports", timeout=60) as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("data:"))
        assert any(line.endswith(" done") for line in lines)
    page = ready_page(client)
    link = unescape(page.text.split('data-testid="export-link" href="')[1].split('"')[0])
    with zipfile.ZipFile(io.BytesIO(client.get(link).content)) as archive:
        assert archive.namelist()
    page = client.get(PAGE)
    assert not texts(page, "export-link")
    assert "fetched" in texts(page, "export-row")[0]
    assert "data-progress" not in page.text
    assert client.get("/events/exports", timeout=60).text.endswith("event: ended\ndata:\n\n")


def test_strangers_and_keys_get_nothing(server: StartedServer) -> None:
    assert server.client().get(PAGE, follow_redirects=False).status_code == 303
    assert server.client().get("/events/exports").status_code == 401
    assert server.client(server.api_key()).get("/events/exports").status_code == 403
