"""The bill of materials of a release: CycloneDX, from the hashed requirements.

cyclonedx-py lists the distributions with the hashes that an installation checks. It knows neither
our own version nor who needs what, both of which stand in the same files: the version in the
package, the dependencies in the comments ``# via`` of the lock. They are put in here.
"""

import json
import os
import re
import subprocess  # runs cyclonedx-py of an environment of its own
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
TOOL: Final = ROOT / ".venv" / "release" / "bin" / "cyclonedx-py"
#: Together all extras of the server: what is installed at most.
LOCKS: Final = ("requirements/image.txt", "requirements/ldap.txt")
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)")
_VIA: Final = re.compile(r"^    #(?: via|  ) +(?!-c )(\S.*)$")


def bill_of_materials(source: Path, version: str, epoch: str) -> str:
    """Return the document as JSON, the same text for the same arguments.

    Args:
        source: a copy of the repository.
        version: of the server.
        epoch: the time that the document bears, seconds since 1970.
    """
    locked = "".join((source / name).read_text("utf-8") for name in LOCKS)
    command = [
        *(TOOL, "requirements", "--output-reproducible", "--of", "JSON", "--sv", "1.6"),
        *("--pyproject", source / "pyproject.toml", "-"),
    ]
    environment = {"PATH": os.defpath, "SOURCE_DATE_EPOCH": epoch, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(  # noqa: S603 - our own words
        command, input=locked, env=environment, capture_output=True, text=True, check=True
    )
    return json.dumps(completed(json.loads(done.stdout), version, locked), indent=2) + "\n"


def completed(bom: dict[str, Any], version: str, locked: str) -> dict[str, Any]:
    """Add our version and who needs what; the references become the package addresses."""
    renamed = {c["bom-ref"]: c["purl"] for c in bom["components"]}
    for component in bom["components"]:
        component["bom-ref"] = component["purl"]
        component.pop("description", None)
    by_name = {c["name"].lower(): renamed[ref] for ref, c in _pairs(renamed, bom)}
    ours = f"pkg:pypi/bennu@{version}"
    bom["metadata"]["component"] |= {"bom-ref": ours, "purl": ours, "version": version}
    needs: dict[str, set[str]] = {ours: set(), **{ref: set() for ref in by_name.values()}}
    for name, needed_by in needed(locked):
        needs[by_name.get(needed_by, ours)].add(by_name[name])
    # An extra that is locked by itself has no comment; nobody needs it but we.
    needs[ours] |= set(by_name.values()) - set().union(*needs.values())
    bom["dependencies"] = [{"ref": r, "dependsOn": sorted(needs[r])} for r in sorted(needs)]
    bom["components"].sort(key=lambda component: str(component["bom-ref"]))
    return bom


def needed(locked: str) -> Iterator[tuple[str, str]]:
    """Yield each locked name in lower case with the name of one that needs it."""
    name = ""
    for line in locked.splitlines():
        if pin := _PIN.match(line):
            name = pin[1].lower()
        elif via := _VIA.match(line):
            yield name, via[1].split("[")[0].lower()


def _pairs(renamed: dict[str, str], bom: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    return zip(renamed, bom["components"], strict=True)
