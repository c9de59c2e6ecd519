"""A source file without a test file is found, and so is an exception that is no longer true."""

from pathlib import Path

from tools.check_mirror import problems_of

SOURCES = frozenset({Path("access.py"), Path("users/flow.py")})


def test_a_mirrored_tree_has_no_finding() -> None:
    tests = frozenset({Path("test_access.py"), Path("users/test_flow.py")})
    assert problems_of(SOURCES, tests, {}) == []


def test_a_source_without_test_needs_a_reason() -> None:
    tests = frozenset({Path("test_access.py")})
    (finding,) = problems_of(SOURCES, tests, {})
    assert finding.startswith("users/flow.py: no tests/users/test_flow.py")
    assert problems_of(SOURCES, tests, {"users/flow.py": "shown by tests/spec"}) == []
    assert problems_of(SOURCES, tests, {"users/flow.py": " "}) == [
        "tools/mirror_exceptions.toml: users/flow.py has no reason"
    ]


def test_an_exception_goes_when_its_reason_is_gone() -> None:
    tests = frozenset({Path("test_access.py"), Path("users/test_flow.py")})
    assert problems_of(SOURCES, tests, {"users/flow.py": "x", "gone.py": "x"}) == [
        "tools/mirror_exceptions.toml: gone.py does not exist",
        "tools/mirror_exceptions.toml: users/flow.py has its test file now",
    ]


def test_an_exception_names_tests_that_exist() -> None:
    tests = frozenset({Path("test_access.py")})
    assert problems_of(SOURCES, tests, {"users/flow.py": "tests/test_access.py"}) == []
    assert problems_of(SOURCES, tests, {"users/flow.py": "tests/test_9.py"}) == [
        "tools/mirror_exceptions.toml: users/flow.py names tests/test_9.py, which does not exist"
    ]
