"""A generated page that is missing or stale is noticed."""

from pathlib import Path

from tools.generated_page import write_or_compare


def test_a_stale_page_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    assert write_or_compare(page, "new", ["--check"]) == 1
    assert write_or_compare(page, "new", []) == 0
    assert write_or_compare(page, "new", ["--check"]) == 0
    assert write_or_compare(page, "newer", ["--check"]) == 1
    assert page.read_text() == "new"
