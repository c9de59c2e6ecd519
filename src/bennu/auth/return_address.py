"""Where somebody goes after signing in: a path of our own site, never anywhere else.

Spec: lines 91-133. Source: OWASP Unvalidated Redirects and Forwards; WHATWG URL (how browsers read
backslashes and control characters).
"""

import re
from typing import Final
from urllib.parse import unquote

HOME: Final = "/"
#: What fits into a sealed cookie; somebody with a longer one starts at home.
_LONGEST: Final = 1500
#: More rounds of decoding than any chain of servers does.
_DECODINGS: Final = 5
#: A path that cannot be read as the start of a host: one slash, then a word, a query or nothing.
_PATH: Final = re.compile(r"/([A-Za-z0-9_~?][^\\\x00-\x1f\x7f]*)?")
_HOST_WITHIN: Final = re.compile(r"//|/\.\.?(/|$)|@")
#: Pages on which nobody wants to land, and routes that do something.
_NO_PLACE: Final = re.compile(r"/(login|logout)(?![A-Za-z0-9_-])")
_DOES_SOMETHING: Final = re.compile(r"/(auth|oauth2)(?![A-Za-z0-9_-])", re.IGNORECASE)


def safe_return_path(text: str) -> str | None:
    """Return the path to go to, ``/`` when none was asked for, None when it leads elsewhere.

    Args:
        text: the ``returnUrl`` of a request, as a path with perhaps a query and a fragment; once
            decoded already.
    """
    if not text or len(text) > _LONGEST:
        return HOME
    decoded = text
    if not text.isascii() or " " in text:
        return None
    for _ in range(_DECODINGS):
        path = re.split(r"[?#]", decoded, maxsplit=1)[0]
        is_ours = _PATH.fullmatch(decoded) and not _HOST_WITHIN.search(path)
        if not is_ours or _DOES_SOMETHING.match(path):
            return None
        again = unquote(decoded)
        if again == decoded:
            return HOME if _NO_PLACE.match(path) else text
        decoded = again
    return None
