"""The documents become a site without a warning, and the site loads nothing from elsewhere."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tools.build_docs_site import ROOT, build, loads_from_elsewhere

ELSEWHERE = "https:" + "//fonts.example.com/a"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the documents as they are, made once."""
    folder = tmp_path_factory.mktemp("site")
    assert build(ROOT, folder) == []
    return folder / "site"


def test_the_site_is_made_without_a_warning_and_holds_every_page(site: Path) -> None:
    pages = {page.relative_to(site).with_suffix("") for page in site.rglob("*.html")}
    documents = {page.relative_to(ROOT).with_suffix("") for page in (ROOT / "docs").rglob("*.md")}
    assert documents <= pages
    assert (site / "searchindex.js").is_file()


def test_a_browser_asks_no_other_host_and_finds_everything(site: Path, browser: Browser) -> None:
    asked: list[str] = []
    failed: list[str] = []
    page = browser.new_page()
    try:
        page.on("request", lambda request: asked.append(request.url))
        page.on("requestfailed", lambda request: failed.append(request.url))
        page.goto(f"file://{site}/index.html", wait_until="commit")
        # It leads on by itself; going elsewhere meanwhile would cut that off.
        page.wait_for_url("**/docs/index.html", wait_until="load")
        for name in ("docs/threat-model", "docs/operations/backup", "search"):
            page.goto(f"file://{site}/{name}.html", wait_until="load")
        page.goto(f"file://{site}/search.html?q=rotation", wait_until="load")
        page.wait_for_selector("#search-results li a")
    finally:
        page.close()
    assert [url for url in asked if not url.startswith((f"file://{site}/", "data:"))] == []
    assert failed == []


def test_a_link_that_leads_nowhere_and_a_page_without_a_link_are_found(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("# Page\n")
    (source / "docs" / "decisions").mkdir(parents=True)
    (source / "docs" / "decisions" / "index.md").write_text("# Decisions\n")
    (source / "docs" / "lost.md").write_text("# Lost\n\n[nowhere](away.md)\n")
    names = ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")
    links = " ".join(f"[{name}](../{name}.md)" for name in names)
    (source / "docs" / "index.md").write_text(
        f"# All\n\n## Some\n\n{links} [d](decisions/index.md) [x](decisions/index.md#no-such)\n"
    )
    (source / "tools").mkdir()
    (source / "tools" / "docs_site").symlink_to(ROOT / "tools" / "docs_site")
    found = "\n".join(build(source, tmp_path / "work"))
    assert "'away.md'" in found
    assert "no-such" in found
    assert "lost.md: WARNING: document isn't included in any toctree" in found


@pytest.mark.parametrize(
    "text",
    [
        f'<link rel="stylesheet" href="{ELSEWHERE}">',
        f'<link rel="preconnect" href="{ELSEWHERE}">',
        f'<script src="{ELSEWHERE.removeprefix("https:")}"></script>',
        f'<img src="{ELSEWHERE}">',
        f'<p style="background: url({ELSEWHERE})">',
        f"<style>@import '{ELSEWHERE}';</style>",
    ],
)
def test_what_a_browser_would_load_from_elsewhere_is_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "page.html").write_text(text)
    assert loads_from_elsewhere(tmp_path) != []


def test_links_to_click_and_files_of_the_site_are_no_loads(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        f'<a href="{ELSEWHERE}">there</a><img src="a.png"><link rel="stylesheet" href="/a.css">'
    )
    (tmp_path / "sheet.css").write_text("a { background: url(a.svg) }")
    assert loads_from_elsewhere(tmp_path) == []
    (tmp_path / "sheet.css").write_text(f"a {{ background: url('{ELSEWHERE}') }}")
    assert loads_from_elsewhere(tmp_path) != []
