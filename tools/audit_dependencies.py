"""Ask an advisory service for known vulnerabilities of everything that is locked and shipped.

pip-audit asks; this says clearly what it does not: that a service which is away, or does not know a
distribution, has audited nothing. Exit status 0: all audited, nothing known. 1: vulnerabilities.
3: not everything could be audited.
"""

import argparse
import json
import subprocess  # runs pip-audit of an environment of its own
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
TOOL: Final = ROOT / ".venv" / "release" / "bin" / "pip-audit"
#: What users install: the server with all extras, and the client.
SHIPPED: Final = ("requirements/image.txt", "requirements/ldap.txt", "requirements/sdk.txt")
FOUND: Final = 1
NOT_AUDITED: Final = 3
_TIMEOUT_SECONDS: Final = "10"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one service said of one lock.

    Args:
        audited: distributions that the service knows.
        vulnerable: one line for each advisory.
        missing: why something was not audited, one line each.
    """

    audited: int = 0
    vulnerable: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def ask(lock: Path, service: list[str]) -> Answer:
    """Ask one service for one lock with hashes.

    Args:
        lock: the requirements.
        service: options of pip-audit that name it.
    """
    done = subprocess.run(  # noqa: S603 - our own words
        [
            *(TOOL, "--disable-pip", "--require-hashes", "--requirement", lock, *service),
            *("--format", "json", "--progress-spinner", "off", "--timeout", _TIMEOUT_SECONDS),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        rows = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        told = done.stderr.strip().splitlines() or ["no answer"]
        return Answer(missing=[told[-1]])
    return Answer(
        audited=sum("vulns" in row for row in rows),
        vulnerable=[
            f"{row['name']} {row['version']}: {found['id']}, "
            f"fixed in {', '.join(found['fix_versions']) or 'no version yet'}"
            for row in rows
            for found in row.get("vulns", ())
        ],
        missing=[f"{row['name']}: {row['skip_reason']}" for row in rows if "skip_reason" in row],
    )


def audit(locks: list[Path], services: list[list[str]]) -> int:
    """Ask the services one after the other until one has audited everything; print and judge."""
    is_incomplete = is_vulnerable = False
    for lock in locks:
        for service in services:
            answer = ask(lock, service)
            if answer.vulnerable or not answer.missing:
                break
        print(f"{lock.name}: {answer.audited} audited, {len(answer.vulnerable)} advisories")
        for line in answer.vulnerable:
            print(f"  {line}")
        if answer.missing:
            is_incomplete = True
            print(f"  NOT AUDITED, {len(answer.missing)} reasons, such as: {answer.missing[0]}")
        is_vulnerable = is_vulnerable or bool(answer.vulnerable)
    if is_incomplete:
        print("The advisory service is away or incomplete: this is no statement of safety.")
    if is_vulnerable:
        return FOUND
    return NOT_AUDITED if is_incomplete else 0


def main(arguments: list[str] | None = None) -> int:
    """Audit everything that is shipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--osv-url", help="an own mirror of the advisories, instead of the public")
    parser.add_argument("locks", nargs="*", type=Path, help="default: all that is shipped")
    options = parser.parse_args(arguments)
    services = [["--vulnerability-service", "pypi"], ["--vulnerability-service", "osv"]]
    if options.osv_url:
        services = [[*services[1], "--osv-url", options.osv_url]]
    return audit(options.locks or [ROOT / name for name in SHIPPED], services)


if __name__ == "__main__":
    sys.exit(main())
