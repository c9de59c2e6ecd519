"""Reading an env file in every form that the spec prints.

``NAME = value`` with blanks around the sign, quotes of both kinds, a JSON value over several
lines, comments behind a value, ``${OTHER}`` from earlier lines or the process environment.
Commands are never run.

Spec: lines 10-12, 27-47, 54, 94-121, 185.
"""

import re
from collections.abc import Mapping
from typing import Final

from bennu.kernel.env import Env, Problem, Sourced, without_outer_quotes

_NAME: Final = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
#: What is special inside a value, read from left to right so that an escape protects what
#: follows it: an escaped character, a reference, the beginning of a command.
_SPECIAL: Final = re.compile(
    r'\\(?P<escaped>["\\$`])|\$\{(?P<reference>[^{}\n]*)\}|(?P<command>\$\(|`)|(?P<open>\$\{)'
)
_VALID_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SETTING_NAME: Final = re.compile(r"(?:export[ \t]+)?(PHOENIX_[A-Z0-9_]*)")
_COMMENT: Final = re.compile(r"[ \t]#.*")
#: An assignment inside a quoted value: its quote was forgotten further up.
_SWALLOWED: Final = re.compile(r"\n[ \t]*(?:export[ \t]+)?PHOENIX_[A-Z0-9_]+[ \t]*=")
_BEHIND_A_QUOTE: Final = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|$)")
_DOUBLE_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE_QUOTED: Final = re.compile(r"'([^']*)'")

COMMAND_NOT_RUN: Final = (
    "a value, not a command: nothing is run from a file; `bennu init` writes a file with a "
    "random secret, and single quotes take every character as it is"
)


NOT_AN_ENTRY: Final = "NAME = value, a comment, or an empty line"


class EnvFile:
    """The values of one env file and what is wrong with its lines."""

    def __init__(self, text: str, name: str, environment: Mapping[str, str]) -> None:
        self.values: dict[str, Sourced] = {}
        self.problems: list[Problem] = []
        self._text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        self._name = name
        self._environment = environment
        self._unusable: set[str] = set()
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
            # Only the name of a setting is repeated: the line may be the rest of a secret.
            setting = _SETTING_NAME.match(self._text[position:end].strip())
            self._refuse(setting[1] if setting else "(line)", NOT_AN_ENTRY, source)
            return end + 1
        name, start = match[1], match.end()
        quote = self._text[start : start + 1]
        if quote and quote in "'\"":
            return self._read_quoted(name, start, end, source)
        # The blank before the value belongs to the comment of an empty one: `NAME = # nothing`.
        value = _COMMENT.sub("", self._text[start - 1 : end].removeprefix("="), count=1).strip()
        self._keep(name, value, source, quote="")
        return end + 1

    def _read_quoted(self, name: str, start: int, end: int, source: str) -> int:
        quote = self._text[start]
        quoted = (_DOUBLE_QUOTED if quote == '"' else _SINGLE_QUOTED).match(self._text, start)
        behind = quoted and _BEHIND_A_QUOTE.match(self._text, quoted.end())
        is_one_line = quoted is not None and quoted.end() <= end
        if quoted is None or _SWALLOWED.search(quoted[1]) or not (behind or is_one_line):
            # Reading goes on at the next line, so that what was swallowed is looked at too.
            self._refuse(name, "a value whose quote is closed", source)
            return end + 1
        if behind is None:
            self._refuse(name, "nothing but a comment behind the closing quote", source)
            return end + 1
        self._keep(name, quoted[1], source, quote=quote)
        return behind.end()

    def _keep(self, name: str, value: str, source: str, *, quote: str) -> None:
        wrong: list[str] = []
        if quote != "'":
            value = _SPECIAL.sub(lambda match: self._expand(match, quote, wrong), value)
        if wrong:
            # Each cause once; a variable that is itself unusable was reported at its own line.
            for allowed in dict.fromkeys(filter(None, wrong)):
                self._refuse(name, allowed, source)
        else:
            self._unusable.discard(name)
            self.values[name] = Sourced(value.strip(), source)

    def _expand(self, match: re.Match[str], quote: str, wrong: list[str]) -> str:
        if match["command"]:
            wrong.append(COMMAND_NOT_RUN)
            return ""
        if match["open"]:
            wrong.append("a closed reference, such as ${NAME}")
            return ""
        if match["reference"] is not None:
            return self._look_up(match["reference"].strip(), wrong)
        # Outside quotes a backslash is a backslash, as docker reads it; only \\$ is an escape.
        return match["escaped"] if quote or match["escaped"] == "$" else match[0]

    def _look_up(self, name: str, wrong: list[str]) -> str:
        if name in self.values:
            return self.values[name].text
        if name in self._unusable:
            wrong.append("")
            return ""
        if _VALID_NAME.fullmatch(name) is None:
            wrong.append("a reference to one variable, such as ${NAME}")
        elif name in self._environment:
            return without_outer_quotes(self._environment[name])
        else:
            wrong.append(f"{name} must be set in an earlier line or in the environment")
        return ""

    def _refuse(self, name: str, allowed: str, source: str) -> None:
        # What was read is not shown: the line may hold a secret.
        self.problems.append(Problem(name, "(line not usable)", allowed, source))
        self._unusable.add(name)
        self.values.pop(name, None)


def env_of(environment: Mapping[str, str], file: EnvFile | None = None) -> Env:
    """Put the process environment over the values of a file.

    A line that cannot be read and that the environment overrides is no problem.
    """
    values = dict(file.values) if file is not None else {}
    for name, text in environment.items():
        values[name] = Sourced(without_outer_quotes(text), "environment")
    problems = [] if file is None else [p for p in file.problems if p.name not in environment]
    return Env(values, problems)
