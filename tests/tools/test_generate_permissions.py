"""The page of permissions is what the source says."""

import subprocess
import sys
from pathlib import Path

import pytest
from tools.generate_permissions import COLUMNS, application_routes, expected, main

from bennu.access import Permission
from tools import generate_permissions

ROOT = Path(__file__).parent.parent.parent
TOOL = ROOT / "tools" / "generate_permissions.py"


@pytest.mark.asvs("8.1.1")
def test_the_page_is_current() -> None:
    answer = subprocess.run(
        [sys.executable, str(TOOL), "--check"], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr


def test_a_stale_page_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setattr(generate_permissions, "PAGE", page)
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0
    page.write_text(page.read_text().replace("| 403 |", "| yes |", 1))
    assert main(["--check"]) == 1


def test_what_a_route_says_of_keys_is_what_the_page_says() -> None:
    by_name = {column.name: column for column in COLUMNS}
    for route in application_routes():
        if route.refuses_keys:
            for name in ("SYSTEM key", "user key", "restricted key", "ingest-only key"):
                assert expected(route, by_name[name]) == "403", route.path


def test_every_permission_is_explained() -> None:
    text = (ROOT / "docs" / "permissions.md").read_text("utf-8")
    for permission in Permission:
        assert f"| `{permission}` | " in text
