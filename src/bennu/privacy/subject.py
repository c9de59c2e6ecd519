"""Whom an export or an erasure is about: a user of the server, or a person in traces. Pure.

Spec: lines 265-266.
"""

from typing import Final

import msgspec

from bennu.kernel.errors import FieldProblem, InvalidError, SchemaError
from bennu.kernel.ids import row_id_of
from bennu.traces.spans.filters import AttributeMatch, Scalar, attribute_match
from bennu.users.model import USER

MOST_CHARACTERS: Final = 2_000
#: What both databases hold as a whole number.
_WHOLE_NUMBERS: Final = range(-(1 << 63), 1 << 63)
SESSION_KEY: Final = "session.id"


class Subject(msgspec.Struct, frozen=True, omit_defaults=True):
    """A person.

    Args:
        user_id: public id of an account, or "".
        attribute: dotted key such as ``user.id``, or "".
        value: of that attribute.
    """

    user_id: str = ""
    attribute: str = ""
    value: str | int | float | bool | None = None

    @property
    def kind(self) -> str:
        """``user`` or ``attribute``."""
        return "user" if self.user_id else "attribute"

    @property
    def user_row(self) -> int:
        """Row of the account."""
        return row_id_of(self.user_id, USER) or 0

    def check(self) -> None:
        """Refuse what names nobody.

        Raises:
            SchemaError: names the field and says what is allowed.
        """
        where = ("body", "subject")
        if bool(self.user_id) == bool(self.attribute):
            text = "either a user_id, or an attribute and its value"
            raise SchemaError(FieldProblem(where, text))
        if self.user_id and row_id_of(self.user_id, USER) is None:
            raise SchemaError(FieldProblem((*where, "user_id"), "the id of a user"))
        if self.user_id:
            return
        if self.value is None or self.value == "":
            raise SchemaError(FieldProblem((*where, "value"), "a text, a number, true or false"))
        if isinstance(self.value, int) and self.value not in _WHOLE_NUMBERS:
            text = "a whole number from -2^63 to 2^63 - 1; write a larger one as a text"
            raise SchemaError(FieldProblem((*where, "value"), text))
        if len(self.attribute) > MOST_CHARACTERS or len(str(self.value)) > MOST_CHARACTERS:
            raise SchemaError(FieldProblem(where, f"at most {MOST_CHARACTERS} characters"))
        try:
            self.matches()
        except InvalidError as error:
            raise SchemaError(FieldProblem((*where, "attribute"), error.public)) from error

    def values(self) -> tuple[Scalar, ...]:
        """Return the values that name the person: a text of digits may be stored as a number."""
        if self.value is None:
            return ()
        if not isinstance(self.value, str):
            return (self.value,)
        read = attribute_match(f"a:{self.value}").value if not self.value.startswith('"') else ""
        is_number = isinstance(read, int | float) and not isinstance(read, bool)
        return (self.value, read) if is_number else (self.value,)

    def matches(self) -> tuple[AttributeMatch, ...]:
        """Return what spans of the person hold, any one of which is enough.

        Raises:
            InvalidError: the attribute cannot be looked for.
        """
        segments = attribute_match(f"{self.attribute}:x").segments
        return tuple(AttributeMatch(segments, value) for value in self.values())


def subject_names(subject: Subject) -> tuple[tuple[object, ...], ...]:
    """Return what identifies the person, in the forms that the ledger hashes."""
    if subject.user_id:
        return (("user", subject.user_id),)
    return tuple(("attribute", subject.attribute, value) for value in subject.values())
