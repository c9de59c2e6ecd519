"""From a user agent to words that a person recognises: ``Firefox on Linux``. Pure.

Only for display: anybody can send any text, and nothing is decided by it.
"""

from typing import Final

#: First match in this order; most browsers also name those they descend from.
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python-httpx/", "Python"),
    ("python-requests/", "Python"),
)
_SYSTEMS: Final = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
_SHOWN_CHARACTERS: Final = 60


def client_name(user_agent: str) -> str:
    """Return words for a user agent; an unknown one is shown as it is, shortened."""
    if not user_agent.strip():
        return "unknown client"
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or user_agent[:_SHOWN_CHARACTERS]
