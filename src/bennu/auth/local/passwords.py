"""Rules and hashing of passwords.

Spec: lines 3, 12-13. Source: OWASP Password Storage Cheat Sheet (argon2id, 19 MiB, 2 rounds);
NIST SP 800-63B section 5.1.1 (length, no composition rules, list of common passwords).
"""

import asyncio
import gzip
import hashlib
import hmac
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from itertools import pairwise
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from bennu.auth.settings import AuthSettings
from bennu.auth.sign_in_guard import UncheckedPasswordError
from bennu.kernel.errors import FieldProblem, SchemaError
from bennu.kernel.secret import Secret

T = TypeVar("T")

MAX_LENGTH: Final = 1024
#: Two hundred take five seconds in one thread; who comes then is told to come back.
MOST_WAITING: Final = 200
#: What somebody who guesses at this server tries first (ASVS 5.0 V6.1.2); as for a common
#: password, simple variations are refused too. docs/compliance/security-decisions.md lists them.
OWN_WORDS: Final = frozenset(
    {
        *("bennu", "phoenix", "arize", "arizephoenix", "arize-phoenix", "openinference"),
        *("opentelemetry", "localhost", "administrator", "tracecollector"),
    }
)
_RETRY_SECONDS: Final = 5
_MEMORY_KIBIBYTES: Final = 19_456
_ROUNDS: Final = 2
_FEWEST_CHARACTERS: Final = 3
_SPECIAL: Final = frozenset("!@#$%^&*()_+")
_AROUND: Final = "0123456789!@#$%^&*()_+-.,;:?= "
#: So many digits or signs on either side are tried one by one.
_MOST_AROUND: Final = 16
_FEWEST_OF_A_WORD: Final = 6
#: Digits and signs that stand for letters; 1 is an i to some and an l to others.
_SWAPS: Final = tuple(str.maketrans("@4830$57!1", f"aabeosst{letters}") for letters in ("ii", "il"))
#: Of an unknown user the same work is done on this hash, so that time tells nothing.
_NOBODYS: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$"
    "q2lD4RrYyqP6C0wR0b1J6wCzfGkDz0y2nBq9vVjJb9o"
)
#: Hashes of the reference, of imported users: ``pbkdf2$<salt hex>$<hash hex>``.
_IMPORTED: Final = "pbkdf2$"
_IMPORTED_ROUNDS: Final = 10_000


class Passwords:
    """Checks and hashes passwords in a bounded pool of threads."""

    def __init__(self, settings: AuthSettings, common: frozenset[str], threads: int = 1) -> None:
        self._minimum = settings.password_min_length
        self._is_strict = settings.strong_password_policy
        self._common = common
        self._hasher = PasswordHasher(_ROUNDS, _MEMORY_KIBIBYTES, 1)
        self._waiting = 0
        self._pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="bennu-hash")

    def check_new(
        self, password: Secret, *words: str, loc: tuple[str, ...] = ("body", "password")
    ) -> None:
        """Refuse a password that breaks a rule.

        Args:
            password: as typed.
            words: e-mail and name of its owner, which it must not be.
            loc: where it stands in the request, for the answer.

        Raises:
            SchemaError: says which rule.
        """
        text = normal_form(password.reveal())
        problem = self._problem(text, words)
        if problem:
            raise SchemaError(FieldProblem(loc, problem))

    def _problem(self, text: str, words: tuple[str, ...]) -> str:
        if problem := self._problem_of_form(text):
            return problem
        if is_common(text, self._common):
            return "The password is one of the most common ones; choose another"
        forms = simple_forms(text)
        if forms & OWN_WORDS:
            return "The password must not be the name of this product or of its parts"
        parts = {part for word in words for part in (word.lower(), *word.lower().split("@"))}
        if forms & parts:
            return "The password must not be the name or the address of its user"
        if self._is_strict and not _has_every_kind(text):
            return (
                "The password must hold a digit, a lowercase and an uppercase letter and one of "
                + "".join(sorted(_SPECIAL))
            )
        return ""

    def _problem_of_form(self, text: str) -> str:
        if not _is_writable(text):
            return "The password must be text"
        if len(text) < self._minimum:
            return f"The password must have at least {self._minimum} characters"
        if len(text) > MAX_LENGTH:
            return f"The password must have at most {MAX_LENGTH} characters"
        return ""

    async def hash(self, password: Secret) -> str:
        """Return the argon2id hash, with its salt and parameters; about 25 ms in a thread."""
        return await self._in_pool(self._hasher.hash, normal_form(password.reveal()))

    async def matches(self, password: Secret, known: str | None) -> bool:
        """Whether a password has this hash; without one the same work is done for nothing."""
        text = normal_form(password.reveal()[: MAX_LENGTH + 1])
        if not _is_writable(text):
            text, known = "", None
        found = await self._in_pool(self._verify, text, known or _NOBODYS)
        return found and known is not None and len(text) <= MAX_LENGTH

    async def _in_pool(self, work: Callable[..., T], *given: str) -> T:
        """Run slow work in a thread; the line in front of the threads is bounded too."""
        if self._waiting >= MOST_WAITING:
            raise UncheckedPasswordError(
                "Too many passwords are being checked; try again",
                retry_after_seconds=_RETRY_SECONDS,
            )
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, work, *given)
        finally:
            self._waiting -= 1

    def is_outdated(self, known: str) -> bool:
        """Whether a hash should be made anew at the next sign-in."""
        return known.startswith(_IMPORTED) or self._hasher.check_needs_rehash(known)

    def _verify(self, text: str, known: str) -> bool:
        if known.startswith(_IMPORTED):
            return _matches_imported(text, known)
        try:
            return self._hasher.verify(known, text)
        except (VerificationError, InvalidHashError):
            return False

    def stop(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def common_passwords() -> frozenset[str]:
    """Return the offline list of common passwords, in lower case."""
    packed = files("bennu.auth.local").joinpath("common_passwords.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().splitlines())


def normal_form(text: str) -> str:
    """Return the one form of a password, however a keyboard composed its characters (NFKC)."""
    return unicodedata.normalize("NFKC", text)


def _is_writable(text: str) -> bool:
    """Whether a text can be written in UTF-8; half a surrogate pair cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def is_common(text: str, common: frozenset[str]) -> bool:
    """Whether a password is a common one, a simple variation of one, or a run like ``abcdef``."""
    if len(set(text)) < _FEWEST_CHARACTERS or _is_run(text):
        return True
    return not common.isdisjoint(simple_forms(text))


def simple_forms(text: str) -> frozenset[str]:
    """Return what guessing programs reduce a password to before they look it up.

    That is: in lower case, without digits and signs around it, said once instead of repeated,
    with letters for the digits and signs that stand for them (``p@ssw0rd``).
    """
    lower = text.lower()
    plain = {lower, *_without_ends(lower)}
    plain |= {_said_once(form) for form in plain}
    forms = plain | {form.translate(swap) for form in plain for swap in _SWAPS}
    return frozenset(forms - {""})


def _without_ends(lower: str) -> set[str]:
    """Return a text without the digits and signs around it: without all, and without some.

    Some, because a common password may itself begin or end with them (``1qaz2wsx``); what is
    left must then still look like a word, or hardly a row of digits would be good.
    """
    core = lower.strip(_AROUND)
    if not core:
        return set()
    first = lower.find(core)
    last = first + len(core)
    begins = range(max(0, first - _MOST_AROUND), first + 1)
    ends = range(last, min(len(lower), last + _MOST_AROUND) + 1)
    parts = {lower[begin:end] for begin in begins for end in ends}
    return {core} | {part for part in parts if len(part) >= _FEWEST_OF_A_WORD}


def _said_once(text: str) -> str:
    """Return the shortest part that the text repeats, the text itself if it repeats none."""
    return text[: (text + text).find(text, 1)] if text else ""


def _is_run(text: str) -> bool:
    """Whether each character follows the one before, upwards or downwards, 0 after 9."""
    steps = {(ord(b) - ord(a)) % (10 if text.isdecimal() else 0x110000) for a, b in pairwise(text)}
    return len(steps) == 1 and steps <= {1, 9, 0x10FFFF}


def _has_every_kind(text: str) -> bool:
    return (
        any(c.isdigit() for c in text)
        and any(c.islower() for c in text)
        and any(c.isupper() for c in text)
        and any(c in _SPECIAL for c in text)
    )


def _matches_imported(text: str, known: str) -> bool:
    try:
        salt, digest = (bytes.fromhex(part) for part in known.removeprefix(_IMPORTED).split("$"))
    except ValueError:
        return False
    made = hashlib.pbkdf2_hmac("sha256", text.encode(), salt, _IMPORTED_ROUNDS)
    return hmac.compare_digest(made, digest)
