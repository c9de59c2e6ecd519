"""Check the size gates: files, functions and parameters (docs/architecture.md)."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_LINES = 400
FUNCTION_LINES = 60
PARAMETERS = 6  # without self


def parameter_count(arguments: ast.arguments) -> int:
    """Count positional and named parameters, without self or cls."""
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return sum(argument.arg not in {"self", "cls"} for argument in named)


def too_large(path: Path) -> Iterator[str]:
    """Yield what is too large in one file."""
    text = path.read_text("utf-8")
    if (lines := text.count("\n")) > FILE_LINES:
        yield f"{path}: {lines} lines, at most {FILE_LINES}"
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES:
            yield f"{path}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}"
        if (count := parameter_count(node.args)) > PARAMETERS:
            yield f"{path}:{node.lineno}: {node.name} has {count} parameters, at most {PARAMETERS}"


def main() -> int:
    """Print every finding; exit status 1 when there is one."""
    found = [line for path in sorted(Path("src").rglob("*.py")) for line in too_large(path)]
    print("\n".join(found)) if found else None
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
