"""A host that nobody decided on is found, and so is a package index."""

from pathlib import Path

import pytest
from tools.check_addresses import is_allowed, problems_of


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "10.0.0.1", "a.example.com", "bennu.test", "www.apache.org"]
)
def test_hosts_for_samples_are_allowed(host: str) -> None:
    assert is_allowed(host)


@pytest.mark.parametrize("host", ["packages.somewhere.org", "8.8.8.8", "example.com.evil.org"])
def test_other_hosts_are_not(host: str) -> None:
    assert not is_allowed(host)


def test_a_finding_names_file_line_and_host() -> None:
    text = "one\nhttps" + "://user@packages.somewhere.org/simple\n"
    assert list(problems_of(Path("docs/a.md"), text)) == [
        "docs/a.md:2: packages.somewhere.org is not in tools/check_addresses.py"
    ]


def test_a_package_index_in_a_requirement_file_is_found() -> None:
    text = "--index-url http://localhost/simple\nclick==8.5.1\n"
    assert list(problems_of(Path("requirements/x.txt"), text)) == [
        "requirements/x.txt: names a package index"
    ]
    assert list(problems_of(Path("requirements/x.txt"), "click==8.5.1 \\\n")) == []
