"""Refusing JSON that is small on the wire and large in memory.

An empty object takes three bytes in a body and some seventy in memory, and while a million of them
are made nothing else runs. OWASP ASVS 5.0 V15.2.2.
"""

from typing import Final

from bennu.kernel.errors import TooLargeError

MOST_OBJECTS: Final = 1_000_000


def refuse_crowded_json(body: bytes, most: int = MOST_OBJECTS) -> None:
    """Refuse a body with more objects and lists than can be decoded at once.

    Brackets within texts count too: telling them apart would take as long as decoding. Bodies
    that hold only few bytes for each of them are not what people send.

    Args:
        body: JSON, as received.
        most: how many there may be.

    Raises:
        TooLargeError: says what to do.
    """
    if len(body) > most and body.count(b"{") + body.count(b"[") > most:
        raise TooLargeError(
            f"The body holds more than {most} objects and lists; send it in smaller parts"
        )
