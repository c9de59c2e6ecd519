"""Check that the repository names no host outside the list below, so no package registry either."""

import ipaddress
import re
import subprocess  # asks git for its own list of files
import sys
from collections.abc import Iterator
from pathlib import Path

# Hosts that the specification's samples, a protocol or the licence name.
NAMED_HOSTS = frozenset(
    {
        "accounts.google.com",
        "cognito-idp.us-east-1.amazonaws.com",
        "company.okta.com",
        "json-schema.org",
        "keycloak.company.com",
        "ldap.company.com",
        "login.microsoftonline.com",
        "metadata.google.internal",
        "ossrdbms-aad.database.windows.net",
        "schemas.openid.net",
        "trusted-app.com",
        "www.apache.org",
        "www.w3.org",
    }
)
RESERVED = re.compile(r"(.+\.)?(example|example\.(com|net|org)|test|invalid|localhost)")
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+]*://(?:[^/\s@\"']*@)?([A-Za-z0-9.-]+)")
_INDEX_OPTION = re.compile(r"^\s*(--(extra-)?index-url|--find-links|-[if] )", re.MULTILINE)


def is_allowed(host: str) -> bool:
    """Tell whether a host may be named: listed, reserved for samples, one word, or private."""
    name = host.rstrip(".").lower()
    if "." not in name or name in NAMED_HOSTS or RESERVED.fullmatch(name):
        return True
    try:
        return ipaddress.ip_address(name).is_private
    except ValueError:
        return False


def problems_of(path: Path, text: str) -> Iterator[str]:
    """Yield the addresses in one file that nobody decided on."""
    for match in _ADDRESS.finditer(text):
        if not is_allowed(match[1]):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: {match[1]} is not in tools/check_addresses.py"
    if path.parts[0] == "requirements" and _INDEX_OPTION.search(text):
        yield f"{path}: names a package index"


def tracked_files() -> Iterator[tuple[Path, str]]:
    """Yield every file of the repository that is text, with its text."""
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True)  # noqa: S607  # git is where the developer has it
    for name in filter(None, listed.stdout.split("\0")):
        path = Path(name)
        if not path.is_file():
            continue
        try:
            yield path, path.read_text("utf-8")
        except UnicodeDecodeError:
            continue


def main() -> int:
    """Print every finding; exit status 1 when there is one."""
    found = [line for path, text in tracked_files() for line in problems_of(path, text)]
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
