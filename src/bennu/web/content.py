"""Texts of anybody's programs as a page shows them: plain, as JSON, or as Markdown. Pure.

Source: CommonMark. OWASP Cross Site Scripting Prevention.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from markdown_it import MarkdownIt
from markupsafe import Markup

_SHOWN_CHARACTERS: Final = 100_000
_MARKDOWN_CHARACTERS: Final = 4_000
_MARKDOWN_CHARACTERS_A_PAGE: Final = 40_000
#: What makes a text worth rendering; prose without any of it looks the same either way.
_MARKDOWN_SIGNS: Final = ("\n- ", "\n* ", "\n1. ", "\n#", "```", "**", "\n> ", "](", "\n|")

# Why safe: HTML in the text is escaped, not passed on; links are only those that markdown-it
# itself allows (no javascript:, vbscript:, file:, data:); pictures are not rendered at all, so
# that opening a trace asks no other host for anything.
_MARKDOWN: Final = MarkdownIt("js-default", {"html": False, "linkify": False}).disable("image")


@dataclass(frozen=True, slots=True)
class Content:
    """A text in the form that suits it.

    Args:
        kind: ``text``, ``json`` or ``markdown``.
        text: as sent; JSON indented; cut at 100,000 characters.
        rendered: of Markdown only.
        is_cut: the text was longer.
    """

    kind: str
    text: str
    rendered: Markup | None = None
    is_cut: bool = False


class MarkdownBudget:
    """How much Markdown one page renders; what comes after is shown as plain text.

    Why safe: rendering takes time that grows with the square of a hostile text, such as one of
    brackets only. So each text and each page has its bound, whatever a program sends.

    Args:
        characters: of all texts of the page together.
    """

    def __init__(self, characters: int = _MARKDOWN_CHARACTERS_A_PAGE) -> None:
        self._left = characters

    def takes(self, text: str) -> bool:
        """Whether a text may be rendered; if so, it is counted."""
        if len(text) > min(self._left, _MARKDOWN_CHARACTERS):
            return False
        self._left -= len(text)
        return True


def as_content(
    value: Any,  # noqa: ANN401 - whatever was sent
    budget: MarkdownBudget,
    mime_type: str = "",
) -> Content:
    """Choose the form of a value: by its type, by what its sender calls it, by how it looks."""
    if not isinstance(value, str):
        return _cut("json", json_text(value))
    if mime_type == "application/json" or value.lstrip()[:1] in {"{", "["}:
        indented = _indented(value)
        if indented is not None:
            return _cut("json", indented)
    if _looks_like_markdown(value) and budget.takes(value):
        rendered = Markup(_MARKDOWN.render(value))  # noqa: S704 - see above
        return Content("markdown", value, rendered)
    return _cut("text", value)


def json_text(value: object) -> str:
    """Write a value as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _indented(text: str) -> str | None:
    try:
        return json_text(msgspec.json.decode(text))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _looks_like_markdown(text: str) -> bool:
    begun = f"\n{text}"
    return any(sign in begun for sign in _MARKDOWN_SIGNS)


def _cut(kind: str, text: str) -> Content:
    return Content(kind, text[:_SHOWN_CHARACTERS], is_cut=len(text) > _SHOWN_CHARACTERS)
