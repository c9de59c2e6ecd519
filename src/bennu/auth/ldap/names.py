"""What a distinguished name, an attribute name, a filter and a server look like.

Spec: lines 28, 33-41, 54, 60-66. Source: RFC 4514 (names), RFC 4512 §1.4 (attributes), RFC 4515.
"""

import re
from typing import Final

_ATTRIBUTE: Final = r"(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*)"
_VALUE: Final = r'(?:[^,+"\\<>;=\x00]|=|\\[0-9A-Fa-f]{2}|\\[ "#+,;<=>\\])*'
_PAIR: Final = rf"\s*{_ATTRIBUTE}\s*=(?!\s*(?:[,+]|$)){_VALUE}"
_DN: Final = re.compile(rf"{_PAIR}(?:[,+]{_PAIR})*")
_ATTRIBUTE_NAME: Final = re.compile(rf"{_ATTRIBUTE}(?:;[A-Za-z0-9-]+)*")
_UPN: Final = re.compile(r"[^@\s\\]+@[^@\s\\]+|[^@\s\\]+\\[^@\s\\]+")
_SERVER: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9_]([A-Za-z0-9_.-]*)))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_UNESCAPED_SEMICOLON: Final = re.compile(r"(?<!\\);")
_MAX_PORT: Final = 65_535


def is_distinguished_name(text: str) -> bool:
    """Whether the text is a distinguished name with at least one part."""
    return _DN.fullmatch(text) is not None


def is_user_principal_name(text: str) -> bool:
    r"""Whether the text is ``name@domain`` or ``DOMAIN\name``, which Active Directory binds too."""
    return _UPN.fullmatch(text) is not None


def is_attribute_name(text: str) -> bool:
    """Whether the text names one attribute, options such as ``;binary`` included."""
    return _ATTRIBUTE_NAME.fullmatch(text) is not None


def is_balanced_filter(text: str) -> bool:
    r"""Whether the text is one filter in parentheses; escaped ones are ``\28`` and ``\29``."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and position < len(text) - 1:
            return False
    return depth == 0 and text.startswith("(")


def split_names(text: str) -> tuple[str, ...]:
    r"""Split names at semicolons; ``\;`` is part of a name. Blanks around names go."""
    return tuple(part for p in _UNESCAPED_SEMICOLON.split(text) if (part := p.strip()))


def split_server(text: str) -> tuple[str, int | None] | None:
    """Return host and port of ``host``, ``host:port`` or ``[address]:port``; None when wrong."""
    match = _SERVER.fullmatch(text)
    if match is None:
        return None
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port <= _MAX_PORT:
        return None
    return (match["ipv6"] or match["host"], port)
