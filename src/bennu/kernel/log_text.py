"""Makes text safe to stand in one line of a log or an export.

Source: OWASP ASVS 5.0 V16.4.1 (log injection); Unicode Technical Report 36 (bidirectional text).
"""

import re
from typing import Final

_UNPRINTABLE: Final = re.compile(
    "[\\x00-\\x1f\\x7f-\\xa0\\xad\\u061c\\u180e\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f"
    "\\ufeff\\ufff0-\\uffff]"
)


def json_on_one_line(json_text: str) -> str:
    """Escape what JSON leaves as it is and a reader may take for the end of a line.

    That is every separator, control character and change of direction beyond ASCII. They can
    only stand inside the strings of the text, so it stays the same JSON.

    Args:
        json_text: JSON without white space between its parts.
    """
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", json_text)


def storable(text: str, most_characters: int) -> str:
    """Bound a text and replace what a database cannot hold: NUL and lone surrogates."""
    cut = text[:most_characters].replace("\0", "\ufffd")
    return cut.encode("utf-8", "replace").decode()
