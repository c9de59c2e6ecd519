"""Known vulnerabilities are told, and a service that is away is never taken for a good answer."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from tools.audit_dependencies import FOUND, NOT_AUDITED, SHIPPED, TOOL, main

ROOT = Path(__file__).parents[2]
ADVISORY = {
    "id": "PYSEC-2026-1",
    "summary": "something bad",
    "details": "something bad",
    "affected": [
        {
            "package": {"name": "wrong", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}

pytestmark = pytest.mark.skipif(
    not TOOL.exists(), reason="make setup-test installs what this needs"
)


class Advisories(BaseHTTPRequestHandler):
    """As much of an advisory service as pip-audit asks for."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        is_wrong = asked["package"]["name"] == "wrong"
        body = json.dumps({"vulns": [ADVISORY]} if is_wrong else {}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Advisories) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def lock(folder: Path, name: str) -> str:
    path = folder / f"{name}.txt"
    path.write_text(f"{name}==1.0 --hash=sha256:{'0' * 64}\n")
    return str(path)


def test_advisories_are_told_with_the_version_that_mends_them(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    locks = [lock(tmp_path, "wrong"), lock(tmp_path, "good")]
    assert main(["--osv-url", address, *locks]) == FOUND
    said = capsys.readouterr().out
    assert "wrong 1.0: PYSEC-2026-1, fixed in 1.1" in said
    assert "good.txt: 1 audited, 0 advisories" in said
    assert "NOT AUDITED" not in said


def test_what_is_known_to_be_good_is_good(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--osv-url", address, lock(tmp_path, "good")]) == 0
    assert "no statement of safety" not in capsys.readouterr().out


def test_a_service_that_is_away_is_no_statement_of_safety(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--osv-url", "http://127.0.0.1:9/v1/query", lock(tmp_path, "good")]) == NOT_AUDITED
    said = capsys.readouterr().out
    assert "0 audited" in said
    assert "NOT AUDITED" in said
    assert "no statement of safety" in said


def test_what_is_shipped_is_locked_with_hashes() -> None:
    for name in SHIPPED:
        assert "--hash=sha256:" in (ROOT / name).read_text()
