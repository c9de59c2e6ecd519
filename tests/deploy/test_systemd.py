"""deploy/bennu.service: as closed as it claims, and the server can live in it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bennu.settings import is_known_setting
from started import StartedServer

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "bennu.service"
LINES = [line for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#"]
VALUES = dict(line.split("=", 1) for line in LINES if not line.startswith("SystemCallFilter"))
MOST_EXPOSED = 2.0
#: SQLite hands its files to the owner of the database, when it runs as root, as these tests may.
CALLED_BY_ROOT_ONLY = {"fchown"} if os.geteuid() == 0 else set()

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed: make setup-test"
)
needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed: make setup-test"
)


def analyze(*arguments: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@needs_systemd
def test_the_unit_is_exposed_little() -> None:
    said = analyze("security", "--offline=true", "--no-pager", str(UNIT))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found is not None, said
    assert float(found[1]) <= MOST_EXPOSED, said


@needs_systemd
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    # The program is not installed here; something else stands in for it.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/bennu/bin/bennu", "/bin/true"))
    assert analyze("verify", "--man=no", str(unit)) == ""


def test_it_runs_as_nobody_who_can_do_anything_else() -> None:
    assert VALUES["User"] == VALUES["Group"] == "bennu"
    assert VALUES["CapabilityBoundingSet"] == VALUES["AmbientCapabilities"] == ""
    for name in ("NoNewPrivileges", "PrivateUsers", "MemoryDenyWriteExecute", "PrivateTmp"):
        assert VALUES[name] == "yes", name
    assert (VALUES["ProtectSystem"], VALUES["ProtectHome"]) == ("strict", "yes")


def test_the_settings_of_the_unit_are_known_and_secrets_are_handed_over_as_a_credential() -> None:
    names = [word.split("=")[0] for word in VALUES["Environment"].split()]
    ours = [name for name in names if name.startswith("PHOENIX_")]
    assert ours
    assert all(is_known_setting(name) for name in ours)
    # Whoever may ask systemd about a unit reads its Environment.
    assert not any("SECRET" in name or "PASSWORD" in name for name in ours)
    assert VALUES["LoadCredential"] == "bennu.env:/etc/bennu/bennu.env"
    assert VALUES["ExecStart"].endswith(" serve --env-file %d/bennu.env")
    assert f"/var/lib/{VALUES['StateDirectory']}" in VALUES["Environment"]


@needs_systemd
@needs_strace
def test_the_server_makes_no_call_that_the_unit_forbids(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    server = StartedServer(tmp_path)
    server.start("strace", "-f", "-qq", "-s", "0", "-e", "signal=none", "-o", str(trace))
    try:
        admin = server.admin()
        assert admin.get("/v1/projects").status_code == 200
        assert admin.get("/projects").status_code == 200
        status, _ = server.terminate()
        assert status == 0
    finally:
        server.__exit__(None, None, None)
    lines = trace.read_text(errors="replace").splitlines()
    called = {found[1] for line in lines if (found := re.match(r"\d+ +(\w+)\(", line))}
    assert {"listen", "mmap", "accept4"} <= called
    assert called - allowed_calls() - CALLED_BY_ROOT_ONLY == set()
    assert writable_and_executable(lines) == []


def allowed_calls() -> set[str]:
    """The calls that the lines of SystemCallFilter leave."""
    allowed: set[str] = set()
    for line in UNIT.read_text().splitlines():
        if line.startswith("SystemCallFilter="):
            words = line.partition("=")[2]
            calls = set().union(*(members(word) for word in words.lstrip("~").split()))
            allowed = allowed - calls if words.startswith("~") else allowed | calls
    return allowed


def members(name: str) -> set[str]:
    """The calls of a set of systemd, those of sets inside it included."""
    if not name.startswith("@"):
        return {name}
    said = analyze("syscall-filter", "--no-pager", name).splitlines()[1:]
    words = [line.strip() for line in said if line.startswith("    ")]
    return set().union(*(members(word) for word in words if not word.startswith("#")))


def writable_and_executable(lines: list[str]) -> list[str]:
    """The calls that MemoryDenyWriteExecute refuses."""
    return [
        line
        for line in lines
        if ("mmap(" in line and "PROT_WRITE" in line and "PROT_EXEC" in line)
        or ("mprotect(" in line and "PROT_EXEC" in line)
    ]
