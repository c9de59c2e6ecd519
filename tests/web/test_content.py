"""Texts of anybody's programs: shown in a form that suits them, and never executed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.web.content import Content, MarkdownBudget
from bennu.web.content import as_content as with_budget


def as_content(value: object, mime_type: str = "") -> Content:
    return with_budget(value, MarkdownBudget(), mime_type)


def test_json_is_indented() -> None:
    assert as_content('{"a":[1,2]}').kind == "json"
    assert as_content('{"a":1}').text == '{\n  "a": 1\n}'
    assert as_content({"a": 1}).kind == "json"
    assert as_content("[1]", "application/json").kind == "json"
    assert as_content("{not json}").kind == "text"


def test_plain_text_stays_as_it_is() -> None:
    content = as_content("two\nlines, 2 * 3 * 4")
    assert (content.kind, content.text) == ("text", "two\nlines, 2 * 3 * 4")


def test_markdown_is_rendered() -> None:
    content = as_content("# Title\n\n- one\n- **two**\n\n[site](https://example.com)")
    assert content.kind == "markdown"
    assert "<h1>Title</h1>" in str(content.rendered)
    assert '<a href="https://example.com">' in str(content.rendered)


@pytest.mark.asvs("1.2.2", "1.3.1", "1.3.4")
@pytest.mark.parametrize(
    "text",
    [
        "# x\n<script>alert(1)</script>",
        "- [x](javascript:alert(1))",
        "- [x](JaVaScRiPt:alert(1))",
        "- [x](&#106;avascript:alert(1))",
        "- [x](vbscript:x)",
        "- [x](data:text/html;base64,PHNjcmlwdD4=)",
        "- ![x](https://evil.example/pixel.png)",
        "- <img src=x onerror=alert(1)>",
        "- <a href='javascript:alert(1)'>x</a>",
        "> <svg onload=alert(1)>",
        "```\n</code></pre><script>alert(1)</script>\n```",
        '- [x](https://e.example "onmouseover=alert(1)")',
        '- <https://e.example/"><script>>',
    ],
)
def test_nothing_in_markdown_runs_or_loads(text: str) -> None:
    rendered = str(as_content(text).rendered).lower()
    for forbidden in (
        "<script",
        "<img",
        "<svg",
        'href="javascript',
        'href="vbscript',
        'href="data',
    ):
        assert forbidden not in rendered


def test_long_texts_are_cut() -> None:
    content = as_content("x" * 200_000)
    assert content.is_cut
    assert len(content.text) == 100_000


def test_long_markdown_is_shown_as_it_is() -> None:
    assert as_content("**" + "[" * 3_998).kind == "markdown"
    long = "**" + "[" * 3_999
    assert (as_content(long).kind, as_content(long).text) == ("text", long)


def test_texts_beyond_the_budget_are_shown_as_they_are() -> None:
    budget = MarkdownBudget(10)
    kinds = [with_budget(text, budget).kind for text in ("**ab**", "**ab**", "**c*", "**")]
    assert kinds == ["markdown", "text", "markdown", "text"]


@given(st.text())
def test_every_text_is_shown(text: str) -> None:
    assert as_content(text).kind in {"text", "json", "markdown"}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_every_value_is_shown(value: object) -> None:
    content = as_content(value)
    if not isinstance(value, str):
        assert json.loads(content.text) == value
