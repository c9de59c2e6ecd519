"""Spec lines 251-255 and 278-279: logs that one can search and that nobody forges.

What stands in them for each record of the audit trail is in test_11_audit.py.
"""

import json
import subprocess
from pathlib import Path

import pytest

from started import StartedServer

FORGED = "x@example.com\r\n2026-01-01T00:00:00.000+00:00 INFO    auth.sign_in.succeeded\u2028more"


@pytest.mark.asvs("16.4.1")
@pytest.mark.parametrize("mode", ["default", "structured"])
def test_grep_finds_what_concerns_authentication_and_nobody_forges_it(
    tmp_path: Path, mode: str
) -> None:
    """Line 279: ``docker logs phoenix | grep -i auth``."""
    with StartedServer(tmp_path, {"PHOENIX_LOGGING_MODE": mode}) as server:
        server.admin()
        login = server.client()
        for forged in (FORGED, FORGED.replace("\r\n", "\x1b[2K\x85")):
            headers = {"user-agent": "a\tauth.sign_in.succeeded", "x-request-id": "auth"}
            body = {"email": forged, "password": forged}
            assert login.post("/auth/login", json=body, headers=headers).status_code == 401
            login.get("/auth/" + "%0d%0a2026-01-01%20auth.sign_in.succeeded")
        log = server.log_file
        found = subprocess.run(["grep", "-i", "auth", str(log)], capture_output=True, check=True)
        lines = found.stdout.decode().splitlines()
        assert [line for line in lines if "auth.sign_in.failed" in line]
        assert [line for line in lines if "auth.password.changed" in line]
        # The admin signed in twice; whoever typed an event as a name got no line of it.
        written = [line for line in log.read_text().split("\n") if line]
        if mode == "structured":
            events = [json.loads(line)["message"] for line in written]
        else:
            events = [line.split()[2] for line in written if line.startswith("20")]
        assert events.count("auth.sign_in.succeeded") == 2
        assert all(line.isprintable() for line in written)


@pytest.mark.parametrize(
    ("level", "seen", "unseen"),
    [
        ("debug", {"auth.sign_in.succeeded", "auth.sign_in.failed", "http.request"}, set()),
        ("warning", {"auth.sign_in.failed"}, {"auth.sign_in.succeeded", "http.request"}),
        ("critical", set(), {"auth.sign_in.failed", "auth.sign_in.succeeded", "http.request"}),
    ],
)
def test_the_level_says_how_much_is_written(
    tmp_path: Path, level: str, seen: set[str], unseen: set[str]
) -> None:
    with StartedServer(tmp_path, {"PHOENIX_LOGGING_LEVEL": level}) as server:
        server.admin()
        body = {"email": "nobody@example.com", "password": "x"}
        assert server.client().post("/auth/login", json=body).status_code == 401
        log = server.log()
    assert {name for name in seen if name in log} == seen
    assert not [name for name in unseen if name in log]
