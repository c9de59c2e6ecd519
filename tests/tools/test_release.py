"""A release: the same bytes twice, complete when installed, checksums, a bill of materials."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tools.release import (
    CHECKSUMS,
    ROOT,
    ReleaseError,
    build,
    copy_sources,
    problems_of,
    version_of,
)
from tools.sbom import LOCKS, TOOL, needed

EPOCH = "1764000000"
VERSION = version_of(ROOT)
UV = Path(sys.prefix) / "bin" / "uv"

pytestmark = [
    pytest.mark.skipif(not TOOL.exists(), reason="make setup-test installs what this needs"),
    pytest.mark.xdist_group("release"),
]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    copy_sources(ROOT, folder / "source")
    (folder / "dist").mkdir()
    build(folder / "source", folder / "dist", EPOCH)
    return folder / "dist"


def test_a_second_build_elsewhere_and_later_gives_the_same_bytes(
    release: Path, tmp_path: Path
) -> None:
    source = tmp_path / "a path of another length"
    copy_sources(ROOT, source)
    for path in source.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700 if path.is_dir() else 0o600)
    output = tmp_path / "dist"
    output.mkdir()
    stale = output / "bennu-0.0.1-py3-none-any.whl"
    stale.write_bytes(b"an earlier release")
    umask = os.umask(0o077)
    try:
        build(source, output, EPOCH)
    finally:
        os.umask(umask)
    assert not stale.exists()
    assert sorted(p.name for p in output.iterdir()) == sorted(p.name for p in release.iterdir())
    for path in output.iterdir():
        assert path.read_bytes() == (release / path.name).read_bytes(), path.name


def test_the_checksums_are_those_of_every_file(release: Path) -> None:
    command = ["sha256sum", "--check", "--strict", CHECKSUMS]
    said = subprocess.run(command, cwd=release, capture_output=True, text=True, check=True).stdout
    told = {line.split(":")[0] for line in said.splitlines()}
    assert told == {path.name for path in release.iterdir()} - {CHECKSUMS}
    assert told == {
        f"bennu-{VERSION}-py3-none-any.whl",
        f"bennu-{VERSION}.tar.gz",
        f"bennu-{VERSION}.cdx.json",
        f"bennu_sdk-{VERSION}-py3-none-any.whl",
        f"bennu_sdk-{VERSION}.tar.gz",
    }


def test_the_wheel_installs_complete(release: Path, tmp_path: Path) -> None:
    installed = install(release / f"bennu-{VERSION}-py3-none-any.whl", tmp_path)
    package = installed / "bennu"
    in_source = {
        path.relative_to(ROOT / "src" / "bennu")
        for path in (ROOT / "src" / "bennu").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    in_wheel = {p.relative_to(package) for p in package.rglob("*") if p.is_file()}
    assert in_source == {path for path in in_wheel if "__pycache__" not in path.parts}
    for name in ("py.typed", "web/templates/sign_in.html", "web/static/bennu.css"):
        assert Path(name) in in_wheel, name
    about = installed / f"bennu-{VERSION}.dist-info"
    assert (about / "licenses" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    metadata = (about / "METADATA").read_text()
    assert f"\nVersion: {VERSION}\n" in metadata
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert {"ldap", "postgres", "redis", "aws", "azure"} == set(
        re.findall(r"^Provides-Extra: (\w+)$", metadata, re.MULTILINE)
    )
    top = {path.name for path in installed.iterdir() if not path.name.startswith("_")}
    assert top == {"bennu", about.name}


def test_the_installed_program_runs_without_the_checkout(release: Path, tmp_path: Path) -> None:
    install(release / f"bennu-{VERSION}-py3-none-any.whl", tmp_path)
    # The dependencies of this environment, without its editable installation of this checkout.
    environment = {"PATH": os.defpath, "PYTHONPATH": sysconfig.get_path("purelib")}
    program = tmp_path / "venv" / "bin" / "bennu"

    def run(*arguments: str) -> str:
        command = [program, *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("--version") == f"bennu {VERSION}\n"
    run("init", "--env-file", "x.env")
    assert "settings are good" in run("config", "check", "--env-file", "x.env")


def test_the_wheel_of_the_client_holds_its_two_packages(release: Path, tmp_path: Path) -> None:
    installed = install(release / f"bennu_sdk-{VERSION}-py3-none-any.whl", tmp_path)
    assert (installed / "bennu_sdk" / "py.typed").is_file()
    assert (installed / "phoenix" / "__init__.py").is_file()
    licence = installed / f"bennu_sdk-{VERSION}.dist-info" / "licenses" / "LICENSE"
    assert licence.read_text() == (ROOT / "LICENSE").read_text()


def test_the_bill_of_materials_names_every_locked_distribution_with_its_hashes(
    release: Path,
) -> None:
    bom = json.loads((release / f"bennu-{VERSION}.cdx.json").read_text())
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    assert bom["metadata"]["component"]["purl"] == f"pkg:pypi/bennu@{VERSION}"
    assert bom["metadata"]["timestamp"].startswith(time.strftime("%Y-%m-%d", time.gmtime(1764e6)))
    locked = "".join((ROOT / name).read_text() for name in LOCKS)
    pins = re.findall(r"^([\w.-]+)(?:\[.*\])?==(\S+)", locked, re.MULTILINE)
    assert {f"pkg:pypi/{name}@{version}" for name, version in pins} == {
        component["purl"] for component in bom["components"]
    }
    written = {
        digest["content"]
        for component in bom["components"]
        for reference in component["externalReferences"]
        for digest in reference["hashes"]
    }
    assert written == set(re.findall(r"--hash=sha256:(\w{64})", locked))


def test_the_bill_of_materials_says_who_needs_what(release: Path) -> None:
    bom = json.loads((release / f"bennu-{VERSION}.cdx.json").read_text())
    needs = {entry["ref"].split("@")[0]: entry["dependsOn"] for entry in bom["dependencies"]}
    direct = {purl.split("@")[0].removeprefix("pkg:pypi/") for purl in needs["pkg:pypi/bennu"]}
    assert direct == {re.split(r"[><=\[]", name)[0] for name in declared()}
    assert any(purl.startswith("pkg:pypi/cffi@") for purl in needs["pkg:pypi/argon2-cffi-bindings"])
    assert reached(needs, "pkg:pypi/bennu") == set(needs)


def test_a_version_that_does_not_fit_forbids_the_release() -> None:
    log = "# Changelog\n\n## 1.2.0 - 2026-11-25\n"
    assert problems_of("1.2.0", "1.2.0", ["v1.2.0", "best"], log) == []
    assert problems_of("1.2.0", "1.1.0", [], log) == [
        "the client has version 1.1.0, the server 1.2.0"
    ]
    assert problems_of("1.2.1", "1.2.1", ["v1.2.0"], log) == [
        "the commit has the tag v1.2.0, its version is 1.2.1",
        "CHANGELOG.md has no heading `## 1.2.1 - YEAR-MONTH-DAY`",
    ]
    # A trial needs no heading yet.
    assert problems_of("1.2.1", "1.2.1", [], log) == []


def test_the_version_stands_once(tmp_path: Path) -> None:
    for project in ("pyproject.toml", "sdk/pyproject.toml"):
        table = tomllib.loads((ROOT / project).read_text())["project"]
        assert "version" not in table
        assert table["dynamic"] == ["version"]
    assert problems_of(VERSION, version_of(ROOT, "sdk/src/bennu_sdk"), [], "") == []
    (tmp_path / "src" / "bennu").mkdir(parents=True)
    (tmp_path / "src" / "bennu" / "__init__.py").write_text("")
    with pytest.raises(ReleaseError, match="names no __version__"):
        version_of(tmp_path)


def test_files_that_git_does_not_know_stay_out(tmp_path: Path) -> None:
    repository, copied = tmp_path / "repository", tmp_path / "copied"
    repository.mkdir()
    for name in ("known.py", "bennu.env"):
        (repository / name).write_text("x")
    for command in (("init", "--quiet"), ("add", "known.py")):
        subprocess.run(["git", "-C", repository, *command], check=True)
    copy_sources(repository, copied)
    assert [path.name for path in copied.iterdir()] == ["known.py"]


def test_needs_are_read_from_the_lock() -> None:
    locked = (
        "a[b]==1 \\\n    --hash=sha256:0\n    # via bennu (pyproject.toml)\n"
        "c==2\n    # via\n    #   -c requirements/x.txt\n    #   a\n    #   d[e]\n"
    )
    assert list(needed(locked)) == [("a", "bennu (pyproject.toml)"), ("c", "a"), ("c", "d")]


# --- what the tests ask with -------------------------------------------------------------------


def install(wheel: Path, folder: Path) -> Path:
    """Install a wheel alone into an environment; return where it lies."""
    venv = folder / "venv"
    shutil.rmtree(venv, ignore_errors=True)
    environment = {"PATH": os.defpath, "UV_CACHE_DIR": str(folder / "cache")}
    for command in (
        ["venv", "--quiet", "--python", sys.executable, venv],
        [
            *("pip", "install", "--quiet", "--offline", "--no-index", "--no-deps"),
            *("--python", venv / "bin" / "python", wheel),
        ],
    ):
        subprocess.run([UV, *map(str, command)], env=environment, check=True)
    (place,) = (venv / "lib").glob("python*/site-packages")
    return place


def declared() -> list[str]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    return [*project["dependencies"], *(name for extra in extras for name in extra)]


def reached(needs: dict[str, list[str]], start: str) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        for purl in needs[waiting.pop()]:
            name = purl.split("@")[0]
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found
