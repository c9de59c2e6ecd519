"""Settings read from given values, as a process with exactly this environment would."""

from collections.abc import Mapping

from bennu.kernel.env import Problem, SettingsError
from bennu.kernel.env_file import env_of
from bennu.settings import Settings

SECRET = "a-secret-for-tests-0123456789-abcdef"
OTHER_SECRET = "another-one-for-tests-0123456789-abc"


def read_settings(values: Mapping[str, str] | None = None, **more: str) -> Settings:
    """Read settings that must be good."""
    return Settings.from_env(env_of({**(values or {}), **more}))


def problems_of(values: Mapping[str, str] | None = None, **more: str) -> list[Problem]:
    """Read settings and return what is wrong with them."""
    try:
        read_settings(values, **more)
    except SettingsError as error:
        return list(error.problems)
    return []


def names_of_problems(values: Mapping[str, str] | None = None, **more: str) -> list[str]:
    """Read settings and return the variables that are wrong, each once, in alphabetical order."""
    return sorted({problem.name for problem in problems_of(values, **more)})


def names_of_warnings(values: Mapping[str, str] | None = None, **more: str) -> list[str]:
    """Read settings that must be good and return the variables that deserve a word."""
    return sorted({problem.name for problem in read_settings(values, **more).warnings})
