"""Read a Dockerfile and a .dockerignore, as far as ours go: for the replay and for the tests."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

_CONTINUED: Final = re.compile(r"\\\n(?:[ \t]*#[^\n]*\n)*")
_FLAG: Final = re.compile(r"--([a-z-]+)=(\S+)\s+")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: ``RUN``, its flags such as ``from``, and what stands behind them."""

    keyword: str
    value: str
    flags: Mapping[str, str] = field(default_factory=dict)

    def words(self) -> list[str]:
        """Return the value as words: of a JSON list, or as a shell splits it."""
        value = self.value.removeprefix("CMD ") if self.keyword == "HEALTHCHECK" else self.value
        if value.startswith("["):
            return [str(word) for word in json.loads(value)]
        return shlex.split(value)

    def pairs(self) -> dict[str, str]:
        """Return the names and values of ENV, LABEL and ARG; an ARG without a value has ""."""
        return dict((*word.split("=", 1), "")[:2] for word in self.words())


@dataclass(frozen=True, slots=True)
class Stage:
    """One ``FROM`` and what follows it.

    Args:
        base: the image, with the arguments filled in.
        name: of ``AS``, or "".
        instructions: without the FROM.
    """

    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def last(self, keyword: str) -> Instruction | None:
        """Return the instruction that counts where only the last one does."""
        found = [i for i in self.instructions if i.keyword == keyword]
        return found[-1] if found else None

    def environment(self) -> dict[str, str]:
        """Return what ENV sets in this stage."""
        found: dict[str, str] = {}
        for instruction in self.instructions:
            if instruction.keyword == "ENV":
                found |= instruction.pairs()
        return found


def instructions_of(text: str) -> Iterator[Instruction]:
    """Yield the instructions of a Dockerfile in order; comments and blank lines are left out."""
    for line in _CONTINUED.sub(" ", text).splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        keyword, _, rest = line.strip().partition(" ")
        rest, flags = rest.strip(), {}
        # A health check has options of its own, which look the same.
        while match := _FLAG.match(rest):
            flags[match[1]] = match[2]
            rest = rest[match.end() :]
        yield Instruction(keyword.upper(), rest, flags)


def stages_of(text: str) -> list[Stage]:
    """Return the stages of a Dockerfile; arguments before the first FROM are filled into it."""
    arguments: dict[str, str] = {}
    stages: list[tuple[str, str, list[Instruction]]] = []
    for instruction in instructions_of(text):
        if instruction.keyword == "ARG" and not stages:
            arguments |= instruction.pairs()
        elif instruction.keyword == "FROM":
            image, _, name = instruction.value.partition(" AS ")
            base = image.strip()
            for argument, value in arguments.items():
                base = base.replace(f"${{{argument}}}", value)
            stages.append((base, name.strip(), []))
        else:
            stages[-1][2].append(instruction)
    return [Stage(base, name, tuple(inside)) for base, name, inside in stages]


def goes_to_the_builder(path: str, dockerignore: str) -> bool:
    """Whether a path of the repository is in the build context; the last matching line counts."""
    goes = True
    for line in dockerignore.splitlines():
        pattern = line.strip().rstrip("/")
        if not pattern or pattern.startswith("#"):
            continue
        is_exception = pattern.startswith("!")
        if _matches(path, pattern.removeprefix("!")):
            goes = is_exception
    return goes


def _matches(path: str, pattern: str) -> bool:
    """Whether a pattern names a path or a folder that it lies in; ``**/`` is any depth."""
    inside = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
    return re.fullmatch(f"{inside}(?:/.*)?", path) is not None
