"""What a user is, and the rules of names and addresses. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from bennu.kernel.errors import FieldProblem, SchemaError
from bennu.kernel.secret import Secret

USER: Final = "User"
FIRST_ADMIN_EMAIL: Final = "admin@localhost"
FIRST_ADMIN_NAME: Final = "admin"
SYSTEM_EMAIL: Final = "system@localhost"
SYSTEM_NAME: Final = "system"
#: Nothing that means something in a header of a mail, or in the command that names its recipient.
_NOT_IN_EMAIL: Final = r"@\s\x00-\x1f\x7f<>()\[\],;:\\\""
_LABEL: Final = rf"[^.{_NOT_IN_EMAIL}]+"
_EMAIL: Final = re.compile(rf"[^{_NOT_IN_EMAIL}]{{1,64}}@{_LABEL}(\.{_LABEL})+")
_EMAIL_LIMIT: Final = 254
_NAME_LIMIT: Final = 256


class AuthMethod(StrEnum):
    """How a user signs in."""

    LOCAL = "LOCAL"
    LDAP = "LDAP"
    OAUTH2 = "OAUTH2"


@dataclass(frozen=True, slots=True)
class User:
    """One account; times in microseconds since 1970 UTC; ``password_hash`` is sealed.

    Who signs in at an identity provider has this server's ``client_id`` there, the ``subject``
    that they are there, and perhaps the address of a ``picture``.
    """

    row_id: int
    email: str | None
    username: str
    role: str
    auth_method: str
    password_hash: str | None
    password_needs_reset: bool
    active: bool
    is_system: bool
    created_at: int
    updated_at: int
    client_id: str | None = None
    subject: str | None = None
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class NewUser:
    """What a caller gives to make a user; ``role`` in any case."""

    email: str
    username: str
    role: str
    auth_method: str = AuthMethod.LOCAL
    password: Secret | None = None
    client_id: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class UserChange:
    """What a caller wants changed; None leaves a field as it is."""

    role: str | None = None
    username: str | None = None
    password: Secret | None = None
    active: bool | None = None


class PasswordKeeper(Protocol):
    """What users need of passwords: rules, hashing and checking."""

    def check_new(
        self, password: Secret, *words: str, loc: tuple[str, ...] = ("body", "password")
    ) -> None:
        """Refuse a password that breaks a rule, or is one of the words of its owner."""

    async def hash(self, password: Secret) -> str:
        """Return a slow salted hash."""

    async def matches(self, password: Secret, known: str | None) -> bool:
        """Whether a password has this hash; takes as long when there is none."""


def clean_email(text: str, *loc: str) -> str:
    """Return an address in lower case without blanks around it.

    Raises:
        SchemaError: it is none, or too long.
    """
    email = text.strip().lower()
    if len(email) > _EMAIL_LIMIT or not (_EMAIL.fullmatch(email) and email.isprintable()):
        raise SchemaError(
            FieldProblem(loc or ("body", "email"), "Input should be an e-mail address like x@y.z")
        )
    return email


def clean_username(text: str, *loc: str) -> str:
    """Return a user name without blanks around it.

    Raises:
        SchemaError: it is blank, too long, or holds control characters.
    """
    name = text.strip()
    if not name or len(name) > _NAME_LIMIT or not name.isprintable():
        raise SchemaError(
            FieldProblem(
                loc or ("body", "username"),
                f"Input should be 1 to {_NAME_LIMIT} printable characters",
            )
        )
    return name
