"""Cuts the text of a filter into words, numbers, texts and signs, each with its place. Pure.

Source: contract/data-plane.md section 6.1 (filter.condition); the notation is that of Python.
"""

import re
from collections.abc import Iterator
from enum import Enum
from math import isfinite
from typing import Final, NamedTuple

from bennu.kernel.errors import InvalidError

#: Longer texts, and deeper or longer trees, are refused: each costs the database work.
MOST_CHARACTERS: Final = 10_000
_MOST_TOKENS: Final = 2_000
_WHOLE_BELOW: Final = 2**63

_PARTS: Final = re.compile(
    r"""
    (?P<blank>\s+)
  | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<name>[^\W\d]\w*)
  | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
  | (?P<sign>==|!=|<=|>=|<>|[<>()\[\].,+\-*/=:])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED: Final = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "t": "\t", "r": "\r"}


class ExpressionError(InvalidError):
    """A filter that cannot be understood; says what is wrong and where.

    Args:
        what: the mistake and, where it helps, what is allowed.
        position: of the character in the text, from 0.
    """

    code = "expression"

    def __init__(self, what: str, position: int) -> None:
        super().__init__(f"Invalid query: {what} at character {position + 1}")
        self.position = position


class TokenKind(Enum):
    """What a piece of the text is."""

    NAME = "name"
    NUMBER = "number"
    TEXT = "text"
    SIGN = "sign"
    END = "end"


class Token(NamedTuple):
    """One piece of the text.

    Args:
        kind: what it is.
        value: a name or a sign as written, a text without its quotes, a number.
        position: of its first character, from 0.
    """

    kind: TokenKind
    value: str | int | float
    position: int


def tokens_of(text: str) -> list[Token]:
    """Cut the text of a filter; the last piece is the end.

    Raises:
        ExpressionError: a character or a text that belongs to no piece, or too much of it.
    """
    if len(text) > MOST_CHARACTERS:
        raise ExpressionError(f"more than {MOST_CHARACTERS} characters", MOST_CHARACTERS)
    found = list(_pieces(text))
    if len(found) > _MOST_TOKENS:
        raise ExpressionError(f"more than {_MOST_TOKENS} words and signs", found[-1].position)
    return found


def _pieces(text: str) -> Iterator[Token]:
    position = 0
    while position < len(text):
        match = _PARTS.match(text, position)
        if match is None:
            is_text = text[position] in "'\""
            what = "a text without its closing quote" if is_text else "a character of no meaning"
            raise ExpressionError(what, position)
        if match.lastgroup != "blank":
            yield _token(str(match.lastgroup), match[0], position)
        position = match.end()
    yield Token(TokenKind.END, "", len(text))


def _token(group: str, written: str, position: int) -> Token:
    kind = TokenKind(group)
    if kind is TokenKind.NUMBER:
        return Token(kind, _number(written, position), position)
    if kind is TokenKind.TEXT:
        return Token(kind, _text(written[1:-1], position + 1), position)
    return Token(kind, written, position)


def _number(written: str, position: int) -> int | float:
    if not written.isascii():
        raise ExpressionError("digits must be 0 to 9", position)
    value: int | float = float(written)
    # Whole numbers beyond 64 bits are compared as floating point ones.
    if written.isdecimal() and value < _WHOLE_BELOW:
        value = int(written)
    if not isfinite(value):
        raise ExpressionError("a number is too large", position)
    return value


def _text(written: str, position: int) -> str:
    def replaced(match: re.Match[str]) -> str:
        code = match[1]
        if code in _ESCAPED:
            return _ESCAPED[code]
        if len(code) == 5:  # noqa: PLR2004 - u and four digits
            return chr(int(code[1:], 16))
        raise ExpressionError("an escape of no meaning", position + match.start())

    value = _ESCAPE.sub(replaced, written)
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ExpressionError("a text must not hold NUL or half a character", position)
    return value
