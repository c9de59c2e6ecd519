"""Build what a release consists of: wheels and source archives, an SBOM, checksums.

The same commit gives the same bytes on every machine with the same locked tools: sources are the
files that git knows, times are that of the commit (or ``SOURCE_DATE_EPOCH``), the build backend
comes from the hashed requirements and nothing is fetched. Nothing is published from here.

``make release`` runs it; docs/operations/release.md says what comes before and after.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess  # asks git, builds with the tools of the same environment
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.sbom import bill_of_materials

ROOT: Final = Path(__file__).resolve().parent.parent
CHECKSUMS: Final = "SHA256SUMS"
_VERSION: Final = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_OURS: Final = ("bennu*.whl", "bennu*.tar.gz", "bennu*.cdx.json", CHECKSUMS)
_OPEN_TO_READ: Final = 0o022


class ReleaseError(Exception):
    """Something that must be put right before a release; the text says what."""


def version_of(root: Path, package: str = "src/bennu") -> str:
    """Return the version, which stands in one file of each package and nowhere else.

    Raises:
        ReleaseError: the file holds none.
    """
    file = root / package / "__init__.py"
    found = _VERSION.search(file.read_text("utf-8"))
    if found is None:
        raise ReleaseError(f"{file} names no __version__")
    return found[1]


def problems_of(version: str, sdk_version: str, tags: list[str], changelog: str) -> list[str]:
    """Return what forbids to call this commit a release.

    Args:
        version: of the server.
        sdk_version: of the client, which is released together with it.
        tags: of the commit; without a tag ``v…`` it is a trial and the changelog is not asked.
        changelog: its text.
    """
    problems = []
    if version != sdk_version:
        problems.append(f"the client has version {sdk_version}, the server {version}")
    released = [tag for tag in tags if re.fullmatch(r"v\d.*", tag)]
    if released and f"v{version}" not in released:
        problems.append(f"the commit has the tag {released[0]}, its version is {version}")
    heading = re.compile(rf"^## {re.escape(version)} - \d{{4}}-\d{{2}}-\d{{2}}$", re.MULTILINE)
    if released and heading.search(changelog) is None:
        problems.append(f"CHANGELOG.md has no heading `## {version} - YEAR-MONTH-DAY`")
    return problems


def copy_sources(root: Path, target: Path) -> None:
    """Copy the files that git knows, as they are now, and no other file."""
    for name in _git(root, "ls-files", "-z").split("\0"):
        source = root / name
        if name and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / name)


def build(source: Path, output: Path, epoch: str) -> None:
    """Build everything into a folder.

    Args:
        source: a copy of the repository that holds nothing else.
        output: an existing folder; earlier results of ours in it are taken away.
        epoch: the time of everything in the archives, seconds since 1970.

    Raises:
        ReleaseError: a build failed; the text holds its output.
    """
    for pattern in _OURS:
        for old in output.glob(pattern):
            old.unlink()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))},  # noqa: TID251 - a script
        "SOURCE_DATE_EPOCH": epoch,
        "TZ": "UTC",
    }
    for project in (source, source / "sdk"):
        _build_project(project, output.resolve(), environment)
    version = version_of(source)
    bom = output / f"bennu-{version}.cdx.json"
    bom.write_text(bill_of_materials(source, version, epoch), "utf-8")
    (output / CHECKSUMS).write_text(checksums(output), "utf-8")


def checksums(folder: Path) -> str:
    """Return the lines that ``sha256sum --check`` reads, for all results in a folder."""
    names = sorted(p.name for pattern in _OURS[:-1] for p in folder.glob(pattern))
    return "".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names
    )


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", root, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603


def _build_project(project: Path, output: Path, environment: Mapping[str, str]) -> None:
    """Build the source archive, and from it the wheel: so it is seen to be complete."""
    with tempfile.TemporaryDirectory() as folder:
        _hatchling("sdist", project, Path(folder), environment)
        (archive,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
        unpacked = Path(folder) / archive.name.removesuffix(".tar.gz")
        _hatchling("wheel", unpacked, output, environment)
        shutil.copyfile(archive, output / archive.name)


def _hatchling(target: str, project: Path, output: Path, environment: Mapping[str, str]) -> None:
    """Run the build backend; it is of this environment, whose versions are locked."""
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", output],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ReleaseError(f"{project}: {done.stdout}\n{done.stderr}")


def _check(root: Path, *, dirty: bool) -> None:
    if not dirty and _git(root, "status", "--porcelain"):
        raise ReleaseError("there are changes that are not committed (--dirty for a trial)")
    tags = _git(root, "tag", "--points-at", "HEAD").split()
    changelog = (root / "CHANGELOG.md").read_text("utf-8")
    versions = version_of(root), version_of(root, "sdk/src/bennu_sdk")
    problems = problems_of(*versions, tags, changelog)
    if problems:
        raise ReleaseError("\n".join(problems))
    if not tags:
        print(f"a trial: this commit has no tag v{versions[0]}")


def main(arguments: list[str] | None = None) -> int:
    """Build into a folder; return 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "dist", metavar="FOLDER")
    parser.add_argument("--dirty", action="store_true", help="build what is not committed too")
    options = parser.parse_args(arguments)
    os.umask(_OPEN_TO_READ)
    options.output.mkdir(parents=True, exist_ok=True)
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")  # noqa: TID251 - a script
    try:
        _check(ROOT, dirty=options.dirty)
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source"
            copy_sources(ROOT, source)
            build(source, options.output, epoch or _git(ROOT, "log", "-1", "--format=%ct").strip())
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    print((options.output / CHECKSUMS).read_text("utf-8"), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
