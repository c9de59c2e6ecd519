"""How values are written for people: durations, counts, times, sizes. Pure.

Times are written in UTC; a small script puts them into the viewer's zone.
"""

from datetime import UTC, datetime
from typing import Final

_MILLISECOND_NS: Final = 1_000_000
_SECOND_NS: Final = 1_000_000_000
_MINUTE_NS: Final = 60 * _SECOND_NS
_HOUR_NS: Final = 60 * _MINUTE_NS
_THOUSAND: Final = 1_000
_TEN_THOUSAND: Final = 10_000
_MILLION: Final = 1_000_000
_BILLION: Final = 1_000_000_000
#: Characters of a text that are read for each one shown: runs of blanks become one.
_LOOKED_AT_PER_SHOWN: Final = 8


def duration_words(nanoseconds: int) -> str:
    """Write a duration with about three digits: ``840 µs``, ``12.3 ms``, ``4.52 s``, ``2 m 5 s``.

    A negative one, which a sender with a wrong clock makes, is written with its sign.
    """
    if nanoseconds < 0:
        return f"-{duration_words(-nanoseconds)}"
    if nanoseconds < _MILLISECOND_NS:
        return f"{nanoseconds // _THOUSAND} µs"
    if nanoseconds < _SECOND_NS:
        return f"{_three_digits(nanoseconds / _MILLISECOND_NS)} ms"
    if nanoseconds < _MINUTE_NS:
        return f"{_three_digits(nanoseconds / _SECOND_NS)} s"
    if nanoseconds < _HOUR_NS:
        minutes, rest = divmod(nanoseconds, _MINUTE_NS)
        return f"{minutes} m {rest // _SECOND_NS} s"
    hours, rest = divmod(nanoseconds, _HOUR_NS)
    return f"{hours} h {rest // _MINUTE_NS} m"


def _three_digits(value: float) -> str:
    decimals = 2 if value < 10 else 1 if value < 100 else 0  # noqa: PLR2004 - digits of a number
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count_words(count: float) -> str:
    """Write a count shortly: ``999``, ``9,876``, ``12.3k``, ``4.5M``, ``1.2B``."""
    whole = round(count)
    if abs(whole) < _TEN_THOUSAND:
        return f"{whole:,}"
    for limit, size, letter in ((_MILLION, _THOUSAND, "k"), (_BILLION, _MILLION, "M")):
        if abs(whole) < limit:
            return f"{whole / size:.1f}{letter}"
    return f"{whole / _BILLION:.1f}B"


def time_words(microseconds: int) -> str:
    """Write microseconds since 1970 as ``2026-11-24 22:05:09`` in UTC."""
    return _moment(microseconds).strftime("%Y-%m-%d %H:%M:%S")


def time_exact(microseconds: int) -> str:
    """Write microseconds since 1970 as ISO-8601 in UTC, for the attribute of a time element."""
    return _moment(microseconds).isoformat().replace("+00:00", "Z")


def _moment(microseconds: int) -> datetime:
    seconds, rest = divmod(microseconds, _MILLION)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


def plural(count: int, one: str, many: str) -> str:
    """Write a count with its noun: ``1 trace``, ``2 traces``."""
    return f"{count:,} {one if count == 1 else many}"


def clipped(text: str, characters: int = 120) -> str:
    """Shorten a text for a table; the whole stands where the row leads.

    Of a long text only the beginning is looked at, so that a table of long ones is made at once.
    """
    begun = text[: characters * _LOOKED_AT_PER_SHOWN]
    flat = " ".join(begun.split())
    if len(flat) <= characters and len(begun) == len(text):
        return flat
    return f"{flat[: characters - 1]}…"
