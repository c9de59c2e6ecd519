"""Virtual environments with the client as users install it; built once a run where that can be."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
WHEELS = Path(sys.prefix) / "wheels"
UV = Path(sys.prefix) / "bin" / "uv"
SDK, CLIENT, OTEL = "bennu-sdk", "arize-phoenix-client", "arize-phoenix-otel"


@dataclass(frozen=True)
class Workshop:
    """Makes virtual environments out of wheels that are there already; nothing is downloaded."""

    folder: Path
    built: Path

    def _uv(self, *arguments: object) -> None:
        environment = {"PATH": os.defpath, "UV_CACHE_DIR": str(self.folder / "cache")}
        done = subprocess.run(
            [UV, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def make(self, name: str, distributions: Sequence[str]) -> "UserPython":
        """Make an environment and install distributions, one after the other."""
        folder = self.folder / name
        self._uv("venv", "--quiet", "--python", sys.executable, folder)
        python = UserPython(folder / "bin" / "python")
        for distribution in distributions:
            self.install(python, distribution)
        return python

    def install(self, python: "UserPython", distribution: str, *options: object) -> None:
        places = ("--offline", "--no-index", "--find-links", WHEELS, "--find-links", self.built)
        where = ("--python", python.program, *options)
        self._uv("pip", "install", "--quiet", *places, *where, distribution)

    def uninstall(self, python: "UserPython", distribution: str) -> None:
        self._uv("pip", "uninstall", "--quiet", "--python", python.program, distribution)


@dataclass(frozen=True)
class UserPython:
    """The Python of one environment; variables of the user, and none of ours."""

    program: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(self, code: str, **variables: str) -> Any:
        """Run code that prints one JSON document last; return that document."""
        environment = {"PATH": os.defpath, **self.variables, **variables}
        done = subprocess.run(
            [self.program, "-W", "error::ResourceWarning", "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Build our wheel, as a release does; those of the others lie ready."""
    if not WHEELS.is_dir():
        pytest.skip("make setup-test fetches the wheels that this needs")
    folder = tmp_path_factory.mktemp("sdk")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
            *("--outdir", folder / "built", ROOT / "sdk"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Workshop(folder, folder / "built")


@pytest.fixture(scope="session")
def user(workshop: Workshop) -> UserPython:
    """The environment of a user who has installed our client only."""
    return workshop.make("user", [SDK])
