"""deploy/Dockerfile, .dockerignore, deploy/compose.yaml: closed, pinned, true to the settings."""

import re
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from tools.dockerfile import goes_to_the_builder, instructions_of, stages_of

from bennu import __version__
from bennu.settings import is_known_setting

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "Dockerfile").read_text()
IGNORED = (ROOT / ".dockerignore").read_text()
BUILD, FINAL = stages_of(TEXT)
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


def words(keyword: str) -> list[str]:
    step = FINAL.last(keyword)
    assert step is not None, keyword
    return step.words()


def is_pinned(image: str) -> bool:
    _, _, tag = image.partition(":")
    return bool(re.match(r"\d+\.?\d*", tag)) and tag != "latest"


def test_it_runs_as_nobody_who_is_known_by_number() -> None:
    uid, gid = words("USER")[0].split(":")
    assert int(uid) >= 10_000
    assert int(gid) >= 10_000
    keywords = [step.keyword for step in FINAL.instructions]
    # Nothing is carried out after root was left, and nothing turns back.
    assert keywords.count("USER") == 1
    assert not {"RUN", "COPY", "ADD"} & set(keywords[keywords.index("USER") :])


def test_the_images_are_pinned() -> None:
    images = [BUILD.base, FINAL.base, *(service["image"] for service in SERVICES.values())]
    assert [image for image in images if not is_pinned(image)] == []
    assert BUILD.base == FINAL.base
    assert not is_pinned("python")
    assert not is_pinned("python:latest")


def test_it_is_asked_for_its_health_and_stopped_in_order() -> None:
    assert words("HEALTHCHECK") == ["bennu", "health"]
    assert [*words("ENTRYPOINT"), *words("CMD")] == ["bennu", "serve"]
    assert words("STOPSIGNAL") == ["SIGTERM"]
    assert words("EXPOSE") == ["6006", "4317"]
    assert words("VOLUME") == [FINAL.environment()["PHOENIX_WORKING_DIR"]]


def test_everything_that_is_fetched_is_checked_by_its_hash() -> None:
    runs = [step.value for stage in (BUILD, FINAL) for step in stage.instructions]
    fetches = [part for run in runs for part in run.split("&&") if re.search(r"pip\S* .*", part)]
    installs = [part for part in fetches if re.search(r" (install|wheel) ", part) and "pip" in part]
    assert len(installs) >= 5
    for part in installs:
        if "apt-get" in part or part.strip().startswith("install"):
            continue
        # Either hashes, or our own source and nothing fetched at all.
        assert "--require-hashes" in part or "--no-deps" in part, part
    for stage in (BUILD, FINAL):
        assert not any(step.keyword == "ADD" for step in stage.instructions)
        assert "curl" not in " ".join(step.value for step in stage.instructions)


def test_all_extras_are_in_it() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {
        re.split(r"[><=\[]", name)[0]
        for extra in extras["optional-dependencies"].values()
        for name in extra
    }
    locked = "".join((ROOT / f"requirements/{name}.txt").read_text() for name in ("image", "ldap"))
    assert wanted <= set(re.findall(r"^([\w-]+)(?:\[.*\])?==", locked, re.MULTILINE))
    for name in ("image", "ldap"):
        assert f"--requirement requirements/{name}.txt" in re.sub(r"\s+", " ", TEXT)


def test_nothing_goes_to_the_builder_but_what_is_copied() -> None:
    copied = [
        word for step in BUILD.instructions if step.keyword == "COPY" for word in step.words()[:-1]
    ]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert [name for name in copied if not goes_to_the_builder(name, IGNORED)] == []
    for name in (
        *("bennu.env", ".git/config", ".venv/bin/python", "deploy/secrets/phoenix_secret"),
        *("tests/started.py", "dist/x.whl", "src/bennu/__pycache__/x.pyc", "README.md.orig"),
    ):
        assert not goes_to_the_builder(name, IGNORED), name
    assert goes_to_the_builder("src/bennu/web/static/bennu.css", IGNORED)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_closed(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid", "ipc", "devices", "user"} & service.keys()
    assert all("noexec" in mount and "nosuid" in mount for mount in service["tmpfs"])
    assert service["pids_limit"] > 0
    assert service["mem_limit"]
    # A log that grows without end fills the disk.
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


def test_only_the_database_gets_capabilities_back() -> None:
    assert "cap_add" not in SERVICES["phoenix"]
    assert not {"SYS_ADMIN", "NET_ADMIN", "ALL"} & set(SERVICES["database"]["cap_add"])


def test_the_names_are_those_that_people_know() -> None:
    # docker logs phoenix | grep -i auth
    assert SERVICES["phoenix"]["container_name"] == "phoenix"
    assert SERVICES["phoenix"]["image"] == f"bennu:{__version__}"
    assert f"--tag bennu:{__version__} " in TEXT


def test_the_server_is_reached_from_this_machine_and_the_database_by_the_server_only() -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["phoenix"]["ports"])
    assert "ports" not in SERVICES["database"]
    assert SERVICES["database"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_no_secret_stands_in_the_environment() -> None:
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if "SECRET" in name or "PASSWORD" in name:
                assert name.endswith("_FILE"), name
                assert re.match(r"/run/(secrets|database)/", value), name
        assert set(service["secrets"]) <= set(COMPOSE["secrets"])
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())
    ignored = subprocess.run(
        ["git", "-C", ROOT, "check-ignore", "deploy/secrets/phoenix_secret", "deploy/phoenix.env"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(ignored.stdout.splitlines()) == 2


def test_every_setting_is_known() -> None:
    named = {*FINAL.environment(), *SERVICES["phoenix"]["environment"]}
    ours = {name for name in named if name.startswith("PHOENIX_")}
    assert len(ours) > 8
    assert [name for name in ours if not is_known_setting(name)] == []


def test_a_dockerfile_is_read_as_it_is_meant() -> None:
    text = (
        "# syntax\nARG BASE=a:1\nFROM ${BASE} AS one\nRUN a \\\n # told\n && b\n"
        'FROM b:2\nCOPY --from=one /x /y\nENV A=1 B="2 3"\nCMD ["x", "y z"]\n'
    )
    one, two = stages_of(text)
    assert (one.base, one.name, two.base, two.name) == ("a:1", "one", "b:2", "")
    (run,) = one.instructions
    assert run.value.split() == ["a", "&&", "b"]
    copy, _, command = two.instructions
    assert (copy.flags, copy.words()) == ({"from": "one"}, ["/x", "/y"])
    assert two.environment() == {"A": "1", "B": "2 3"}
    assert command.words() == ["x", "y z"]
    assert two.last("USER") is None
    check = "HEALTHCHECK --interval=3s CMD a b"
    assert next(instructions_of(check)).words() == ["a", "b"]


def test_the_last_line_of_a_dockerignore_counts() -> None:
    lines = "# all\n*\n!a\n!b/c\nb/c/secret\n**/x\n"
    goes = [goes_to_the_builder(path, lines) for path in ("a", "a/d", "b/c/d", "b", "d")]
    assert goes == [True, True, True, False, False]
    assert not goes_to_the_builder("b/c/secret", lines)
    assert not goes_to_the_builder("a/deep/x", lines)


def test_the_command_of_postgresql_switches_tls_on() -> None:
    command = SERVICES["database"]["command"]
    options = dict(value.split("=", 1) for flag, value in pairwise(command) if flag == "-c")
    assert options["ssl"] == "on"
    assert options["hba_file"] == "/etc/postgresql/pg_hba.conf"
