"""Reading a form of our own pages: bounded, with its token checked, one value or many per field.

Spec: line 210 (CSRF tokens).
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from bennu.httpio.request import body_within
from bennu.kernel.errors import MalformedError

FORM_LIMIT_BYTES: Final = 262_144
#: Room for a key of as many projects as there may be boxes for, and for all its permissions.
_MOST_FIELDS: Final = 1_200
_MEDIA_TYPE: Final = "application/x-www-form-urlencoded"


class Form:
    """What was sent.

    Args:
        values: every field with all its values, in the order of the form.
    """

    def __init__(self, values: Mapping[str, list[str]]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        """Return a field without surrounding blanks, "" when it is absent."""
        return self.raw(name).strip()

    def raw(self, name: str) -> str:
        """Return a field exactly as typed, such as a password."""
        found = self._values.get(name)
        return found[-1] if found else ""

    def optional(self, name: str) -> str | None:
        """Return a field without surrounding blanks, None when nothing was filled in."""
        return self.text(name) or None

    def many(self, name: str) -> tuple[str, ...]:
        """Return all values of a field, as checkboxes and multiple choices send them."""
        return tuple(self._values.get(name, ()))

    def is_ticked(self, name: str) -> bool:
        """Whether a checkbox was ticked."""
        return name in self._values


async def read_form(request: Request) -> Form:
    """Read the body of a form.

    Raises:
        MalformedError: it is no form, holds too many fields, or the character NUL.
        TooLargeError: it exceeds 256 KiB.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != _MEDIA_TYPE:
        raise MalformedError(f"A form is sent as {_MEDIA_TYPE}")
    body = await body_within(request, FORM_LIMIT_BYTES)
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise MalformedError("The form cannot be read", detail=type(error).__name__) from None
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if "\0" in value:
            raise MalformedError("Texts must not hold the character NUL")
        values.setdefault(name, []).append(value)
    return Form(values)
