"""From pieces to a tree that says how a filter is built, and not yet what its names mean. Pure.

The grammar, from loose to tight::

    either      = both { "or" both }
    both        = negation { "and" negation }
    negation    = "not" negation | comparison
    comparison  = sum { compare sum }
    compare     = "==" | "!=" | "<" | "<=" | ">" | ">=" | [ "not" ] "in" | "is" [ "not" ]
    sum         = product { ( "+" | "-" ) product }
    product     = sign { ( "*" | "/" ) sign }
    sign        = [ "-" | "+" ] sign | reference
    reference   = atom { "." name | "[" ( text | number ) "]" }
    atom        = number | text | "True" | "False" | "None" | name | name "(" argument ")"
                | "(" either ")" | list
    argument    = either [ loop ] | list
    list        = "[" [ either { "," either } | either loop ] "]" | "(" either "," ... ")"
    loop        = "for" name "in" reference [ "if" either ]

Source: contract/data-plane.md section 6.1 (filter.condition).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bennu.traces.expressions.tokens import ExpressionError, Token, TokenKind, tokens_of

#: How deep parentheses, negations, calls and loops may nest.
DEPTH_LIMIT: Final = 24
_MOST_TERMS: Final = 200
_LONGEST_SUM: Final = 16
_MOST_SEGMENTS: Final = 16
_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
_RESERVED: Final = frozenset({"and", "or", "not", "in", "is", "for", "if", "else", "lambda"})
_CONSTANTS: Final[dict[str, bool | None]] = {"True": True, "False": False, "None": None}
Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Node:
    """A part of the tree; ``position`` is where it stands in the text, from 0."""

    position: int


@dataclass(frozen=True, slots=True)
class Constant(Node):
    """A number, a text, True, False or None."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A bare name."""

    name: str


@dataclass(frozen=True, slots=True)
class Member(Node):
    """``of.key`` or ``of[key]``; a number is a position in a list."""

    of: Node
    key: str
    is_subscript: bool


@dataclass(frozen=True, slots=True)
class Loop(Node):
    """``element for variable in collection if condition``."""

    element: Node
    variable: str
    collection: Node
    condition: Node | None


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function of one argument, which may be a loop."""

    function: str
    argument: Node


@dataclass(frozen=True, slots=True)
class Sequence(Node):
    """A written list."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Negative(Node):
    """A number with the sign changed."""

    of: Node


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """Two numbers; ``sign`` is one of + - * /."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """Two values; ``sign`` also is ``in``, ``not in``, ``is`` or ``is not``."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Negation(Node):
    """``not of``."""

    of: Node


@dataclass(frozen=True, slots=True)
class Combination(Node):
    """``and`` or ``or`` of two or more parts."""

    word: str
    parts: tuple[Node, ...]


def parse(text: str) -> Node:
    """Return the tree of a filter.

    Raises:
        ExpressionError: it is not built by the grammar, or is too deep or too long.
    """
    return _Parser(tokens_of(text)).whole()


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._terms = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def whole(self) -> Node:
        if self._token.kind is TokenKind.END:
            raise ExpressionError("an empty condition", 0)
        node = self._either()
        if self._at < len(self._tokens) - 1:
            raise self._unexpected()
        return node

    # --- pieces --------------------------------------------------------------------------

    def _take(self) -> Token:
        token = self._token
        self._at += 1
        return token

    def _is(self, *values: str) -> bool:
        is_sign = self._token.kind in {TokenKind.SIGN, TokenKind.NAME}
        return is_sign and self._token.value in values

    def _expect(self, value: str) -> None:
        if not self._is(value):
            raise self._unexpected(f"expected '{value}'")
        self._at += 1

    def _unexpected(self, expected: str = "") -> ExpressionError:
        token = self._token
        if token.kind is TokenKind.END:
            return ExpressionError(f"unexpected end{expected and ', ' + expected}", token.position)
        if token.value == "=":
            return ExpressionError("'=' is no comparison, write '=='", token.position)
        what = f"unexpected '{str(token.value)[:40]}'{expected and ', ' + expected}"
        return ExpressionError(what, token.position)

    def _deeper(self, read: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise ExpressionError(f"nested deeper than {DEPTH_LIMIT} levels", self._token.position)
        node = read()
        self._depth -= 1
        return node

    def _count(self, position: int) -> None:
        self._terms += 1
        if self._terms > _MOST_TERMS:
            raise ExpressionError(f"more than {_MOST_TERMS} comparisons and sums", position)

    # --- grammar -------------------------------------------------------------------------

    def _either(self) -> Node:
        return self._combined("or", self._both)

    def _both(self) -> Node:
        return self._combined("and", self._negation)

    def _combined(self, word: str, read: Callable[[], Node]) -> Node:
        first = read()
        parts = [first]
        while self._is(word):
            self._take()
            parts.append(read())
        return first if len(parts) == 1 else Combination(first.position, word, tuple(parts))

    def _negation(self) -> Node:
        if self._is("not"):
            position = self._take().position
            return Negation(position, self._deeper(self._negation))
        return self._comparison()

    def _comparison(self) -> Node:
        left = self._sum()
        parts: list[Node] = []
        while (sign := self._comparison_sign()) is not None:
            token = self._tokens[self._at - 1]
            self._count(token.position)
            right = self._sum()
            parts.append(Comparison(token.position, sign, left, right))
            left = right
        if not parts:
            return left
        return parts[0] if len(parts) == 1 else Combination(left.position, "and", tuple(parts))

    def _comparison_sign(self) -> str | None:
        if self._token.kind is TokenKind.SIGN and self._token.value in _COMPARISONS:
            return str(self._take().value)
        if self._is("in"):
            self._take()
            return "in"
        if self._is("is"):
            self._take()
            if self._is("not"):
                self._take()
                return "is not"
            return "is"
        if self._is("not"):
            self._take()
            self._expect("in")
            return "not in"
        return None

    def _sum(self) -> Node:
        return self._arithmetic(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._arithmetic(("*", "/"), self._sign)

    def _arithmetic(self, signs: tuple[str, ...], read: Callable[[], Node]) -> Node:
        node = read()
        length = 1
        while self._is(*signs):
            token = self._take()
            self._count(token.position)
            length += 1
            if length > _LONGEST_SUM:
                raise ExpressionError(f"more than {_LONGEST_SUM} terms", token.position)
            node = Arithmetic(token.position, str(token.value), node, read())
        return node

    def _sign(self) -> Node:
        if self._is("-", "+"):
            token = self._take()
            of = self._deeper(self._sign)
            return Negative(token.position, of) if token.value == "-" else of
        return self._reference()

    def _reference(self) -> Node:
        node = self._atom()
        for _ in range(_MOST_SEGMENTS + 1):
            if self._is("."):
                position = self._take().position
                node = Member(position, node, str(self._name("a name").value), is_subscript=False)
            elif self._is("["):
                position = self._take().position
                node = Member(position, node, self._key(), is_subscript=True)
                self._expect("]")
            else:
                return node
        raise ExpressionError(f"more than {_MOST_SEGMENTS} parts of a key", self._token.position)

    def _key(self) -> str:
        token = self._token
        is_position = token.kind is TokenKind.NUMBER and isinstance(token.value, int)
        if token.kind is not TokenKind.TEXT and not is_position:
            raise self._unexpected("expected a key in quotes or a position")
        return str(self._take().value)

    def _name(self, what: str) -> Token:
        if self._token.kind is not TokenKind.NAME or self._token.value in _RESERVED:
            raise self._unexpected(f"expected {what}")
        return self._take()

    def _atom(self) -> Node:
        token = self._token
        if token.kind in {TokenKind.NUMBER, TokenKind.TEXT}:
            return Constant(self._take().position, token.value)
        if self._is("("):
            return self._deeper(self._parenthesis)
        if self._is("["):
            return self._deeper(self._list)
        name = self._name("a value")
        if str(name.value) in _CONSTANTS:
            return Constant(name.position, _CONSTANTS[str(name.value)])
        if self._is("("):
            return self._deeper(lambda: self._call(name))
        return Name(name.position, str(name.value))

    def _parenthesis(self) -> Node:
        position = self._take().position
        node = self._either()
        if self._is(","):
            return self._items(position, [node], ")")
        self._expect(")")
        return node

    def _list(self) -> Node:
        position = self._take().position
        if self._is("]"):
            self._take()
            return Sequence(position, ())
        first = self._either()
        if self._is("for"):
            loop = self._loop(first)
            self._expect("]")
            return loop
        return self._items(position, [first], "]")

    def _items(self, position: int, items: list[Node], closing: str) -> Node:
        while self._is(","):
            self._take()
            if self._is(closing):
                break
            items.append(self._either())
        self._expect(closing)
        return Sequence(position, tuple(items))

    def _call(self, name: Token) -> Node:
        self._take()
        argument = self._either()
        if self._is("for"):
            argument = self._loop(argument)
        self._expect(")")
        return Call(name.position, str(name.value), argument)

    def _loop(self, element: Node) -> Loop:
        position = self._take().position
        variable = str(self._name("a variable").value)
        self._expect("in")
        collection = self._reference()
        condition = None
        if self._is("if"):
            self._take()
            condition = self._either()
        return Loop(position, element, variable, collection, condition)
