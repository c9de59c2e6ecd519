"""Reading settings: declared variables, typed readers, and every mistake collected.

No reader raises. A wrong value becomes a Problem and the default is used for the rest of the
reading, so that one mistake never hides another.

Spec: lines 8-13. Decision: settings are read once, by ``cli``, and passed in.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bennu.kernel.secret import Secret

MASK: Final = "***"
#: Credentials inside a URL are masked wherever a value is shown.
_URL_PASSWORD: Final = re.compile(r"(?<=://)[^/@\s]*@")
_SHOWN_LIMIT: Final = 200


@dataclass(frozen=True, slots=True)
class Variable:
    """One declared setting; the configuration page is made from these.

    Args:
        name: the variable; ``{PROVIDER}`` stands for the name of an identity provider.
        kind: for readers of the page: text, flag, whole number, path, list ...
        default: in words, "" for none.
        meaning: one sentence.
        spec_line: where the spec names it, or None.
        secret: never shown; has a ``_FILE`` twin.
        has_effect: False for a setting of the reference whose feature does not exist here; it is
            accepted, so that an existing file keeps working, and noted.
    """

    name: str
    kind: str
    default: str
    meaning: str
    spec_line: int | None = None
    secret: bool = False
    has_effect: bool = True


@dataclass(frozen=True, slots=True)
class Sourced:
    """A value and where it came from: ``environment`` or ``file:line``."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong or remarkable about a setting; ``read`` is masked for secrets."""

    name: str
    read: str
    allowed: str
    source: str

    def as_line(self) -> str:
        """Write the problem as one line for people."""
        return f"{self.name}: {self.allowed} (read: {self.read}, from: {self.source})"


class SettingsError(Exception):
    """Settings that do not allow a start: every problem found, not only the first.

    Args:
        problems: at least one.
        warnings: what is remarkable besides.
    """

    def __init__(self, problems: tuple[Problem, ...], warnings: tuple[Problem, ...] = ()) -> None:
        super().__init__("\n".join(problem.as_line() for problem in problems))
        self.problems = problems
        self.warnings = warnings


def without_outer_quotes(text: str) -> str:
    """Strip blanks and one pair of outer quotes, which docker's ``--env-file`` keeps."""
    trimmed = text.strip()
    if len(trimmed) > 1 and trimmed[0] == trimmed[-1] and trimmed[0] in "'\"":
        return trimmed[1:-1]
    return trimmed


class Env:
    """A set of raw values, the readers over it, and what went wrong while reading.

    Args:
        values: the raw values by name.
        problems: what was wrong before, such as lines of an env file. Their names count as set,
            so that a line that cannot be read is not reported as missing too.
    """

    def __init__(self, values: Mapping[str, Sourced], problems: Iterable[Problem] = ()) -> None:
        self.values: Final = dict(values)
        self.problems: Final[list[Problem]] = list(problems)
        self.warnings: Final[list[Problem]] = []
        self._unusable: Final = frozenset(problem.name for problem in self.problems)
        self._hidden: Final[set[str]] = set()

    def hide(self, names: Iterable[str]) -> None:
        """Mask these variables wherever a problem shows what was read."""
        self._hidden.update(names)

    # --- what is there ---------------------------------------------------------------------

    def source_of(self, name: str) -> str:
        """Return where a variable came from, "default" when it is not set."""
        found = self.values.get(name)
        return found.source if found else "default"

    def is_set(self, name: str) -> bool:
        """Whether the variable, or its ``_FILE`` twin, is set to something."""
        return any(
            n in self._unusable or ((found := self.values.get(n)) is not None and bool(found.text))
            for n in (name, name + "_FILE")
        )

    def raw(self, name: str) -> str | None:
        """Return the text as given, "" included, or None when it is not set."""
        found = self.values.get(name)
        return None if found is None else found.text

    def names(self, prefix: str) -> Iterable[str]:
        """Return the set names that start with a prefix."""
        return [name for name in self.values if name.startswith(prefix)]

    def known_names(self, prefix: str) -> Iterable[str]:
        """Return the same and the names whose lines could not be read."""
        unusable = (name for name in sorted(self._unusable) if name.startswith(prefix))
        return dict.fromkeys([*self.names(prefix), *unusable])

    # --- what is wrong ---------------------------------------------------------------------

    def refuse(self, name: str, allowed: str, *, secret: bool = False) -> None:
        """Note that a value is not acceptable."""
        self.problems.append(self._problem(name, allowed, secret=secret))

    def warn(self, name: str, text: str, *, secret: bool = False) -> None:
        """Note that a value works and is remarkable."""
        self.warnings.append(self._problem(name, text, secret=secret))

    def _problem(self, name: str, allowed: str, *, secret: bool) -> Problem:
        text = self.raw(name)
        hidden = secret or name in self._hidden
        shown = "(not set)" if text is None else MASK if hidden else _shown(text)
        return Problem(name, shown, allowed, self.source_of(name))

    # --- typed readers ---------------------------------------------------------------------

    def text(self, name: str, default: str = "") -> str:
        """Read a text; an empty one counts as not given."""
        return self.raw(name) or default

    def optional(self, name: str) -> str | None:
        """Read a text, or None when it is not given."""
        return self.raw(name) or None

    def flag(self, name: str, *, default: bool) -> bool:
        """Read ``true`` or ``false``, any case."""
        text = self.raw(name)
        if text is None:
            return default
        if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        self.refuse(name, "true or false")
        return default

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """Read a whole number from ``low`` to ``high``."""
        text = self.raw(name)
        if text is None:
            return default
        if re.fullmatch(r"[+-]?[0-9]{1,18}", text) and low <= int(text) <= high:
            return int(text)
        self.refuse(name, f"a whole number from {low} to {high}")
        return default

    def positive(self, name: str, default: float) -> float:
        """Read a number above zero."""
        text = self.raw(name)
        if text is None:
            return default
        if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", text) and float(text) > 0:
            return float(text)
        self.refuse(name, "a number above 0")
        return default

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        """Read one of a closed list, any case; returns the spelling of the list."""
        text = self.raw(name)
        if text is None:
            return default
        for value in allowed:
            if value.lower() == text.lower():
                return value
        self.refuse(name, " or ".join(allowed))
        return default

    def items(self, name: str, separator: str = ",") -> tuple[str, ...]:
        """Read a list; parts are trimmed and empty ones left out."""
        return tuple(part for p in self.text(name).split(separator) if (part := p.strip()))

    def path(self, name: str) -> Path | None:
        """Read a path that need not exist."""
        text = self.optional(name)
        return None if text is None else Path(text).expanduser()

    def file(self, name: str) -> Path | None:
        """Read the path of an existing, readable, non-empty file."""
        path = self.path(name)
        if path is None:
            return None
        try:
            with path.open("rb") as opened:
                if not opened.read(1):
                    self.refuse(name, "a file that is not empty")
        except OSError as error:
            self.refuse(name, f"an existing, readable file ({error.strerror})")
        return path

    def json(self, name: str) -> Any:  # noqa: ANN401 - whatever the JSON holds
        """Read JSON, or None when it is not given or wrong."""
        text = self.optional(name)
        if text is None:
            return None
        try:
            return json.loads(text)
        except ValueError as error:
            self.refuse(name, f"valid JSON ({error})")
            return None
        except RecursionError:
            self.refuse(name, "JSON that is nested less deeply")
            return None

    def secret(self, name: str) -> Secret | None:
        """Read a secret from the variable or from the file that its ``_FILE`` twin names."""
        text, twin = self.raw(name), name + "_FILE"
        if not self.text(twin):
            return Secret(text) if text else None
        if text:
            self.refuse(name, f"either {name} or {twin}, not both", secret=True)
            return None
        try:
            content = Path(self.text(twin)).expanduser().read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self.refuse(twin, f"an existing, readable text file ({type(error).__name__})")
            return None
        if not content:
            self.refuse(twin, "a file that is not empty")
        return Secret(content) if content else None


def _shown(text: str) -> str:
    masked = _URL_PASSWORD.sub(f"{MASK}@", text)
    return masked if len(masked) <= _SHOWN_LIMIT else masked[:_SHOWN_LIMIT] + "…"
