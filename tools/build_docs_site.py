"""Make the documents into a site of static files that loads nothing from another host.

The pages stay plain Markdown: what Sphinx needs besides (the table of contents) is taken from the
links of docs/index.md and added to a copy. A page that the index does not name is a warning, and
every warning is a failure. Afterwards the site is searched for anything that a browser would load
from elsewhere.
"""

import re
import shutil
import subprocess  # runs sphinx-build of the same environment
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
WORK: Final = ROOT / ".work"
#: Pages outside docs/ that belong to the site.
TOP_PAGES: Final = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
_HEADING: Final = re.compile(r"^## (.+)$", re.MULTILINE)
_LINK: Final = re.compile(r"\]\((?!\w+:)([^)#\s]+\.md)\)")
#: What a browser fetches by itself, by element; links that one clicks are not among them.
_LOADED: Final = {
    "script": "src",
    "img": "src",
    "source": "src",
    "iframe": "src",
    "embed": "src",
    "object": "data",
    "link": "href",
}
_UNLOADED_LINKS: Final = frozenset({"canonical", "next", "prev", "search", "index"})
_ELSEWHERE: Final = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_CSS_LOAD: Final = re.compile(
    r"(?:url\(\s*['\"]?|@import\s+['\"])((?:https?:)?//[^'\")\s]+)", re.IGNORECASE
)
_STYLE: Final = re.compile(r"<style.*?</style>", re.DOTALL)


def stage(source: Path, target: Path) -> None:
    """Copy the pages to a folder of their own, with tables of contents behind the indexes."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source / "docs", target / "docs")
    for name in TOP_PAGES:
        shutil.copy(source / name, target / name)
    index = target / "docs" / "index.md"
    index.write_text(index.read_text("utf-8") + "".join(_contents(index.read_text("utf-8"))))
    decisions = target / "docs" / "decisions" / "index.md"
    with decisions.open("a", encoding="utf-8") as page:
        page.write("\n```{toctree}\n:glob:\n:maxdepth: 1\n\n*\n```\n")


def _contents(index: str) -> Iterator[str]:
    """Yield one hidden table of contents for each section of the index."""
    parts = _HEADING.split(index)
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        pages = dict.fromkeys(_LINK.findall(text))
        names = "\n".join(page.removesuffix(".md") for page in pages)
        yield f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{names}\n```\n"


class _Loads(HTMLParser):
    """Collects what a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "link" and values.get("rel") in _UNLOADED_LINKS:
            return
        self.found += [values.get(_LOADED.get(tag, "")) or "", values.get("srcset") or ""]
        self.found += _CSS_LOAD.findall(values.get("style") or "")


def loads_from_elsewhere(site: Path) -> list[str]:
    """Return what pages and stylesheets of a site would load from another host."""
    found = []
    for page in sorted(site.rglob("*.html")):
        loads = _Loads()
        loads.feed(page.read_text("utf-8"))
        found += [f"{page.relative_to(site)}: {x}" for x in loads.found if _ELSEWHERE.match(x)]
    for sheet in sorted([*site.rglob("*.css"), *site.rglob("*.svg"), *site.rglob("*.html")]):
        text = sheet.read_text("utf-8")
        styles = "".join(_STYLE.findall(text)) if sheet.suffix == ".html" else text
        found += [f"{sheet.relative_to(site)}: {url}" for url in _CSS_LOAD.findall(styles)]
    return found


def build(source: Path, work: Path) -> list[str]:
    """Make the site in ``work``/site; return what is wrong with it."""
    staged, site = work / "site-source", work / "site"
    stage(source, staged)
    shutil.rmtree(site, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", "-b", "html"]
    folders = [source / "tools" / "docs_site", "-d", work / "site-trees", staged, site]
    made = subprocess.run(  # noqa: S603  # fixed words and our own folders
        [*command, "-c", *map(str, folders)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        return list(dict.fromkeys((made.stdout + made.stderr).splitlines()))
    (site / "index.html").write_text(
        '<!doctype html><meta charset="utf-8"><title>Bennu</title>'
        '<meta http-equiv="refresh" content="0; url=docs/index.html">'
        '<a href="docs/index.html">The documents of Bennu</a>\n'
    )
    return loads_from_elsewhere(site)


def main() -> int:
    """Build, and print every finding; exit status 1 when there is one."""
    found = build(ROOT, WORK)
    sys.stderr.writelines(f"{line}\n" for line in found)
    sys.stdout.write("" if found else f"{WORK / 'site' / 'index.html'}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
