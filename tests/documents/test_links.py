"""Links of the documents lead to files that exist, and to headings that stand there.

The site is built strictly besides (tests/tools/test_build_docs_site.py); here the same is asked of
the files as they lie in the repository, those outside of the site included.
"""

import re
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bennu.settings import VARIABLES, is_known_setting
from doc_commands import ROOT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "tests" / "README.md"]
_SETTING = re.compile(r"PHOENIX_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_{*])")
_FILE = re.compile(r"`((?:src|tests|tools|docs|deploy|sdk|requirements)/[\w./-]+\.\w+)`")
#: Beginnings of names, which pages complete with what follows.
_BEGINNINGS = frozenset({"PHOENIX_WORKING_DIR", "PHOENIX_TLS", "PHOENIX_POSTGRES"})


def links_of(tokens: list[Token]) -> list[str]:
    found = []
    for token in tokens:
        target = token.attrGet("href") or token.attrGet("src")
        if target is not None:
            found.append(str(target))
        found += links_of(token.children or [])
    return found


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """Return the anchors of a page as viewers of Markdown make them."""
    seen: Counter[str] = Counter()
    found = set()
    tokens = MarkdownIt().enable("table").parse(page.read_text("utf-8"))
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(each.content for each in inline.children or [])
            slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return frozenset(found)


def broken_links(page: Path) -> list[str]:
    found = []
    tokens = MarkdownIt().enable("table").parse(page.read_text("utf-8"))
    for link in links_of(tokens):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_are_named_exist(page: Path) -> None:
    named = _FILE.findall(page.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_settings_that_are_named_exist(page: Path) -> None:
    secrets = {f"{variable.name}_FILE" for variable in VARIABLES if variable.secret}
    named = set(_SETTING.findall(page.read_text("utf-8"))) - secrets - _BEGINNINGS
    assert sorted(name for name in named if not is_known_setting(name)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b` c!\n\n[1](#a-b-c) [2](#a-b) [3](page.md#a-b-c) [4](other.md) ![5](x)\n"
    )
    assert broken_links(page) == ["#a-b", "other.md", "x"]


def test_each_control_of_soc2_names_its_test() -> None:
    rows = [
        line
        for line in (ROOT / "docs/compliance/soc2.md").read_text("utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("| control", "| criterion"))
    ]
    assert len(rows) > 20
    for row in rows:
        tests = re.findall(r"`(tests/[\w/]+/?test_\w+\.py)`", row)
        assert tests, row
        assert all("def test_" in (ROOT / test).read_text("utf-8") for test in tests), row
