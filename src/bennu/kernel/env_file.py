"""Reading an env file in every form that the spec prints.

``NAME = value`` with blanks around the sign, quotes of both kinds, a JSON value over several
lines, comments behind a value, ``${OTHER}`` from earlier lines or the process environment.
Commands are never run.

Spec: lines 10-12, 27-47, 54, 94-121, 185.
"""

import re
from collections.abc import Mapping
from typing import Final

from bennu.kernel.env import Problem, Sourced, without_outer_quotes

_NAME: Final = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_REFERENCE: Final = re.compile(r"\$\{[ \t]*([^{}\n]*?)[ \t]*\}")
_VALID_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMMENT: Final = re.compile(r"(?:^|[ \t])#.*")
_BEHIND_A_QUOTE: Final = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|$)")
_DOUBLE_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE_QUOTED: Final = re.compile(r"'([^']*)'")
_ESCAPED: Final = re.compile(r'\\(["\\$`])')

COMMAND_NOT_RUN: Final = (
    "a value, not a command: nothing is run from a file. `bennu init` writes a file with a "
    "random secret"
)


class EnvFile:
    """The values of one env file and what is wrong with its lines."""

    def __init__(self, text: str, name: str, environment: Mapping[str, str]) -> None:
        self.values: dict[str, Sourced] = {}
        self.problems: list[Problem] = []
        self._text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        self._name = name
        self._environment = environment
        self._read_all()

    def _read_all(self) -> None:
        position = 0
        while position < len(self._text):
            end = self._text.find("\n", position)
            end = len(self._text) if end < 0 else end
            line = self._text[position:end].strip()
            if not line or line.startswith("#"):
                position = end + 1
                continue
            position = self._read_entry(position, end)

    def _read_entry(self, position: int, end: int) -> int:
        """Read one assignment; return where the next line begins."""
        source = f"{self._name}:{self._text.count(chr(10), 0, position) + 1}"
        match = _NAME.match(self._text, position, end)
        if match is None:
            shown = self._text[position:end].split("=")[0].strip()[:40]
            self._refuse(shown, "NAME = value, a comment, or an empty line", source)
            return end + 1
        name, start = match[1], match.end()
        quote = self._text[start : start + 1]
        if quote and quote in "'\"":
            return self._read_quoted(name, start, end, source)
        value = _COMMENT.sub("", self._text[start:end], count=1).strip()
        self._keep(name, value, source, expand=True)
        return end + 1

    def _read_quoted(self, name: str, start: int, end: int, source: str) -> int:
        is_double = self._text[start] == '"'
        quoted = (_DOUBLE_QUOTED if is_double else _SINGLE_QUOTED).match(self._text, start)
        if quoted is None:
            self._refuse(name, "a value whose quote is closed", source)
            return end + 1
        behind = _BEHIND_A_QUOTE.match(self._text, quoted.end())
        if behind is None:
            self._refuse(name, "nothing but a comment behind the closing quote", source)
            following = self._text.find("\n", quoted.end())
            return len(self._text) if following < 0 else following + 1
        self._keep(name, quoted[1], source, expand=is_double)
        return behind.end()

    def _keep(self, name: str, value: str, source: str, *, expand: bool) -> None:
        if expand:
            if "$(" in value or "`" in value:
                self._refuse(name, COMMAND_NOT_RUN, source)
                return
            missing: list[str] = []
            value = _ESCAPED.sub(
                r"\1", _REFERENCE.sub(lambda m: self._look_up(m[1], missing), value)
            )
            if missing:
                self._refuse(name, f"defined references; {', '.join(missing)} is not set", source)
                return
        self.values[name] = Sourced(value.strip(), source)

    def _look_up(self, name: str, missing: list[str]) -> str:
        if name in self.values:
            return self.values[name].text
        if _VALID_NAME.fullmatch(name) and name in self._environment:
            return self._environment[name]
        missing.append("${" + name + "}")
        return ""

    def _refuse(self, name: str, allowed: str, source: str) -> None:
        # What was read is not shown: the line may hold a secret.
        self.problems.append(Problem(name, "(line not usable)", allowed, source))


def merge_sources(
    environment: Mapping[str, str], file_values: Mapping[str, Sourced]
) -> dict[str, Sourced]:
    """Put the process environment over the values of a file."""
    merged = dict(file_values)
    for name, text in environment.items():
        merged[name] = Sourced(without_outer_quotes(text), "environment")
    return merged
