"""Every described operation under generated requests: no 500, no answer that is not described.

``schemathesis`` reads ``/openapi.json`` of a started server and plays a client that takes every
word of it seriously: every type, bound and optional part, and what lies just beyond them.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from started import StartedServer

CHECKS = (
    "not_a_server_error",
    "response_schema_conformance",
    "content_type_conformance",
    "status_code_conformance",
)
#: Answers with a 503 where no mail server is configured, as it says.
LEFT_OUT = "/auth/password-reset-email"


def report_of(server: StartedServer, key: str, folder: Path, *options: str) -> str:
    """Run schemathesis against a server; return its report when it found something, else ""."""
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "run", f"{server.base_url}/openapi.json", "--no-color"]
    command += ["-H", f"Authorization: Bearer {key}", "-c", ",".join(CHECKS)]
    command += ["--exclude-path", LEFT_OUT, "--request-timeout", "60", *options]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return "" if ran.returncode == 0 else ran.stdout[-8000:] + ran.stderr[-2000:]


def callers(server: StartedServer) -> dict[str, str]:
    body = {"data": {"name": "viewer", "role": "VIEWER"}}
    made = server.admin().post("/v1/system/api_keys", json=body)
    assert made.status_code == 201, made.text
    return {"admin": server.env["PHOENIX_ADMIN_SECRET"], "viewer": made.json()["data"]["key"]}


@pytest.mark.asvs("2.1.1")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_no_answer_is_undescribed(tmp_path: Path, role: str) -> None:
    options = ("--phases", "fuzzing", "-n", "1", "--seed", "1", "--generation-deterministic")
    with StartedServer(tmp_path, {"PHOENIX_DISABLE_RATE_LIMIT": "true"}) as server:
        report = report_of(server, callers(server)[role], tmp_path, *options)
        assert not report, report
        assert "http.failed" not in server.log()


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_no_answer_is_undescribed_at_length(tmp_path: Path, role: str) -> None:
    options = ("--phases", "coverage,fuzzing", "-n", "200", "--continue-on-failure")
    with StartedServer(tmp_path, {"PHOENIX_DISABLE_RATE_LIMIT": "true"}) as server:
        report = report_of(server, callers(server)[role], tmp_path, *options)
        assert not report, report
        assert "http.failed" not in server.log()
