"""Every sample of the documents does what it says, or says why it is not run.

Shell and Python samples run in the order of their page, beside a started server; ``env`` samples
pass ``bennu config check``; JSON and YAML can be read. Placeholders are those of ``Reader.filled``.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from bennu.cli.main import main
from doc_commands import LANGUAGES, ROOT, Block, samples_of
from started import ADMIN_EMAIL, FIRST_PASSWORD, PASSWORD, SECRET, StartedServer

BIN = Path(sys.executable).parent
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "tests" / "README.md"]
)
#: Pages whose samples need a server of their own, and the tests that run them.
ELSEWHERE = {
    "docs/operations/audit.md": "tests/spec/test_10_operations.py",
    "docs/operations/rotation.md": "tests/spec/test_10_operations.py",
    "docs/operations/backup.md": "tests/documents/test_backup.py",
}
#: Pages about the first minutes: each is read beside a server that nobody has used yet.
FIRST_PAGES = ("README.md", "docs/getting-started.md")
#: Single samples that need more than one server, by a word of theirs, and the tests that run them.
SAMPLES_ELSEWHERE = {"OLD_URL": "tests/documents/test_backup.py"}
_RUN = frozenset({"sh", "python"})
_PROGRAMS = re.compile(r"^\s*(bennu|curl|pip|openssl|make|python3?|systemctl|psql) ", re.MULTILINE)
_REFERENCE = re.compile(r"\$\{([A-Z_]+)\}")


def read(page: str) -> list[Block]:
    return samples_of((ROOT / page).read_text("utf-8"))


def runnable(page: str) -> list[Block]:
    """Return what is run beside the server of these tests."""
    return [
        block
        for block in read(page)
        if block.language in _RUN
        and not block.not_run
        and not any(word in block.text for word in SAMPLES_ELSEWHERE)
    ]


def pages_with(*languages: str) -> list[str]:
    return [page for page in PAGES if any(each.language in languages for each in read(page))]


class Reader:
    """Somebody who follows a page beside a server, in a folder of their own."""

    def __init__(self, server: StartedServer, folder: Path, *, is_first: bool) -> None:
        self.server, self.folder, self.is_first = server, folder, is_first
        programs = folder / "bin"
        programs.mkdir()
        # As printed, except that an answer of 4xx or 5xx is a failure.
        (programs / "curl").write_text('#!/bin/sh\nexec /usr/bin/curl --fail-with-body "$@"\n')
        (programs / "curl").chmod(0o755)
        env_file = folder / "bennu.env"
        env_file.write_text("".join(f"{k}={v}\n" for k, v in server.env.items() if v))
        env_file.chmod(0o600)
        self.env = {
            "PATH": f"{programs}:{BIN}:{os.defpath}:/usr/sbin:/sbin",
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(ROOT / "sdk" / "src"),
            "URL": server.base_url,
            **{name: value for name, value in server.env.items() if value},
        }
        self.key = self.key_id = ""
        if not is_first:
            made = server.admin().post("/v1/user/api_keys", json={"data": {"name": "reader"}})
            self.key, self.key_id = made.json()["data"]["key"], made.json()["data"]["id"]
            self.env["KEY"] = self.key
            body = json.dumps({"email": ADMIN_EMAIL, "password": PASSWORD})
            sign_in = "curl -s -c jar -H 'Content-Type: application/json' -d \"$BODY\""
            Block(f'{sign_in} "$URL/auth/login"', "").run(folder, {**self.env, "BODY": body})

    def filled(self, text: str) -> str:
        """Put what is true here in the place of the words that a page uses for it."""
        words = {
            "http://localhost:6006": self.server.base_url,
            "https://phoenix.example.com": self.server.base_url,
            "localhost:4317": f"127.0.0.1:{self.server.grpc_port}",
            "YOUR-API-KEY": self.key,
            "YOUR_API_KEY": self.key,
            "KEY-ID": self.key_id,
            "A-LONG-PASSWORD-OF-YOUR-OWN": PASSWORD,
            "FIRST-PASSWORD": FIRST_PASSWORD,
        }
        for word, meaning in words.items():
            text = text.replace(word, meaning)
        return text

    def follow(self, block: Block) -> str:
        """Run one sample; what a shell exports holds for those that follow."""
        text = self.filled(block.text)
        if block.language == "python":
            (self.folder / "sample.py").write_text(text)
            return Block("python sample.py", "").run(self.folder, self.env)
        printed = replace(block, text=f"{text}\nenv -0 > .exported").run(self.folder, self.env)
        exported = (self.folder / ".exported").read_text().split("\0")
        self.env |= dict(line.split("=", 1) for line in exported if "=" in line)
        if self.is_first and (found := re.search(r'"key":\s*"(bnu_[^"]+)"', printed)):
            self.key = found[1]
        return printed


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    """One server for all pages, with what they speak of."""
    with StartedServer(tmp_path_factory.mktemp("documents")) as started:
        admin = started.admin()
        for name in ("checkout", "support", "experiments", "default"):
            answer = admin.post("/v1/projects", json={"name": name})
            assert answer.status_code in {200, 201, 409}, answer.text
        user = {
            "email": "ada@example.com",
            "username": "ada",
            "role": "MEMBER",
            "auth_method": "LOCAL",
            "password": PASSWORD,
        }
        made = admin.post("/v1/users", json={"user": user, "send_welcome_email": False})
        assert made.status_code == 201, made.text
        yield started


@pytest.mark.xdist_group("documents")
@pytest.mark.parametrize(
    "page", [page for page in pages_with("sh", "python") if page not in {*ELSEWHERE, *FIRST_PAGES}]
)
def test_shell_and_python_samples_run(page: str, server: StartedServer, tmp_path: Path) -> None:
    reader = Reader(server, tmp_path, is_first=False)
    for block in runnable(page):
        reader.follow(block)


@pytest.mark.xdist_group("documents")
@pytest.mark.parametrize("page", FIRST_PAGES)
def test_the_first_minutes_end_with_a_span(page: str, tmp_path: Path) -> None:
    with StartedServer(tmp_path) as server:
        (tmp_path / "reader").mkdir()
        reader = Reader(server, tmp_path / "reader", is_first=True)
        for block in runnable(page):
            reader.follow(block)
        names = [p["name"] for p in server.admin().get("/v1/projects").json()["data"]]
        spans = [
            span["name"]
            for name in names
            for span in server.admin().get(f"/v1/projects/{name}/spans").json()["data"]
        ]
        assert "hello" in spans


@pytest.mark.parametrize("page", sorted(ELSEWHERE))
def test_a_page_that_is_run_elsewhere_is(page: str) -> None:
    assert f'blocks_of("{page}")' in (ROOT / ELSEWHERE[page]).read_text("utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_sample_says_what_it_is(page: str) -> None:
    for block in read(page):
        where = f"{page}:{block.line}"
        assert block.language in LANGUAGES, f"{where}: no known language"
        assert block.language != "text" or not _PROGRAMS.search(block.text), f"{where}: commands"
        assert not block.not_run or len(block.not_run) > 10, f"{where}: no reason"
        assert not block.not_run or block.language in _RUN, f"{where}: would not be run anyway"


@pytest.mark.parametrize("page", pages_with("env"))
def test_settings_pass_the_check(page: str, tmp_path: Path) -> None:
    for block in read(page):
        if block.language != "env":
            continue
        text = block.text.replace("{tenant-id}", "6f1d8a52-0d4e-4c8f-9b57-3f3f0f9f3c11")
        for path in set(re.findall(r"/etc/[\w./-]+", text)):
            file = tmp_path / path.strip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("a-file-of-the-sample-0123456789-abcdef")
            text = text.replace(path, str(file))
        if not re.search(r"^PHOENIX_SECRET(_FILE)? ?=", text, re.MULTILINE):
            text += f"PHOENIX_SECRET = {SECRET}\n"
        sample = tmp_path / "sample.env"
        sample.write_text(text)
        env: dict[str, str | None] = {n: None for n in os.environ if n.startswith("PHOENIX_")}
        env |= dict.fromkeys(_REFERENCE.findall(text), "hunter2-0123456789-hunter2-0123456789")
        answer = CliRunner().invoke(main, ["config", "check", "--env-file", str(sample)], env=env)
        assert answer.exit_code == 0, f"{page}:{block.line}\n{answer.output}"
        assert "did you mean" not in answer.output, f"{page}:{block.line}\n{answer.output}"
        assert "not a known" not in answer.output, f"{page}:{block.line}\n{answer.output}"


@pytest.mark.parametrize("page", pages_with("json", "yaml"))
def test_documents_in_documents_can_be_read(page: str) -> None:
    for block in read(page):
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "yaml":
            assert list(yaml.safe_load_all(block.text))


@pytest.mark.xdist_group("documents")
def test_a_sample_that_fails_is_noticed(server: StartedServer, tmp_path: Path) -> None:
    reader = Reader(server, tmp_path, is_first=False)
    sample = samples_of('```sh\ncurl -s "$URL/v1/projects"\n```\n')[0]
    with pytest.raises(AssertionError, match="Invalid token"):
        reader.follow(sample)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        reader.follow(samples_of("```python\n1 / 0\n```\n")[0])
    told = samples_of("<!-- not run: the reason\nof it -->\n```sh\nx\n```\n\n    indented\n")
    assert [(block.not_run, block.language) for block in told] == [
        ("the reason\nof it", "sh"),
        ("", ""),
    ]
