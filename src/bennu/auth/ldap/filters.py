"""Filters: names put in so that they can only be names, and what a filter compares them with.

Spec: lines 37, 60, 74, 83. Source: RFC 4515 section 3; OWASP LDAP Injection Prevention.
"""

import re
from collections.abc import Iterable
from typing import Final

from bennu.auth.ldap.entries import GUID_ATTRIBUTES, Entry, bytes_of_unique_id

LOGIN_NAME: Final = "%s"
PERSON_DN: Final = "%d"
_PLACEHOLDER: Final = re.compile(r"%[sd]")
_SPECIAL: Final = re.compile(r"[\x00()*\\]")
#: ``(attribute=value)`` with a placeholder in it; not ``>=``, ``<=``, ``~=`` or ``:rule:=``.
_COMPARISON: Final = re.compile(r"\(\s*([A-Za-z][A-Za-z0-9.;-]*)\s*=([^()]*%s[^()]*)\)")
#: Any single comparison with the login name in it.
_ITEM: Final = re.compile(r"\([^()]*%s[^()]*\)")
#: Active Directory's search over many attributes at once; no entry holds it.
_NEVER_READ: Final = frozenset({"anr"})


def escape_value(text: str) -> str:
    r"""Return a text that stands for itself and for nothing else in a filter.

    NUL, parentheses, asterisk and backslash become ``\hh``.
    """
    return _SPECIAL.sub(lambda match: f"\\{ord(match[0]):02x}", text)


def escape_bytes(value: bytes) -> str:
    r"""Return bytes as a filter compares them: each as ``\hh``."""
    return "".join(f"\\{byte:02x}" for byte in value)


def fill_filter(template: str, login_name: str, person_dn: str = "") -> str:
    """Put a login name, and the DN of its person, into a filter.

    Both are put in at once: a login name that reads ``%d`` stays a name.
    """
    filling = {LOGIN_NAME: escape_value(login_name), PERSON_DN: escape_value(person_dn)}
    return _PLACEHOLDER.sub(lambda match: filling[match[0]], template)


def filter_of_everybody(template: str) -> str:
    """Return the filter of a template for any login name at all.

    A comparison that cannot be made with everything, such as one by a rule, is left out.
    """
    return _ITEM.sub(_for_any_name, template)


def _for_any_name(match: re.Match[str]) -> str:
    comparison = _COMPARISON.fullmatch(match[0])
    if comparison is None or comparison[1].lower() in _NEVER_READ:
        return "(objectClass=*)"
    return _PLACEHOLDER.sub("*", match[0])


def any_of(filters: Iterable[str]) -> str:
    """Return the filter that one of several must meet; at least one is given."""
    found = tuple(filters)
    return found[0] if len(found) == 1 else f"(|{''.join(found)})"


def unique_id_filter(attribute: str, unique_id: str) -> str:
    """Return the filter of the entry with a unique id, as ``unique_id_of`` wrote it."""
    raw = bytes_of_unique_id(unique_id)
    as_text = f"({attribute}={escape_value(unique_id)})"
    if raw is None:
        return as_text
    as_bytes = f"({attribute}={escape_bytes(raw)})"
    if attribute.partition(";")[0].lower() in GUID_ATTRIBUTES:
        return as_bytes
    return any_of((as_text, as_bytes))


def login_attributes(template: str) -> tuple[str, ...]:
    """Return the attributes that a filter compares with the login name."""
    return tuple(dict.fromkeys(attribute for attribute, _ in _COMPARISON.findall(template)))


def is_exact_match(template: str, login_name: str, entry: Entry) -> bool:
    """Whether an entry has exactly this login name, whatever the server takes for equal.

    Servers ignore blanks, accents, widths and invisible characters. A name that only resembles
    another would be a second name for one person, and with it a way around what is counted per
    name. Capital and small letters of one script are the same, as people type them.

    A filter without any plain comparison, such as one with a wildcard of its own, decides alone.
    """
    comparisons = [
        (attribute, value)
        for attribute, value in _COMPARISON.findall(template)
        if attribute.lower() not in _NEVER_READ and "*" not in value
    ]
    if not comparisons:
        return True
    return any(
        fold_case(found) == fold_case(value.strip().replace(LOGIN_NAME, login_name))
        for attribute, value in comparisons
        for found in entry.texts(attribute)
    )


def login_name_of(template: str, entry: Entry, typed: str) -> str:
    """Return the login name as the directory writes it.

    Args:
        template: the filter of people.
        entry: of the person.
        typed: the name as the person wrote it, which stands where the entry does not tell.
    """
    candidates = [
        found
        for attribute, value in _COMPARISON.findall(template)
        if value.strip() == LOGIN_NAME
        for found in entry.texts(attribute)
    ]
    same = [found for found in candidates if fold_case(found) == fold_case(typed)]
    return next(iter(same or candidates), typed)


def fold_case(text: str) -> str:
    """Return a text in small letters, leaving alone what is not the same letter in another case.

    The sign of Kelvin, whose small letter is a plain k, stays itself.
    """
    return "".join(
        small if len(small := character.lower()) == 1 and small.upper() == character else character
        for character in text
    )
