"""The npm clients, unmodified: they write and list projects, spans, annotations and sessions."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from started import StartedServer

NODE = Path(__file__).parent.parent / "node"


def test_the_npm_clients_write_and_list(tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node is not None
    with StartedServer(tmp_path) as server:
        env = {"PATH": os.environ["PATH"], "BASE_URL": server.base_url, "KEY": server.api_key()}
        ran = subprocess.run(
            [node, "clients.mjs"],
            cwd=NODE,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.strip().splitlines()[-1])
    assert found == {
        "projects": ["js", "default"],
        "spans": ["logged", "exported"],
        "annotations": ["note", "js"],
        "traces": 2,
        "sessions": ["js-1"],
        "session": "js-1",
    }
